"""Low-pass: the filter keeps its promises, the operator is that filter, its inverse amplifies only as told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiofix.errors import InputError, SettingError
from audiofix.operators.lowpass import STOPPED, LowPass, decimate, low_pass_taps
from tests.operators.test_laws import random

FACTORS = (2, 3, 4, 8)
EPS = torch.finfo(torch.float64).eps


def magnitudes(taps: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Frequencies in units of the new Nyquist frequency, and the response there; 40 points for each lobe."""
    points = 1 << math.ceil(math.log2(40 * len(taps)))
    return torch.arange(points // 2 + 1) * (2 * factor / points), torch.fft.rfft(taps, points).abs()


def keeps_its_promises(taps: Tensor, factor: int, passband: float) -> bool:
    frequency, magnitude = magnitudes(taps, factor)
    flat = (magnitude[frequency <= passband] - 1).abs().max() <= STOPPED
    return bool(flat and magnitude[frequency >= 1].max() <= STOPPED)


@pytest.mark.parametrize("passband", [0.8, 0.9, 0.97])
@pytest.mark.parametrize("factor", FACTORS)
def test_the_filter_is_flat_then_80_db_down_and_has_linear_phase(factor: int, passband: float) -> None:
    taps = low_pass_taps(factor, passband)
    assert keeps_its_promises(taps, factor, passband)
    assert torch.allclose(taps, taps.flip(0), atol=EPS, rtol=0)
    assert abs(len(taps) / 2 - 5.2 * factor / (1 - passband)) < 0.02 * len(taps)
    # Broken twins: a tenth of the length missing, and no window.
    assert not keeps_its_promises(taps[len(taps) // 20 : -len(taps) // 20], factor, passband)
    bare = torch.sinc((1 + passband) / (2 * factor) * (torch.arange(len(taps)) - len(taps) // 2))
    assert not keeps_its_promises(bare / bare.sum(), factor, passband)


@pytest.mark.parametrize("factor", FACTORS)
def test_decimate_passes_the_band_without_delay_and_stops_the_rest(factor: int) -> None:
    time = torch.arange(4001, dtype=torch.float64)
    inner = slice(len(low_pass_taps(factor)) // factor, -(len(low_pass_taps(factor)) // factor))

    def sine(share: float) -> Tensor:
        return torch.sin(math.pi * share / factor * time + 0.3)

    assert len(decimate(time, factor)) == math.ceil(len(time) / factor)
    for share in (0.01, 0.5, 0.9):
        kept = decimate(sine(share), factor)
        # A response between 1 - 1e-4 and 1 + 1e-4, and no phase.
        assert (kept - sine(share)[::factor])[inner].abs().max() <= STOPPED * (1 + 1e-9)
    for share in (1.0, 1.1, factor * 0.95):
        assert decimate(sine(share), factor)[inner].abs().max() <= STOPPED * (1 + 1e-9)


def difference_bound(operator: LowPass) -> float:
    """Most that `forward` and `decimate` may differ by, as a share of x: of energies, by Parseval.

    A bin of y holds one bin of x within the new band, whose response is wrong by less than the floor, and
    factor - 1 bins from above it, each let through by less than 1e-4; divided by factor, in 1/factor the bins.
    """
    return math.sqrt((operator.floor**2 + (operator.factor - 1) * STOPPED**2) / operator.factor)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("floor", [0.001, 0.01])
def test_forward_is_decimate_where_both_ends_are_silent(factor: int, floor: float) -> None:
    operator, silence = LowPass(factor, floor=floor), len(low_pass_taps(factor)) // 2 + 1
    x = torch.nn.functional.pad(random(2, 3, 997), (silence, silence))
    x = torch.nn.functional.pad(x, (0, -x.shape[-1] % factor))
    bound = difference_bound(operator) * x.norm()
    assert (operator.forward(x) - decimate(x, factor)).norm() <= bound
    # A twin that is one sample late.
    late = operator.forward(x.roll(1, dims=-1))
    assert (late - decimate(x, factor)).norm() > bound


def test_the_inverse_amplifies_by_no_more_than_the_floor_allows() -> None:
    for floor in (0.01, 0.9):
        operator, y = LowPass(4, floor=floor), random(1, 1, 1000)
        # The singular values of A are h / sqrt(factor), h >= floor; those of white noise come close.
        gain = operator.invert(y).norm() / y.norm()
        assert gain <= 2 / floor * (1 + 1e-12)
        assert torch.allclose(operator.invert(operator.forward(operator.invert(y))), operator.invert(y))


def test_one_step_of_the_adjoint_is_no_projection() -> None:
    operator = LowPass(2)
    x, y = random(1, 1, 500), operator.forward(random(1, 1, 500, seed=1))
    scale = operator.factor  # exact in the passband, not in the transition
    broken = x + scale * operator.pullback(x, y - operator.forward(x))
    # What project may be wrong by: rounding, amplified by at most 1/floor.
    tolerance = 10 * EPS / operator.floor * math.sqrt(y.numel())
    assert (operator.forward(operator.project(x, y)) - y).norm() < tolerance
    assert (operator.forward(broken) - y).norm() > 1e6 * tolerance


@pytest.mark.parametrize("time", [60, 300])
def test_the_bridge_is_the_likeliest_given_the_recording(time: int) -> None:
    operator = LowPass(2)
    y = random(2, 1, time)
    whole = operator.bridged(y)
    assert torch.equal(whole[..., :time], y)
    # Said with covariances where the code uses their inverse: C_uy inv(C_yy) y.
    spectrum = operator.response(2 * whole.shape[-1]).square() + operator.floor**2
    row = torch.fft.irfft(spectrum.to(torch.complex128), n=whole.shape[-1])
    places = torch.arange(whole.shape[-1])
    covariance = row[(places[:, None] - places) % whole.shape[-1]]
    expected = covariance[time:, :time] @ torch.linalg.solve(covariance[:time, :time], y.mT)
    # Two solutions, each with the condition number (1 + floor²) / floor², of a matrix of that many rows.
    tolerance = 2 * len(covariance) * EPS / operator.floor**2
    assert (whole[..., time:] - expected.mT).abs().max() < tolerance * y.abs().max()


def ramp(time: int) -> Tensor:
    """Noise, and a jump of 1 from its end to its start."""
    return 0.1 * random(1, 1, time) + torch.linspace(-0.5, 0.5, time, dtype=torch.float64)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_bridged_recording_gives_the_low_band_back(factor: int) -> None:
    operator, time = LowPass(factor), 2000 * factor
    y = operator.bridged(decimate(ramp(time), factor))
    x = operator.project(0.1 * random(1, 1, y.shape[-1] * factor, seed=1), y)
    # What the filter lets through below the floor is free: its share of the energy of white noise, twice for
    # the difference of two draws, and a factor of two in energy for chance.
    frequency, magnitude = magnitudes(low_pass_taps(factor), factor)
    leaks = (
        magnitude.square()[(magnitude < operator.floor) & (frequency < 1)].sum() / magnitude.square().sum()
    )
    error, inner = decimate(x[..., :time], factor) - y[..., :2000], slice(200, -200)
    # 0.1 at RMS 1 / sqrt(factor) is what the noise has in the band.
    reference = 0.01 / factor * error[..., inner].numel()
    share = error[..., inner].square().sum() / reference
    assert share < 4 * leaks
    assert 4 * leaks < 1e-6


def test_without_the_bridge_the_jump_is_amplified() -> None:
    operator, x = LowPass(4), ramp(8000)
    y = decimate(x, 4)
    bridged = operator.bridged(y)
    longer = torch.nn.functional.pad(x, (0, 4 * (bridged.shape[-1] - y.shape[-1])))
    # The truth explains its own recording, so projecting should leave it alone.
    moved = (operator.project(longer, bridged)[..., :8000] - x).norm() / x.norm()
    broken = (operator.project(x, y) - x).norm() / x.norm()
    assert broken > 10 * moved


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_every_dtype_comes_back_and_float32_is_close(dtype: torch.dtype) -> None:
    operator = LowPass(2)
    x, y = random(1, 2, 512), operator.forward(random(1, 2, 512, seed=1))
    pairs = [
        (operator.forward(x.to(dtype)), operator.forward(x)),
        (operator.pullback(x.to(dtype), y.to(dtype)), operator.pullback(x, y)),
        (operator.project(x.to(dtype), y.to(dtype)), operator.project(x, y)),
        (operator.start(y.to(dtype), 2), operator.start(y, 2)),
        (operator.bridged(y.to(dtype)), operator.bridged(y)),
    ]
    # Rounding of y, amplified by at most sqrt(factor) / floor; that of the FFT is of the same size.
    bound = 4 * torch.finfo(dtype).eps * math.sqrt(2) / operator.floor
    for rounded, exact in pairs:
        assert rounded.dtype == dtype
        assert (rounded.double() - exact).norm() <= bound * exact.norm()


@pytest.mark.parametrize("values", [(1,), (2, 1.0), (2, 0.0), (2, 0.9, 1e-4), (2, 0.9, 1.0)])
def test_bad_filters_are_refused(values: tuple) -> None:
    with pytest.raises(SettingError):
        LowPass(*values)


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="multiple"):
        LowPass(3).forward(random(1, 1, 50))
    with pytest.raises(InputError, match="belong to 48, not 50"):
        LowPass(2).project(random(1, 1, 50), random(1, 1, 24))
