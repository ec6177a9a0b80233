"""Linear attention against its explicit token-by-token twin, and the properties it promises."""

import itertools

import pytest
import torch

from star_pose.models.layers.linear_attention import (
    KERNELS,
    NORMALISERS,
    AttentionForm,
    LinearAttention,
    attention_weights,
    linear_attention,
    rms_normalise,
)

FORMS = [*itertools.product(('leaky_relu', 'relu'), NORMALISERS), ('softmax', 'absolute')]


def make_qkv(dtype=torch.float64, num_tokens=21, mean=0.0, seed=0):
    """RMS-normalised q, k and plain v, (N=2, h=2, L, d=8)."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn((3, 2, 2, num_tokens, 8), generator=generator, dtype=dtype) + mean
    return rms_normalise(q), rms_normalise(k), v


def quadratic_attention(q, k, v, form):
    return attention_weights(q, k, form) @ v


def away_from_zero(form, q, k):
    """Shift queries and keys so that the naive normaliser of a signed kernel stays positive."""
    if form.normaliser == 'naive':
        q, k = rms_normalise(q.abs() + 0.5), rms_normalise(k.abs() + 0.5)
    return q, k


@pytest.mark.parametrize(('kernel', 'normaliser'), FORMS)
def test_equals_the_quadratic_twin_in_fp64(kernel, normaliser):
    form = AttentionForm(kernel, normaliser)
    q, k, v = make_qkv()
    q, k = away_from_zero(form, q, k)
    expected = quadratic_attention(q, k, v, form)
    error = (linear_attention(q, k, v, form) - expected).norm() / expected.norm()
    assert error < 1e-9


@pytest.mark.parametrize(('kernel', 'normaliser'), FORMS)
def test_equals_the_quadratic_twin_in_fp32_over_thousands_of_tokens(kernel, normaliser):
    form = AttentionForm(kernel, normaliser)
    q, k, v = make_qkv(torch.float32, num_tokens=1000)
    q, k = away_from_zero(form, q, k)
    expected = quadratic_attention(q.double(), k.double(), v.double(), form)
    error = (linear_attention(q, k, v, form).double() - expected).norm() / expected.norm()
    assert error < 1e-4


def test_naive_equals_its_twin_with_signed_entries_where_the_normaliser_is_not_near_zero():
    form = AttentionForm('leaky_relu', 'naive')
    q, k, v = make_qkv()
    phi_q, phi_k = form.feature_map(q), form.feature_map(k)
    normaliser = phi_q @ phi_k.sum(2).unsqueeze(-1)  # N h L 1
    safe = (normaliser.abs() > 0.1).expand_as(v)
    assert 0.5 < safe.double().mean() <= 1
    error = linear_attention(q, k, v, form) - quadratic_attention(q, k, v, form)
    assert error[safe].abs().max() < 1e-9


@pytest.mark.parametrize(('kernel', 'normaliser'), FORMS)
def test_some_queries_get_what_they_get_among_all(kernel, normaliser):
    form = AttentionForm(kernel, normaliser)
    q, k, v = make_qkv()
    some = linear_attention(q[:, :, 7:14], k, v, form)
    torch.testing.assert_close(some, linear_attention(q, k, v, form)[:, :, 7:14])


def test_weights_are_the_formula_written_out_for_one_query():
    q = torch.tensor([1.0, -1.0], dtype=torch.float64).view(1, 1, 1, 2)
    k = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=torch.float64).view(1, 1, 2, 2)
    # phi(q) = (1, -0.5), phi(k) = (1, 1) and (-0.5, 1): products 0.5 and -1.
    cases = {
        'absolute': (0.5 / (1.5 + 1.0), -1.0 / (1.5 + 1.0)),
        'naive': (0.5 / -0.5, -1.0 / -0.5),
    }
    for normaliser, expected in cases.items():
        form = AttentionForm('leaky_relu', normaliser, slope=0.5)
        row = attention_weights(q, k, form)[0, 0, 0]
        expected = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(row, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize('kernel', ['leaky_relu', 'relu'])
@pytest.mark.parametrize('mean', [-2.0, 0.0, 2.0])
def test_absolute_never_exceeds_the_largest_value(kernel, mean):
    form = AttentionForm(kernel, 'absolute', slope=0.5)
    q, k, v = make_qkv(mean=mean)
    out = linear_attention(q, k, v, form)
    assert (out.abs().amax(2) <= v.abs().amax(2) * (1 + 1e-12)).all()
    assert (attention_weights(q, k, form).abs().sum(-1) <= 1 + 1e-12).all()


@pytest.mark.parametrize(('kernel', 'normaliser'), FORMS)
@pytest.mark.parametrize('value', [-3.0, -1e4, 1e4, 0.0])
def test_stays_finite_for_constant_negative_huge_and_zero_input(kernel, normaliser, value):
    form = AttentionForm(kernel, normaliser)
    x = torch.full((1, 2, 10, 8), value) + torch.linspace(-0.5, 0.5, 8)
    out = linear_attention(rms_normalise(x), rms_normalise(x), x, form)
    assert torch.isfinite(out).all()
    if normaliser == 'absolute':
        assert out.abs().max() <= x.abs().max() * (1 + 1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_input_is_summed_in_fp32(dtype):
    form = AttentionForm()
    q, k, v = (x.to(dtype) for x in make_qkv(torch.float32, num_tokens=9000))
    v = v * 1000  # sums of thousands of such values overflow fp16
    out = linear_attention(q, k, v, form)
    exact = linear_attention(q.double(), k.double(), v.double(), form)
    assert out.dtype == dtype
    rounding = torch.finfo(dtype).eps * exact.abs().max()
    assert (out.double() - exact).abs().max() < rounding


def test_core_stays_fp32_under_autocast():
    form = AttentionForm()
    q, k, v = make_qkv(torch.float32, num_tokens=600)
    with torch.autocast('cpu', torch.bfloat16):
        out = linear_attention(q, k, v, form)
    assert torch.equal(out, linear_attention(q, k, v, form))


@pytest.mark.parametrize(('kernel', 'normaliser'), FORMS)
def test_gradcheck(kernel, normaliser):
    form = AttentionForm(kernel, normaliser)
    q, k, v = make_qkv(num_tokens=4)
    q, k = away_from_zero(form, q, k)
    inputs = [x[:1, :1].clone().requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(lambda *x: linear_attention(*x, form), inputs)


def test_leaky_kernel_passes_gradient_to_all_negative_queries_and_relu_does_not():
    gradients = {}
    for kernel in ('leaky_relu', 'relu'):
        q, k, v = make_qkv()
        q = (-q.abs()).requires_grad_()
        linear_attention(q, k, v, AttentionForm(kernel)).square().sum().backward()
        gradients[kernel] = q.grad.abs().max()
    assert gradients['leaky_relu'] > 0
    assert gradients['relu'] == 0


def test_module_agrees_with_its_parts():
    torch.manual_seed(0)
    module = LinearAttention(8, num_heads=2).double()
    x = torch.randn(2, 15, 8, dtype=torch.float64)
    q = module.query(x[:, 5:10]).view(2, 5, 2, 4).transpose(1, 2)
    k, v = module.key_value(x).view(2, 15, 2, 2, 4).permute(2, 0, 3, 1, 4)
    out = quadratic_attention(rms_normalise(q), rms_normalise(k), v, AttentionForm())
    expected = module.proj(out.transpose(1, 2).reshape(2, 5, 8))
    torch.testing.assert_close(module(x[:, 5:10], x), expected)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(kernel='gelu'), r"kernel is 'gelu'.*leaky_relu"),
        (dict(normaliser='sum'), r"normaliser is 'sum'.*absolute"),
        (dict(slope=1.5), r'slope is 1\.5.*\[0, 1\)'),
    ],
)
def test_unknown_forms_are_refused_with_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionForm(**arguments)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match=r'num_heads is 3.*64 channels'):
        LinearAttention(64, num_heads=3)
    assert set(KERNELS) == {kernel for kernel, _ in FORMS}
