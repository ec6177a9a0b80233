r"""LeakyReLU linear attention, whose time and memory are linear in the number of tokens.

With a kernel phi in the place of softmax, ``O_i = phi(Q_i) [sum_j phi(K_j)^T V_j] / normaliser``:
the bracket is a small matrix that is summed over the tokens once and read by every query
(Katharopoulos et al., "Transformers are RNNs", ICML 2020). It is also additive over frames: a
:class:`FrameSummary` is made a frame, and attending to a clip, or to the past only, is a sum, or a
running sum, of summaries.

A LeakyReLU kernel keeps the gradient of negative entries alive, but phi is no longer non-negative
and the plain normaliser ``phi(Q_i) . sum_j phi(K_j)`` may vanish or change sign. The remedies:

========== =============================================================== =====================
normaliser weight of token j for query i                                   property
========== =============================================================== =====================
absolute   phi(Q_i).phi(K_j) / sum_s |phi(Q_i)|.|phi(K_s)|                 \|O\| <= max \|V\|
shift      as naive, phi shifted up until it is positive                   rows sum to 1
inline     ((phi(Q_i).phi(K_j) - mean_s phi(Q_i).phi(K_s))/sqrt(d) + 1)/L  rows sum to 1, no
                                                                           division by a sum
naive      phi(Q_i).phi(K_j) / sum_s phi(Q_i).phi(K_s)                     none: for comparison
========== =============================================================== =====================

``inline`` is after Han et al., "Bridging the Divide: Reconsidering Softmax and Linear Attention",
NeurIPS 2024. The kernel ``softmax`` is ordinary scaled dot-product attention, quadratic in the
tokens, and ignores the normaliser. :func:`quadratic_attention` computes every form with explicit
token-by-token weights and is the oracle of the tests.
"""

import dataclasses
import math
from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'ALL',
    'KERNELS',
    'NORMALISERS',
    'SCOPES',
    'AttentionForm',
    'FrameSummary',
    'LinearAttention',
    'attention_weights',
    'linear_attention',
    'quadratic_attention',
    'rms_normalise',
]

KERNELS = ('leaky_relu', 'relu', 'elu1', 'softmax')
NORMALISERS = ('absolute', 'shift', 'inline', 'naive')
# What a token attends to: its own frame, its own and earlier frames, or the whole clip.
SCOPES = ('frame', 'past', 'clip')
ALL = slice(None)


@dataclasses.dataclass(frozen=True)
class AttentionForm:
    """Which kernel and normaliser an attention uses.

    Args:
        kernel: One of :data:`KERNELS`.
        normaliser: One of :data:`NORMALISERS`; the kernel ``softmax`` ignores it.
        slope: Slope of the LeakyReLU below zero, in [0, 1).
        eps: Added to the denominators, so that a query whose kernel is all zero gives 0, not NaN.
        margin: How far above zero ``shift`` lifts the kernel's lowest value.

    Raises:
        ValueError: If a value is none of these.
    """

    kernel: str = 'leaky_relu'
    normaliser: str = 'absolute'
    slope: float = 0.1
    eps: float = 1e-6
    margin: float = 0.1

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f'kernel is {self.kernel!r}; it must be one of {KERNELS}')
        if self.normaliser not in NORMALISERS:
            raise ValueError(f'normaliser is {self.normaliser!r}; it must be one of {NORMALISERS}')
        if not 0 <= self.slope < 1:
            raise ValueError(f'slope is {self.slope}; it must be in [0, 1)')

    def feature_map(self, x: Tensor) -> Tensor:
        """Apply the kernel phi, shifted to be positive where the normaliser is ``shift``.

        The shift is sized for entries within +-sqrt(d), which :func:`rms_normalise` guarantees.
        """
        if self.kernel == 'leaky_relu':
            phi, lowest = F.leaky_relu(x, self.slope), -self.slope * math.sqrt(x.shape[-1])
        elif self.kernel == 'relu':
            phi, lowest = F.relu(x), 0.0
        else:
            assert self.kernel == 'elu1', self.kernel
            phi, lowest = F.elu(x) + 1, 0.0
        return phi + (self.margin - lowest) if self.normaliser == 'shift' else phi


class FrameSummary(NamedTuple):
    """What a query needs to know of a set of tokens; the sum of two is that of both sets.

    Args:
        key_value: (N, h, T, d, d), ``sum_j phi(K_j)^T V_j`` over each frame's tokens.
        key: (N, h, T, d, 1), ``sum_j phi(K_j)``; of absolute values for ``absolute``.
        value: (N, h, T, 1, d), ``sum_j V_j``.
        count: (1, 1, T, 1, 1), the number of tokens.
    """

    key_value: Tensor
    key: Tensor
    value: Tensor
    count: Tensor

    def over(self, scope: str, shown: slice = ALL) -> 'FrameSummary':
        """What the queries of the frames ``shown`` read: see :data:`SCOPES`."""
        if scope == 'clip':  # one summary for all frames
            return FrameSummary(*(part.sum(2, keepdim=True) for part in self))
        parts = (part.cumsum(2) for part in self) if scope == 'past' else self
        return FrameSummary(*(part[:, :, shown] for part in parts))


def rms_normalise(x: Tensor, eps: float = 1e-6) -> Tensor:
    """Scale the last dimension to a root mean square of 1, in fp32 or better.

    Entries are then within +-sqrt(d) whatever the input's scale. No learned gain: it would
    unbound them, and the projection before it can learn all but the length.
    """
    x = _widen(x)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def _widen(x: Tensor) -> Tensor:
    """Half precision becomes fp32; fp32 and fp64 stay what they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def summarise(k: Tensor, v: Tensor, form: AttentionForm) -> FrameSummary:
    """Sum up each frame's keys and values, (N, h, T, L, d) each."""
    phi_k = form.feature_map(k)
    weighing = phi_k.abs() if form.normaliser == 'absolute' else phi_k
    return FrameSummary(
        key_value=phi_k.transpose(-1, -2) @ v,  # N h T d d
        key=weighing.sum(-2).unsqueeze(-1),  # N h T d 1
        value=v.sum(-2, keepdim=True),  # N h T 1 d
        count=v.new_full((1, 1, v.shape[2], 1, 1), v.shape[3]),
    )


def read(q: Tensor, summary: FrameSummary, form: AttentionForm) -> Tensor:
    """Answer queries (N, h, T, L, d) from a summary with as many frames, or with one for all."""
    phi_q = form.feature_map(q)
    answer = phi_q @ summary.key_value  # N h T L d
    if form.normaliser == 'inline':
        mean_similarity = phi_q @ summary.key / summary.count  # N h T L 1
        centred = (answer - mean_similarity * summary.value) / math.sqrt(q.shape[-1])
        return (centred + summary.value) / summary.count
    weighing = phi_q.abs() if form.normaliser == 'absolute' else phi_q
    return answer / (weighing @ summary.key + form.eps)


def visible_tokens(k: Tensor, scope: str, shown: slice = ALL) -> Tensor:
    """Which of the keys (N, h, T, L, d) the queries of the frames ``shown`` see: (T' L, T L)."""
    frame = torch.arange(k.shape[2], device=k.device)[:, None].expand(-1, k.shape[3])  # T L
    query_frame, key_frame = frame[shown].reshape(-1, 1), frame.reshape(1, -1)  # T'L 1, 1 TL
    if scope == 'frame':
        return query_frame == key_frame
    return query_frame >= (key_frame if scope == 'past' else torch.zeros_like(key_frame))


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    form: AttentionForm,
    scope: str = 'clip',
    shown: slice = ALL,
) -> Tensor:
    """Attend within a frame, to the past or to the whole clip, in a cost linear in the tokens.

    The core is computed in fp32 or better also under autocast: fp16 overflows and bf16 loses its
    digits in sums over thousands of tokens.

    Args:
        q: Queries of the frames ``shown``, (N, h, T', L, d), any float type.
        k: Keys of all frames, (N, h, T, L, d). RMS-normalise both for the normaliser ``shift``.
        v: Values, like the keys.
        form: The kernel and normaliser. With the kernel ``softmax`` the cost is quadratic.
        scope: One of :data:`SCOPES`.
        shown: Which of the T frames the T' frames of queries are; all by default.

    Returns:
        (N, h, T', L, d) in the type of ``v``.
    """
    if scope not in SCOPES:
        raise ValueError(f'scope is {scope!r}; it must be one of {SCOPES}')
    dtype = v.dtype
    with torch.autocast(q.device.type, enabled=False):
        q, k, v = _widen(q), _widen(k), _widen(v)
        if form.kernel == 'softmax':
            out = _softmax_attention(q, k, v, scope, shown)
        else:
            out = read(q, summarise(k, v, form).over(scope, shown), form)
    return out.to(dtype)


def _softmax_attention(q: Tensor, k: Tensor, v: Tensor, scope: str, shown: slice) -> Tensor:
    if scope == 'frame':
        return F.scaled_dot_product_attention(q, k[:, :, shown], v[:, :, shown])
    mask = visible_tokens(k, scope, shown) if scope == 'past' else None
    flat = (x.flatten(2, 3) for x in (q, k, v))  # N h TL d
    out = F.scaled_dot_product_attention(*flat, attn_mask=mask)
    return out.unflatten(2, q.shape[2:4])  # N h T' L d


def attention_weights(
    q: Tensor, k: Tensor, form: AttentionForm, scope: str = 'clip', shown: slice = ALL
) -> Tensor:
    """The explicit weight of every token for every query; quadratic, for tests and drawing.

    Args:
        q: Queries of the frames ``shown``, (N, h, T', L, d).
        k: Keys of all frames, (N, h, T, L, d).
        form: The kernel and normaliser.
        scope: One of :data:`SCOPES`.
        shown: Which of the T frames the T' frames of queries are.

    Returns:
        (N, h, T' L, T L); a row holds the weights of one query.
    """
    visible = visible_tokens(k, scope, shown)
    q, k = q.flatten(2, 3), k.flatten(2, 3)  # N h TL d
    scale = 1 / math.sqrt(q.shape[-1])
    if form.kernel == 'softmax':
        similarity = q @ k.transpose(-1, -2) * scale
        return similarity.masked_fill(~visible, -math.inf).softmax(-1)
    phi_q, phi_k = form.feature_map(q), form.feature_map(k)
    similarity = phi_q @ phi_k.transpose(-1, -2) * visible  # N h TL TL
    if form.normaliser == 'inline':
        count = visible.sum(-1, keepdim=True)
        centred = similarity - similarity.sum(-1, keepdim=True) / count
        return (centred * scale + 1) / count * visible
    weighing = similarity
    if form.normaliser == 'absolute':
        weighing = phi_q.abs() @ phi_k.abs().transpose(-1, -2) * visible
    return similarity / (weighing.sum(-1, keepdim=True) + form.eps)


def quadratic_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    form: AttentionForm,
    scope: str = 'clip',
    shown: slice = ALL,
) -> Tensor:
    """The token-by-token twin of :func:`linear_attention`: same arguments, same result."""
    weights = attention_weights(q, k, form, scope, shown)
    return (weights @ v.flatten(2, 3)).unflatten(2, q.shape[2:4])  # N h T' L d


class LinearAttention(nn.Module):
    """Multi-head linear attention over the tokens of a clip, with RMS-normalised queries and keys.

    Args:
        channels: Width C of the tokens.
        num_heads: Number of heads; must divide ``channels``.
        form: Arguments of :class:`AttentionForm`.
        scope: One of :data:`SCOPES`.

    Raises:
        ValueError: If ``num_heads`` does not divide ``channels``, or a name is unknown.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 4,
        form: dict | None = None,
        scope: str = 'clip',
    ) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f'num_heads is {num_heads}; it must divide the {channels} channels')
        if scope not in SCOPES:
            raise ValueError(f'scope is {scope!r}; it must be one of {SCOPES}')
        self.num_heads = num_heads
        self.form = AttentionForm(**(form or {}))
        self.scope = scope
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, shown: slice = ALL) -> Tensor:
        """Mix the tokens of a clip.

        Args:
            x: (N, T, L, C).
            shown: The T' frames whose tokens are wanted; the others are only attended to.

        Returns:
            (N, T', L, C).
        """
        q = self.query(x[:, shown]).unflatten(-1, (self.num_heads, -1))  # N T' L h d
        q = q.permute(0, 3, 1, 2, 4)  # N h T' L d
        kv = self.key_value(x).unflatten(-1, (2, self.num_heads, -1))  # N T L 2 h d
        k, v = kv.permute(3, 0, 4, 1, 2, 5)  # N h T L d, each
        q, k = rms_normalise(q), rms_normalise(k)
        out = linear_attention(q, k, v, self.form, self.scope, shown)  # N h T' L d
        return self.proj(out.permute(0, 2, 3, 1, 4).flatten(3))  # N T' L C
