r"""LeakyReLU linear attention, whose time and memory are linear in the number of tokens.

With a kernel phi in the place of softmax, ``O_i = phi(Q_i) [sum_j phi(K_j)^T V_j] / normaliser``.
The bracket is a small matrix, summed over the tokens once and read by every query (Katharopoulos et
al., "Transformers are RNNs", ICML 2020).

A LeakyReLU kernel keeps the gradient of negative entries alive, but phi is no longer non-negative
and the plain normaliser ``phi(Q_i) . sum_j phi(K_j)`` may vanish or change sign. Therefore:

========== ============================================= ========================================
normaliser weight of token j for query i                 property
========== ============================================= ========================================
absolute   phi(Q_i).phi(K_j) / sum_s |phi(Q_i)|.|phi(K_s)| \|O\| <= max \|V\|, signs are kept
naive      phi(Q_i).phi(K_j) / sum_s phi(Q_i).phi(K_s)   none: what the first is compared with
========== ============================================= ========================================

The kernel ``softmax`` is ordinary scaled dot-product attention, quadratic in the tokens.
:func:`attention_weights` computes every form with explicit token-by-token weights and is the oracle
of the tests.
"""

import dataclasses
import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'AttentionForm',
    'LinearAttention',
    'attention_weights',
    'linear_attention',
    'rms_normalise',
]

KERNELS = ('leaky_relu', 'relu', 'softmax')
NORMALISERS = ('absolute', 'naive')
EPS = 1e-6
"""Added to the normaliser, so that a query whose kernel is all zero gives 0, not NaN."""


@dataclasses.dataclass(frozen=True)
class AttentionForm:
    """Which kernel and normaliser an attention uses.

    Args:
        kernel: ``'leaky_relu'``, ``'relu'`` or ``'softmax'``.
        normaliser: ``'absolute'`` or ``'naive'``; the kernel ``softmax`` ignores it.
        slope: Slope of the LeakyReLU below zero, in [0, 1).

    Raises:
        ValueError: If a value is none of these.
    """

    kernel: str = 'leaky_relu'
    normaliser: str = 'absolute'
    slope: float = 0.1

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f'kernel is {self.kernel!r}; it must be one of {KERNELS}')
        if self.normaliser not in NORMALISERS:
            raise ValueError(f'normaliser is {self.normaliser!r}; it must be one of {NORMALISERS}')
        if not 0 <= self.slope < 1:
            raise ValueError(f'slope is {self.slope}; it must be in [0, 1)')

    def feature_map(self, x: Tensor) -> Tensor:
        """Apply the kernel phi."""
        return F.relu(x) if self.kernel == 'relu' else F.leaky_relu(x, self.slope)

    def weighing(self, phi: Tensor) -> Tensor:
        """Return what the normaliser counts of ``phi``."""
        return phi.abs() if self.normaliser == 'absolute' else phi


def rms_normalise(x: Tensor, eps: float = 1e-6) -> Tensor:
    """Scale the last dimension to a root mean square of 1, in fp32 or better.

    Entries are then within +-sqrt(d) whatever the input's scale. There is no learned gain: it would
    unbound them, and the projection before it can learn all but the length.
    """
    x = _widen(x)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def _widen(x: Tensor) -> Tensor:
    """Turn half precision into fp32; fp32 and fp64 stay what they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def linear_attention(q: Tensor, k: Tensor, v: Tensor, form: AttentionForm) -> Tensor:
    """Attend in a cost linear in the tokens; with the kernel ``softmax`` it is quadratic.

    The core is computed in fp32 or better under autocast too: fp16 overflows and bf16 loses its
    digits in sums over thousands of tokens.

    Args:
        q: Queries (N, heads, queries, d), any float type.
        k: Keys (N, heads, tokens, d).
        v: Values, like the keys.
        form: The kernel and normaliser.

    Returns:
        (N, heads, queries, d) in the type of ``v``.
    """
    dtype = v.dtype
    with torch.autocast(q.device.type, enabled=False):
        q, k, v = _widen(q), _widen(k), _widen(v)
        if form.kernel == 'softmax':
            return F.scaled_dot_product_attention(q, k, v).to(dtype)
        phi_q, phi_k = form.feature_map(q), form.feature_map(k)
        answer = phi_q @ (phi_k.transpose(-1, -2) @ v)
        total = form.weighing(phi_k).sum(-2).unsqueeze(-1)  # N heads d 1
        return (answer / (form.weighing(phi_q) @ total + EPS)).to(dtype)


def attention_weights(q: Tensor, k: Tensor, form: AttentionForm) -> Tensor:
    """Return the explicit weight of every token for every query; quadratic, for tests and drawing.

    ``attention_weights(q, k, form) @ v`` is what :func:`linear_attention` computes.

    Args:
        q: Queries (N, heads, queries, d).
        k: Keys (N, heads, tokens, d).
        form: The kernel and normaliser.

    Returns:
        (N, heads, queries, tokens).
    """
    if form.kernel == 'softmax':
        return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
    phi_q, phi_k = form.feature_map(q), form.feature_map(k)
    weighing = form.weighing(phi_q) @ form.weighing(phi_k).transpose(-1, -2)
    return phi_q @ phi_k.transpose(-1, -2) / (weighing.sum(-1, keepdim=True) + EPS)


class LinearAttention(nn.Module):
    """Multi-head linear attention over all tokens of a clip; queries and keys are RMS-normalised.

    Args:
        channels: Width C of the tokens.
        num_heads: Number of heads; must divide ``channels``.
        form: Arguments of :class:`AttentionForm`.

    Raises:
        ValueError: If ``num_heads`` does not divide ``channels``, or a name is unknown.
    """

    def __init__(self, channels: int, num_heads: int = 4, form: dict | None = None) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f'num_heads is {num_heads}; it must divide the {channels} channels')
        self.num_heads = num_heads
        self.form = AttentionForm(**(form or {}))
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, wanted: Tensor, tokens: Tensor) -> Tensor:
        """Mix the tokens of a clip.

        Args:
            wanted: (N, queries, C), those of the tokens whose result is wanted.
            tokens: (N, tokens, C), all that they attend to.

        Returns:
            (N, queries, C).
        """
        q = self.query(wanted).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # N heads L d
        kv = self.key_value(tokens).unflatten(-1, (2, self.num_heads, -1))  # N L 2 heads d
        k, v = kv.permute(2, 0, 3, 1, 4)  # N heads L d, each
        out = linear_attention(rms_normalise(q), rms_normalise(k), v, self.form)
        return self.proj(out.transpose(1, 2).flatten(2))  # N heads L d -> N L C
