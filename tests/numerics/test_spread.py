"""How far draws lie apart: by hand, against independent draws whose law is known, band by band, for silence."""

from __future__ import annotations

import math
from unittest import mock

import pytest
import torch
from torch import Tensor

from audiofix.numerics import spread
from audiofix.numerics.spread import FLOOR_DB, HOP, WINDOW, certainty_db, standard_deviation

RATE = 16000
FRAMES = WINDOW // HOP  # so many frames later a window shares no sample with this one


def noise(seed: int, channels: int = 1, length: int = RATE) -> Tensor:
    return 0.1 * torch.randn(channels, length, generator=torch.Generator().manual_seed(seed))


def band(x: Tensor, low: float, high: float) -> Tensor:
    """What of (channel, time) lies between two frequencies, Hz."""
    spectrum = torch.fft.rfft(x.double())
    hertz = torch.fft.rfftfreq(x.shape[1], 1 / RATE)
    inside = (hertz >= low) & (hertz < high)
    return torch.fft.irfft(spectrum * inside, n=x.shape[1]).float()


def inner(values: Tensor) -> Tensor:
    """Without the frames that reach beyond the recording."""
    return values[:, FRAMES // 2 : -FRAMES // 2]


def test_standard_deviation_by_hand() -> None:
    draws = [torch.tensor([[1.0, 0.0], [2.0, -3.0]]), torch.tensor([[4.0, 0.0], [2.0, 3.0]])]
    # Two values d apart: mean in the middle, 2 (d/2)^2 / (2 - 1) = d^2 / 2.
    expected = torch.tensor([[3.0, 0.0], [0.0, 6.0]]) / math.sqrt(2)
    assert torch.allclose(standard_deviation(draws), expected, rtol=1e-6, atol=0)
    # Three: 1, 1, 4 lie -1, -1, 2 from their mean; 6 / (3 - 1) = 3.
    three = standard_deviation([torch.full((1, 1), v) for v in (1.0, 1.0, 4.0)])
    assert three.item() == pytest.approx(math.sqrt(3), rel=1e-6)


def test_standard_deviation_of_gaussian_draws() -> None:
    count, size = 4, 40_000
    scale = torch.tensor([[0.02], [0.5]])
    draws = [scale * noise(seed, 2, size) / 0.1 + 0.3 for seed in range(count)]
    variance = standard_deviation(draws).double().square().mean(dim=1)
    # An unbiased variance of K Gaussian draws has mean s^2 and standard deviation s^2 sqrt(2 / (K - 1)).
    error = 5 * math.sqrt(2 / (count - 1) / size)
    assert (variance / scale[:, 0].double() ** 2 - 1).abs().max() < error
    assert error < 1 / count / 4  # the biased one, (K - 1) / K, is far outside


def test_the_draws_of_a_scale_have_a_share_that_is_known() -> None:
    """x, x and 4x: mean 2x, variance 3 |X|^2, power 6 |X|^2 in every bin and frame: one half."""
    x = noise(0)
    level, apart = certainty_db([x, x, 4 * x])
    assert level.shape == apart.shape == (WINDOW // 2 + 1, RATE // HOP + 1)
    sounding = level > FLOOR_DB + 1
    assert sounding.float().mean() > 0.99
    # Powers of two scale exactly: only the sums of three squares round, 1e-6 of them or 4e-6 dB.
    assert (apart[sounding] - 10 * math.log10(0.5)).abs().max() < 1e-4
    # A second channel in which all agree: variance 3 / 2, power (6 + 1) / 2. The mean of both shares were 1/4.
    two = [torch.cat([one, x]) for one in (x, x, 4 * x)]
    assert (certainty_db(two)[1][sounding] - 10 * math.log10(3 / 7)).abs().max() < 1e-4


def test_level_is_power_over_its_greatest() -> None:
    """A tone in the middle of a bin, ten times softer in the second half."""
    time = torch.arange(RATE)
    tone = torch.sin(2 * math.pi * 64 * time / WINDOW) * torch.where(time < RATE // 2, 1.0, 0.1)
    level, _ = certainty_db([tone[None], tone[None]])
    assert level.amax() == 0
    assert level.amin() == FLOOR_DB
    loud, soft = level[64, 10:20], level[64, -20:-10]
    # A Hann window takes a tone in its middle bin as it is at any phase: float32 rounding is left.
    assert loud.abs().max() < 1e-3
    assert (soft + 20).abs().max() < 1e-3
    assert certainty_db([tone[None]] * 2, floor_db=-10.0)[0].amin() == -10


@pytest.mark.parametrize("channels", [1, 2])
def test_draws_that_are_equal_are_certain_everywhere(channels: int) -> None:
    x = noise(0, channels)
    level, apart = certainty_db([x, x.clone(), x.clone()])
    assert (apart == FLOOR_DB).all()
    assert level.amax() == 0
    assert (certainty_db([x, x], floor_db=-40.0)[1] == -40).all()


def expected_share(draws: int) -> tuple[float, float]:
    """Mean and standard deviation, dB, of what `certainty_db` gives for K independent white draws of one channel.

    The spectra are complex Gaussian, so variance / power = K / (K - 1) B with B of law Beta(K - 1, 1): its mean is
    exactly 1, and -ln B is exponential with mean 1 / (K - 1). Above 0 dB it is cut: what is left below is
    max(0, E - c) with E exponential and c = ln(K / (K - 1)), in units of 10 / ln 10 dB.
    """
    mean, over = 1 / (draws - 1), ((draws - 1) / draws) ** (draws - 1)  # over: chance that E is above c
    first, second = mean * over, 2 * mean**2 * over
    return -first * 10 / math.log(10), math.sqrt(second - first**2) * 10 / math.log(10)


def independent(values: Tensor) -> Tensor:
    """Cells that are independent for white noise: no sample shared, and three bins off where Hann's spectrum ends.

    Lowest and highest bin, real and not complex, are left out.
    """
    return inner(values)[3:-3:3, ::FRAMES]


def misses(draws: int) -> float:
    """Distance from the expected share, in standard errors."""
    cells = independent(certainty_db([noise(seed, length=8 * RATE) for seed in range(draws)])[1]).double()
    mean, deviation = expected_share(draws)
    return abs(float(cells.mean()) - mean) / (deviation / math.sqrt(cells.numel()))


@pytest.mark.parametrize("draws", [2, 4, 8])
def test_independent_draws_have_nothing_in_common(draws: int) -> None:
    assert misses(draws) < 4


def test_a_biased_variance_would_be_seen() -> None:
    real = spread._moments

    def biased(draws: list[Tensor]) -> tuple[Tensor, Tensor]:
        variance, power = real(draws)
        return variance * (len(draws) - 1) / len(draws), power

    with mock.patch.object(spread, "_moments", biased):
        assert misses(4) > 20


def test_a_band_in_which_they_agree_and_one_in_which_they_do_not() -> None:
    common = band(noise(0), 0, 3000)
    draws = [common + band(noise(seed), 5000, 8001) for seed in (1, 2, 3, 4)]
    level, apart = (inner(values) for values in certainty_db(draws))
    width = RATE / WINDOW
    agreed, guessed = slice(1, int(2900 / width)), slice(int(5100 / width), -1)
    assert level[agreed].mean() > -20
    assert level[guessed].mean() > -20
    # Hann's side lobes fall with the cube of the distance: 2 kHz are 128 bins, 1 / (pi 128^3) or -136 dB.
    assert (apart[agreed] == FLOOR_DB).all()
    mean, deviation = expected_share(4)
    # Neighbours are not independent here: cells / (3 FRAMES) of them at least are.
    error = deviation / math.sqrt(apart[guessed].numel() / (3 * FRAMES))
    assert abs(float(apart[guessed].mean()) - mean) < 4 * error
    # Between the bands nothing sounds: that is certain, whatever the ratio of two nothings.
    silent = slice(int(3800 / width), int(4200 / width))
    assert (apart[silent] == FLOOR_DB).all()
    assert (level[silent] == FLOOR_DB).all()


@pytest.mark.parametrize("draws", [2, 3])
@pytest.mark.parametrize("scale", [0.0, 1e-15])
def test_silence_is_certain(draws: int, scale: float) -> None:
    """Also what is next to it: below -200 dB there is no telling noise from silence."""
    silent = [scale * noise(seed) for seed in range(draws)]
    for values in certainty_db(silent):
        assert (values == FLOOR_DB).all()
    assert torch.isfinite(standard_deviation(silent)).all()


@pytest.mark.parametrize("length", [1, 200, 512, 513])
def test_recordings_shorter_than_a_window(length: int) -> None:
    level, apart = certainty_db([noise(seed, 2, length) for seed in (0, 1)])
    assert level.shape == apart.shape == (WINDOW // 2 + 1, length // HOP + 1)
    assert torch.isfinite(level).all()
    assert torch.isfinite(apart).all()
    assert level.amax() == 0


def test_nothing_is_changed() -> None:
    draws = [noise(0), noise(1)]
    kept = [x.clone() for x in draws]
    standard_deviation(draws)
    certainty_db(draws)
    assert all(torch.equal(x, y) for x, y in zip(draws, kept, strict=True))
