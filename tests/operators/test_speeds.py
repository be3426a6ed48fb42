"""Playing at another speed: frequencies where they belong, parts as the whole, there and back."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from audiofix.operators.speeds import BAND, CROSSINGS, at_speed, reach

SPEEDS = [Fraction(*pair) for pair in ((31, 32), (33, 32), (15, 16), (17, 16), (2, 3), (5, 4))]
RIPPLE = (
    3e-4  # of a Kaiser window of 8: 81 dB down, 9e-5, once in the pass band and once for each image kept out
)


def tone(frequency: float, count: int, speed: Fraction = Fraction(1)) -> Tensor:
    """A sine of so many half cycles for each 1 of `frequency` and sample, at sample m / speed."""
    times = torch.arange(count, dtype=torch.float64) / float(speed)
    return torch.sin(math.pi * frequency * times)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("frequency", [0.001, 0.2, 0.5])
def test_a_tone_is_the_tone_at_other_times(speed: Fraction, frequency: float) -> None:
    found = at_speed(tone(frequency, 4000), speed)
    assert len(found) == math.ceil(4000 * speed)
    inner = slice(2 * CROSSINGS, -2 * CROSSINGS)
    assert (found - tone(frequency, len(found), speed))[inner].abs().max() < RIPPLE
    back = at_speed(found, 1 / speed)[:4000]
    assert (back - tone(frequency, 4000))[4 * CROSSINGS : -4 * CROSSINGS].abs().max() < 2 * RIPPLE


@pytest.mark.parametrize("speed", [speed for speed in SPEEDS if speed < 1])
def test_what_the_slower_rate_cannot_hold_is_gone(speed: Fraction) -> None:
    """Half of the transition lies beyond the band's edge: for 81 dB it is (81 - 8) / 2.285 / (2 * 32) wide."""
    edge = float(speed) * (BAND + (81 - 8) / 2.285 / (2 * CROSSINGS) / math.pi / 2)
    if edge < 1:
        found = at_speed(tone(edge, 4000), speed)
        assert found[2 * CROSSINGS : -2 * CROSSINGS].abs().max() < RIPPLE


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_part_has_the_bits_of_the_whole(speed: Fraction) -> None:
    wave = torch.randn(2, 3, 5000, generator=torch.Generator().manual_seed(0))
    whole, left = at_speed(wave, speed), 20 * speed.denominator
    part = at_speed(wave[..., left:4000], speed)
    first = math.ceil(reach(speed) * speed)
    at = int(left * speed)
    assert torch.equal(part[..., first:-first], whole[..., at + first : at + part.shape[-1] - first])
    # A sample less than what is said does matter: half of it does.
    half = first // 2
    assert not torch.equal(part[..., half:-half], whole[..., at + half : at + part.shape[-1] - half])


def test_speed_one_is_the_wave_itself() -> None:
    wave = torch.randn(1, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(at_speed(wave, Fraction(1)), wave)
    assert reach(Fraction(1)) == 0


def test_nothing_stays_nothing() -> None:
    assert at_speed(torch.zeros(2, 0), Fraction(31, 32)).shape == (2, 0)
