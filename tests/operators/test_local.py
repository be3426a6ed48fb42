"""Filters of bounded reach: the whole circle's but on a slope, the same bits on any stretch, and no further."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiofix.operators.band import Band
from audiofix.operators.local import DEPTH, REACH, SLOPE, SLOPE_STD, Blocks, LocalBand, LocalNoise, within
from audiofix.operators.noise import Noise

SECONDS = 4
RATES = [(16000, 44100), (16000, 16000), (48000, 16000), (11025, 16000)]


def noise(rate: int, seconds: float = SECONDS, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(2, 1, round(seconds * rate), generator=generator)


def tone(hertz: float, rate: int) -> Tensor:
    """One that is silent at both ends, so that round a circle and between silence is the same."""
    t = torch.arange(SECONDS * rate, dtype=torch.float64) / rate
    return (torch.sin(2 * math.pi * hertz * t) * torch.sin(math.pi * t / SECONDS) ** 4)[None, None]


def lacking(x: Tensor, rate: int, hertz: float) -> Tensor:
    """Round a circle, without what lies within SLOPE of a frequency."""
    spectrum = torch.fft.rfft(x.double())
    places = torch.arange(spectrum.shape[-1]) / (x.shape[-1] / rate)
    spectrum[..., (places - hertz).abs() < SLOPE] = 0
    return torch.fft.irfft(spectrum, n=x.shape[-1])


@pytest.mark.parametrize(("came", "goes"), RATES)
@pytest.mark.parametrize("cutoff", [math.inf, 3000.0])
def test_away_from_the_slope_it_is_the_ideal_band(came: int, goes: int, cutoff: float) -> None:
    local, ideal = LocalBand(came, goes, cutoff), Band(came, goes, cutoff)
    x = lacking(noise(came), came, local.edge)
    if not math.isfinite(cutoff):  # between the edge and the Nyquist frequency the ideal band goes on
        x = Band(came, came, local.edge).forward(x)
    found, wanted = local.forward(x), ideal.forward(x)
    assert found.shape == wanted.shape
    inner = slice(
        goes, -goes
    )  # where blocks see nothing of the ends, at which the one goes on round the circle
    # Each bin's response is DEPTH off at most, and the answer is cut where it has fallen to DEPTH.
    error = (found - wanted)[..., inner].square().mean().sqrt()
    assert float(error) < 2 * DEPTH * float(x.square().mean().sqrt())
    unlike = LocalBand(came, goes, local.edge - SLOPE).forward(x) - wanted
    assert float(unlike[..., inner].square().mean().sqrt()) > 100 * float(error)


@pytest.mark.parametrize("off", [-8.0, -3.0, 0.0, 3.0, 8.0])
def test_on_the_slope_a_tone_passes_as_the_gaussian_says(off: float) -> None:
    local = LocalBand(16000, 48000, 4000.0)
    x = tone(4000 + off, 16000)
    expected = math.erfc(off / SLOPE_STD / 2**0.5) / 2
    middle = slice(2 * 48000 - 500, 2 * 48000 + 500)
    passed = Band(16000, 48000, 8000).forward(x)[..., middle]
    found = local.forward(x)[..., middle]
    # The tone's own fading is 1 Hz wide: the response bends by less than (1 Hz / SLOPE_STD)^2 / 8.
    assert float((found - expected * passed).abs().max()) < 1 / SLOPE_STD**2 / 8


@pytest.mark.parametrize(("came", "goes"), RATES)
def test_a_stretch_has_the_bits_of_the_whole_and_a_shorter_margin_has_not(came: int, goes: int) -> None:
    x = noise(came)
    whole, blocks = LocalBand(came, goes).forward(x), Blocks(came, goes)
    margin = 2 * blocks.size(came)
    left, right = round(1.1 * came), round(3.05 * came)
    cut = LocalBand(came, goes, origin=left - margin)
    part = x[..., left - margin : right + margin]
    start, _ = cut.span(part.shape[-1])
    inner = slice(-(-left * goes // came), right * goes // came)
    assert torch.equal(cut.forward(part)[..., inner.start - start : inner.stop - start], whole[..., inner])
    short = LocalBand(came, goes, origin=left)
    start, _ = short.span(right - left)
    assert not torch.equal(
        short.forward(x[..., left:right])[..., inner.start - start : inner.stop - start], whole[..., inner]
    )


@pytest.mark.parametrize(("came", "goes"), RATES)
def test_nothing_beyond_reach_is_heard(came: int, goes: int) -> None:
    x = torch.zeros(1, 1, SECONDS * came)
    x[..., 2 * came] = 1.0
    y = LocalBand(came, goes).forward(x)
    seconds = (torch.arange(y.shape[-1]) / goes - 2).abs()
    assert float(y[..., seconds > 2 * Blocks(came, goes).seconds].abs().max()) == 0
    # A click's answer falls as the ideal one, 1 / (pi t), times the Gaussian.
    far = seconds > REACH
    assert float(y[..., far].abs().max()) <= 2 * DEPTH


def test_projection_takes_the_known_band_and_leaves_what_explains_it() -> None:
    band = LocalBand(16000, 44100, 3000.0)
    x, other = noise(16000), noise(16000, seed=1)
    y = band.forward(x)
    assert float((band.project(x, y) - x).abs().max()) < 1e-7
    found = band.project(other, y)
    low, high = LocalBand(16000, 16000, 3000 - 2 * SLOPE), LocalBand(16000, 16000, 3000 + 2 * SLOPE)
    inner = slice(8000, -8000)  # ends are cut off: the whole circle has none
    assert float((low.forward(found) - low.forward(x))[..., inner].abs().max()) < 1e-5
    above = (found - high.forward(found)) - (other - high.forward(other))
    assert float(above[..., inner].abs().max()) < 1e-5


@pytest.mark.parametrize(("came", "goes"), RATES)
def test_adjoint(came: int, goes: int) -> None:
    band = LocalBand(came, goes, 2000.0)
    x, v = noise(came).double(), noise(goes, seed=1).double()
    found, other = (band.forward(x) * v).sum(), (x * band.pullback(x, v)).sum()
    # Blocks are cut from answers that have fallen to DEPTH.
    assert abs(float(found - other)) < 10 * DEPTH * float(x.norm() * v.norm())


def profile() -> Tensor:
    return 0.05 * (1.2 + torch.cos(torch.linspace(0, 9, 1025)))


def test_noise_weighs_as_the_whole_circle_does() -> None:
    estimate, y = noise(16000), noise(16000, seed=1)
    fade = torch.sin(math.pi * torch.arange(y.shape[-1]) / y.shape[-1]) ** 4
    estimate, y, variance = estimate * fade, y * fade, 0.01
    local, ideal = LocalNoise(profile(), 16000), Noise(profile())
    found, wanted = local.combine(estimate, y, variance), ideal.combine(estimate, y, variance)
    # What is cut off the response in time, the sum of which bounds the error (Young's inequality).
    fine = 1 << 17
    places = torch.linspace(0, 1024, fine // 2 + 1, dtype=torch.float64)
    below = places.long().clamp(max=1023)
    power = profile().double().square()
    weight = variance / (variance + torch.lerp(power[below], power[below + 1], places - below))
    answer = torch.fft.irfft(weight, n=fine)
    seconds = torch.minimum(torch.arange(fine), fine - torch.arange(fine)) / 16000
    kept = torch.exp(-2 * (math.pi * SLOPE_STD * seconds) ** 2) * (seconds <= REACH)
    bound = float((answer * (1 - kept)).abs().sum()) * float((y - estimate).abs().max())
    assert float((found - wanted).abs().max()) < bound + 1e-7
    assert bound < 1e-3 < float((wanted - estimate).abs().max())


def test_white_noise_is_the_very_same() -> None:
    estimate, y = noise(16000), noise(16000, seed=1)
    flat = torch.tensor([0.03])
    assert torch.equal(
        LocalNoise(flat, 16000, 77).combine(estimate, y, 0.01), Noise(flat).combine(estimate, y, 0.01)
    )


def test_noise_of_a_stretch_has_the_bits_of_the_whole() -> None:
    estimate, y = noise(16000), noise(16000, seed=1)
    whole = LocalNoise(profile(), 16000).combine(estimate, y, 0.01)
    part = LocalNoise(profile(), 16000, 9001).combine(estimate[..., 9001:], y[..., 9001:], 0.01)
    assert torch.equal(part[..., 8000:], whole[..., 17001:])
    assert not torch.equal(part[..., :3000], whole[..., 9001:12001])


def test_reading_beyond_what_is_at_hand_gives_zeros() -> None:
    x = torch.arange(1.0, 5.0)[None, None]
    read = within(x, 10)
    assert read(8, 12).tolist() == [[[0, 0, 1, 2]]]
    assert read(13, 16).tolist() == [[[4, 0, 0]]]
    assert read(0, 3).tolist() == [[[0, 0, 0]]]
