"""Band: any two rates, any length; adjoint, inverse and projection to rounding, and tones that come and go."""

from __future__ import annotations

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.errors import InputError, SettingError
from audiofix.operators.band import Band
from audiofix.operators.base import Projects
from tests.operators.test_laws import random

EPS = torch.finfo(torch.float64).eps
OTHERS = (44100, 22050, 11025, 8000, 48000, 12345)
LONGEST = 6000
TINY = (Band(2, 3), Band(3, 2), Band(5, 7), Band(7, 5, 1.1), Band(4, 4, 1.2), Band(4, 8, 1), Band(1, 1))


@st.composite
def measured(draw: st.DrawFn) -> tuple[Band, int]:
    """Two rates, up, down or the same one, a cutoff or none, and a length that fits."""
    other, cutoff = draw(st.sampled_from(OTHERS)), draw(st.floats(50, 30000))
    rates = draw(st.sampled_from([(16000, other), (other, 16000), (other, other)]))
    cutoff = cutoff if draw(st.booleans()) or rates[0] == rates[1] else math.inf
    block = Band(*rates).block
    return Band(*rates, cutoff), block * draw(st.integers(1, max(1, min(LONGEST // block, 700))))


def slack(*times: int) -> float:
    """Relative error in norm of one FFT there and one back, each of its longest length.

    7 eps for each of log2 n butterflies (Higham 2002, theorem 24.2); a length with a large prime is three FFTs
    of up to four times the length (Bluestein).
    """
    return 2 * 3 * 7 * EPS * math.log2(4 * max(times) + 2)


def bins_below(band: Band, time: int) -> int:
    """How many bins lie below the cutoff and both Nyquist frequencies, counted one by one; 0 Hz always."""
    least = min(band.cutoff, band.from_rate / 2, band.to_rate / 2)
    return max(1, sum(k * band.from_rate / time < least for k in range(time)))


@hypothesis.settings(max_examples=25)
@hypothesis.given(measured())
def test_pullback_is_the_adjoint_and_the_derivative(case: tuple[Band, int]) -> None:
    band, time = case
    x = random(2, 1, time).requires_grad_(True)
    y = band.forward(x)
    assert y.shape == (2, 1, band.heard(time))
    assert band.heard(time) * band.from_rate == time * band.to_rate
    r = random(*y.shape, seed=1)
    found = band.pullback(x.detach(), r)
    left, right = float((y.detach() * r).sum()), float((x.detach() * found).sum())
    # The singular values of A are sqrt(n / N) or 0; inner products err by eps for each of their terms.
    size = math.sqrt(y.shape[-1] / time) * float(x.detach().norm() * r.norm())
    assert abs(left - right) <= (2 * slack(time, y.shape[-1]) + 2 * EPS * max(time, y.shape[-1])) * size
    (expected,) = torch.autograd.grad((y * r).sum(), x)
    assert (found - expected).norm() <= 2 * slack(time, y.shape[-1]) * math.sqrt(
        y.shape[-1] / time
    ) * r.norm()


@pytest.mark.parametrize("band", [band for band in TINY if band.from_rate != band.to_rate])
def test_the_filter_the_other_way_round_is_no_adjoint(band: Band) -> None:
    x = random(1, 1, 12 * band.block)
    r = random(1, 1, band.heard(x.shape[-1]), seed=1)
    left, right = (band.forward(x) * r).sum(), (x * band.invert(r)).sum()
    assert abs(left - right) > 1e-3 * abs(left)


@hypothesis.settings(max_examples=25)
@hypothesis.given(measured())
def test_projection_explains_and_keeps_the_rest_and_is_idempotent(case: tuple[Band, int]) -> None:
    band, time = case
    assert isinstance(band, Projects)
    x, y = random(2, 1, time), band.forward(random(2, 1, time, seed=2))
    # A A+ is 1 and A+ A a projector, so no error grows: sums and differences of a handful of transforms.
    tolerance = 6 * slack(time, y.shape[-1])
    louder = math.sqrt(time / y.shape[-1])  # the norm of A+
    size = float(x.norm() + louder * y.norm())
    solved = band.project(x, y)
    assert (band.forward(band.invert(y)) - y).norm() <= tolerance * y.norm()
    assert (band.forward(solved) - y).norm() <= tolerance * size / louder
    assert (band.project(solved, y) - solved).norm() <= tolerance * size
    # The recording's band is y's, and above it x has stayed.
    kept = bins_below(band, time)
    for moved, expected, bins in (
        (solved, x, slice(kept, None)),
        (solved, band.start(y, 1), slice(kept)),
        (band.start(y, 1), torch.zeros(1), slice(kept, None)),
    ):
        error = torch.fft.rfft(moved - expected, norm="ortho")[..., bins]
        assert error.norm() <= tolerance * size


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
@pytest.mark.parametrize("band", TINY)
def test_projection_is_dense_least_squares(band: Band, blocks: int) -> None:
    time = blocks * band.block
    dense = band.forward(torch.eye(time, dtype=torch.float64)[:, None])[:, 0].T
    x, y = random(time), dense @ random(time, seed=2)
    step = torch.linalg.lstsq(dense, (y - dense @ x)[:, None], driver="gelsd").solution[:, 0]
    solved = band.project(x[None, None], y[None, None])[0, 0]
    # All singular values are alike, so the condition is 1: rounding of an SVD of that size.
    tolerance = 100 * time * EPS * float(x.norm() + y.norm())
    assert (solved - (x + step)).norm() < tolerance
    values = torch.linalg.svdvals(dense)
    alive = values[values > 0.5 * values[0]]
    assert len(alive) == 2 * bins_below(band, time) - 1
    assert (alive - math.sqrt(band.heard(time) / time)).abs().max() < tolerance


@hypothesis.settings(max_examples=25)
@hypothesis.given(measured(), st.integers(0, 10**6))
def test_a_tone_below_is_heard_as_it_is_and_one_above_is_not(case: tuple[Band, int], which: int) -> None:
    band, time = case
    bins = which % (time // 2 + 1)

    def tone(length: int) -> Tensor:
        # 2 pi k t / N with k t brought into range first: no large angles.
        turns = (bins * torch.arange(length)) % length
        return torch.cos(2 * math.pi * turns.double() / length + 0.3)[None, None]

    heard = band.forward(tone(time))
    expected = tone(heard.shape[-1]) if bins < bins_below(band, time) else torch.zeros_like(heard)
    # The angles are rounded too, at 2 pi: 7 eps each.
    tolerance = (2 * slack(time, heard.shape[-1]) + 14 * EPS) * math.sqrt(heard.shape[-1])
    assert (heard - expected).norm() <= tolerance


def test_the_cutoff_itself_and_both_nyquist_frequencies_are_not_kept() -> None:
    # One second: bins are whole Hz.
    for band, first_lost in (
        (Band(64, 64, 10), 10),
        (Band(64, 32), 16),
        (Band(32, 64), 16),
        (Band(64, 64), 32),
    ):
        for hertz, kept in ((first_lost - 1, True), (first_lost, False)):
            tone = torch.cos(2 * math.pi * hertz * torch.arange(band.from_rate).double() / band.from_rate)
            assert bool(band.forward(tone[None, None]).norm() > 1) == kept


@pytest.mark.parametrize("band", [Band(16000, 44100), Band(44100, 16000), Band(16000, 16000, 4000)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_dtypes_are_kept_and_long_files_lose_nothing(band: Band, dtype: torch.dtype) -> None:
    time = 441 * 160
    x, y = random(1, 1, time).to(dtype), random(1, 1, band.heard(time), seed=1).to(dtype)
    y = band.forward(band.invert(y))
    eps = torch.finfo(dtype).eps
    for found, exact in (
        (band.forward(x), band.forward(x.double())),
        (band.pullback(x, y), band.pullback(x.double(), y.double())),
    ):
        assert found.dtype == dtype
        # Worked out in float64, rounded once: half an eps of each sample. float16 has denormals, too.
        assert (found.double() - exact).abs().max() <= eps * exact.abs().max()
    solved = band.project(x, y)
    assert solved.dtype == band.start(y, 1).dtype == dtype
    # A x, the difference, its inverse and the sum are rounded once each, by half an eps of at most what they add.
    error = (band.forward(solved.double()) - y.double()).norm()
    most = 2 * eps * float(x.norm().double() * math.sqrt(y.shape[-1] / time) + y.double().norm())
    assert error <= most + slack(time) * y.double().norm()


def test_one_recording_starts_all_sources() -> None:
    band = Band(16000, 22050)
    y = random(2, 1, 441)
    assert torch.equal(band.start(y, 3), band.invert(y).expand(2, 3, 320))


@pytest.mark.parametrize(
    "values", [(0, 1), (1, -1), (16000, 16000, 0.0), (16000, 16000, -5.0), (1, 1, math.nan)]
)
def test_bad_bands_are_refused(values: tuple) -> None:
    with pytest.raises(SettingError, match=r"\Arates .* give positive ones\Z"):
        Band(*values)


def test_lengths_that_do_not_fit_are_refused() -> None:
    band = Band(16000, 44100)
    assert (band.block, band.heard(320)) == (160, 882)
    for refused in (band.forward, lambda x: band.project(x, x)):
        with pytest.raises(InputError, match=r"\A161 samples .* multiple of 160\Z"):
            refused(random(1, 1, 161))
    with pytest.raises(InputError, match="multiple of 441"):
        band.start(random(1, 1, 440), 1)
