"""The tiered WaveNet: strictly causal, with the receptive field that it declares."""

from __future__ import annotations

import pytest
import torch

from audiofix.nets.layers import GatedLayer, adaptive_fir, trailing_windows
from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
from audiofix.numerics.companding import mu_law_levels

TINY = WaveNetConfig(
    levels=16, slow_hop=16, slow_window=32, slow_channels=8, slow_dilations=(1, 2), slow_taps=24, middle_hop=4,
    middle_window=16, middle_channels=8, middle_dilations=(1, 2), middle_taps=8, fast_window=8, fast_channels=8,
    fast_dilations=(1, 2), sigma_width=8,
)  # fmt: skip


def tiny_net(seed: int = 0) -> TieredWaveNet:
    """Random weights everywhere, also where training starts from zero, so that every path carries something."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = TieredWaveNet(TINY, mu_law_levels(TINY.levels))
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return net.double().eval()


def jacobian_reach(net: TieredWaveNet, time: int, output: int) -> torch.Tensor:
    """Which inputs the given output's logits depend on, by one backward pass."""
    x = torch.randn(1, time, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.1
    x.requires_grad_(True)
    weights = torch.randn(TINY.levels, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    value = (net(x, torch.tensor([0.1], dtype=torch.float64))[0, output] * weights).sum()
    (gradient,) = torch.autograd.grad(value, x)
    return gradient[0].abs() > 0


@pytest.mark.parametrize("output", [0, 1, 15, 16, 17, 127, 128, 200, 299])
def test_output_sees_the_strict_past_within_its_receptive_field(output: int) -> None:
    seen = jacobian_reach(tiny_net(), 300, output)
    assert not seen[output:].any()
    assert not seen[: max(0, output - tiny_net().receptive_field)].any()
    if output:
        assert seen[output - 1]


def test_receptive_field_is_not_wasteful() -> None:
    """Some output reaches back to within one slow hop and one middle hop of what is declared."""
    net = tiny_net()
    reach = max(
        output - int(seen.nonzero()[0])
        for output in range(250, 300)
        if (seen := jacobian_reach(net, 300, output)).any()
    )
    assert net.receptive_field - reach <= TINY.slow_hop + TINY.middle_hop + sum(TINY.fast_dilations)


@pytest.mark.parametrize("length", [1, 5, 16, 33])
def test_any_length_works_and_agrees_with_a_longer_file(length: int) -> None:
    x = torch.randn(2, 64, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.5], dtype=torch.float64)
    net = tiny_net()
    assert torch.allclose(net(x[:, :length], sigma), net(x, sigma)[:, :length], atol=1e-12)


def test_adaptive_fir_is_the_sum_written_out() -> None:
    generator = torch.Generator().manual_seed(4)
    x, taps = torch.randn(1, 12, generator=generator), torch.randn(1, 3, 5, generator=generator)
    padded = torch.cat([torch.zeros(5), x[0]])
    expected = [sum(taps[0, t // 4, j] * padded[5 + t - 1 - j] for j in range(5)) for t in range(12)]
    assert torch.allclose(adaptive_fir(x, taps, 4)[0], torch.stack(expected), atol=1e-6)


def test_adaptive_fir_has_its_gradients_and_does_not_depend_on_how_much_there_is() -> None:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(2, 44, generator=generator, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(2, 11, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *both: adaptive_fir(*both, 4), (x, taps))
    whole, part = adaptive_fir(x, taps, 4), adaptive_fir(x[:1, :20], taps[:1, :5], 4)
    assert torch.equal(part, whole[:1, :20])


def test_the_skip_of_a_last_layer_is_that_of_the_whole_layer() -> None:
    generator = torch.Generator().manual_seed(5)
    layer, x = GatedLayer(6, 2, None).double(), torch.randn(2, 9, 6, generator=generator, dtype=torch.float64)
    assert torch.allclose(layer.skip(x, None), layer(x, None)[1], atol=1e-15)


def test_trailing_windows_hold_the_strict_past() -> None:
    x = torch.arange(1.0, 9.0)[None]
    assert trailing_windows(x, 3, 4)[0].tolist() == [[0, 0, 0], [2, 3, 4]]


def test_noise_level_matters() -> None:
    net, x = tiny_net(), torch.full((1, 32), 0.1, dtype=torch.float64)
    low, high = (net(x, torch.tensor([s], dtype=torch.float64)) for s in (0.01, 0.5))
    assert not torch.allclose(low, high)


def test_training_has_free_logits_in_low_precision_and_all_else_as_evaluation_has_it() -> None:
    net = tiny_net().float()
    hidden = torch.randn(3, 40, TINY.fast_channels, generator=torch.Generator().manual_seed(6))
    guess, scale = hidden[..., 0], 0.1 + hidden[..., 1].abs()
    expected = net.logits(hidden, guess, scale)
    net.train()
    assert torch.allclose(net.logits(hidden, guess, scale), expected, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        found = net.logits(hidden, guess, scale)
    # Products and their sum rounded to 8 bits; the bump alone is far above that, and stays as it is.
    weight, bias = net.head.weight[: TINY.levels].abs(), net.head.bias[: TINY.levels].abs()
    bound = 4 * 2**-8 * (hidden.abs() @ weight.T + bias)
    assert ((found - expected).abs() <= bound + 1e-4).all()
    assert (found != expected).any()
    assert expected.abs().max() > 100 * bound.max()
