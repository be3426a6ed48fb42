"""Figures of merit: known values, range, symmetry, what they must and must not notice. One row per figure."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from audiofix.errors import InputError
from audiofix.numerics.metrics import log_spectral_distance, psnr, sdr, si_sdr, snr

Metric = Callable[[Tensor, Tensor], Tensor]
METRICS: dict[str, Metric] = {
    "si_sdr": si_sdr, "sdr": sdr, "snr": snr, "psnr": psnr, "log_spectral_distance": log_spectral_distance,
}  # fmt: skip
PERFECT = {"log_spectral_distance": 0.0}  # the others: infinity
# SI-SDR depends on the correlation alone: r^2 / (1 - r^2).
SYMMETRIC = {"si_sdr", "psnr", "log_spectral_distance"}


def noise(*shape: int, seed: int = 0) -> Tensor:
    """At RMS 0.1, as the clips of the evaluation set."""
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=METRICS, name="name")
def _name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_one_figure_for_each_row_whatever_the_batch(name: str) -> None:
    estimate, reference = noise(2, 3, 4000), noise(2, 3, 4000, seed=1)
    whole = METRICS[name](estimate, reference)
    assert whole.shape == (2, 3)
    assert torch.allclose(whole[1, 2], METRICS[name](estimate[1, 2], reference[1, 2]), rtol=1e-12)


def test_float32_is_worked_out_in_double(name: str) -> None:
    estimate, reference = noise(4000).float(), noise(4000, seed=1).float()
    assert METRICS[name](estimate, reference) == METRICS[name](estimate.double(), reference.double())


def test_worse_with_more_error_and_perfect_without(name: str) -> None:
    reference, error = noise(4000), noise(4000, seed=1)
    sign = -1 if name in PERFECT else 1
    figures = [sign * METRICS[name](reference + share * error, reference).item() for share in (1, 0.1, 0.01)]
    assert figures == sorted(figures)
    # Without error SI-SDR is left with the rounding of its projection.
    perfect = METRICS[name](reference, reference).item()
    assert perfect == PERFECT.get(name, math.inf) or (name == "si_sdr" and perfect > 250)


def test_symmetric_where_it_says_so(name: str) -> None:
    estimate, reference = noise(4000), 3 * noise(4000, seed=1)
    there, back = METRICS[name](estimate, reference), METRICS[name](reference, estimate)
    assert (abs(there - back) < 1e-9) == (name in SYMMETRIC)


def test_only_si_sdr_ignores_scale_and_only_the_distance_ignores_sign(name: str) -> None:
    estimate, reference = noise(4000) + noise(4000, seed=1), noise(4000)
    figure = METRICS[name](estimate, reference)
    assert torch.allclose(METRICS[name](2 * estimate, reference), figure) == (name == "si_sdr")
    ignores_sign = name in {"si_sdr", "log_spectral_distance"}
    assert torch.allclose(METRICS[name](-estimate, reference), figure) == ignores_sign


@given(st.floats(1e-3, 1e3))
def test_snr_and_sdr_ignore_a_scale_of_both(scale: float) -> None:
    estimate, reference = noise(100), noise(100, seed=1)
    for metric in (snr, sdr, si_sdr):
        assert torch.allclose(metric(scale * estimate, scale * reference), metric(estimate, reference))


@given(st.floats(-60, 60))
def test_snr_of_a_shrunken_estimate_is_known(decibel: float) -> None:
    # (1 - e) s misses e s, which is -20 log10 e below s.
    reference, share = noise(100), 10 ** (-decibel / 20)
    assert snr((1 - share) * reference, reference).item() == pytest.approx(decibel, abs=1e-6)


def test_silence_has_no_decibel_and_cannot_be_a_reference() -> None:
    reference = noise(100)
    assert snr(torch.zeros(100), reference).item() == 0
    for metric in (snr, sdr, si_sdr):
        with pytest.raises(InputError, match="silent"):
            metric(reference, torch.zeros(100))


def test_snr_inside_gaps_pools_their_energies_and_sees_nothing_else() -> None:
    reference, error = noise(100), noise(100, seed=1)
    gaps = torch.zeros(100)
    gaps[10:20] = gaps[60:65] = 1
    estimate = reference + error
    inside = torch.cat([torch.arange(10, 20), torch.arange(60, 65)])
    expected = 10 * math.log10(reference[inside].square().sum() / error[inside].square().sum())
    assert snr(estimate, reference, gaps).item() == pytest.approx(expected)
    elsewhere = estimate + noise(100, seed=2) * (1 - gaps)
    assert snr(elsewhere, reference, gaps.bool()) == snr(estimate, reference, gaps)
    with pytest.raises(InputError, match="silent"):
        snr(estimate, reference * (1 - gaps), gaps)


def test_psnr_is_against_full_scale() -> None:
    reference = noise(4000)
    assert psnr(reference + 0.01, reference).item() == pytest.approx(40)
    assert psnr(reference + 0.01, reference, peak=2.0).item() == pytest.approx(40 + 20 * math.log10(2))
    estimate = reference + noise(4000, seed=1)
    at_rms = -10 * math.log10(reference.square().mean())
    assert psnr(estimate, reference).item() == pytest.approx(snr(estimate, reference).item() + at_rms)


@given(st.floats(0.1, 10), st.integers(0, 5))
def test_distance_of_two_levels_is_twice_the_log_of_their_ratio(ratio: float, seed: int) -> None:
    # Power goes as amplitude squared. Bins have a power near 7.7 (sum of the squared window, times 0.01), most
    # of them above 1e-3 of that: the 1e-8 then moves none by more than 1e-5, and few bins are below.
    reference = noise(4000, seed=seed)
    distance = log_spectral_distance(ratio * reference, reference).item()
    assert distance == pytest.approx(2 * abs(math.log10(ratio)), abs=1e-4)


def test_distance_of_an_impulse_to_silence_is_known() -> None:
    # An impulse in the middle of a frame has |X| = window * height in all bins, silence 1e-8: nine frames, and
    # the window's values at the impulse are 0 (outside), 0.5, 1, 0.5.
    impulse = torch.zeros(4096, dtype=torch.float64)
    impulse[2048] = 0.1
    values = torch.tensor([0.5, 1.0, 0.5], dtype=torch.float64) * 0.1
    expected = torch.log10((values**2 + 1e-8) / 1e-8).sum() / 9
    assert log_spectral_distance(impulse, torch.zeros(4096)).item() == pytest.approx(float(expected))


def test_distance_of_what_cannot_be_mirrored_is_refused() -> None:
    assert log_spectral_distance(noise(1025), noise(1025, seed=1)) > 0
    with pytest.raises(InputError, match="too short"):
        log_spectral_distance(noise(1024), noise(1024))
