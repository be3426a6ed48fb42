"""One signal for many draws: `audiofix.numerics.typical`."""

from __future__ import annotations

import math

import torch

from audiofix.numerics.metrics import log_spectral_distance
from audiofix.numerics.typical import HOP, WINDOW, typical

TIME = 16000


def draws(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [0.1 * torch.randn(2, 1, TIME, generator=generator) for _ in range(count)]


def test_one_draw_comes_back_as_it_is() -> None:
    (draw,) = draws(1)
    assert typical([draw]) is draw


def test_equal_draws_come_back() -> None:
    (draw,) = draws(1)
    found = typical([draw, draw, draw])
    assert found.shape == draw.shape
    # Their own spectrogram is one of a signal, theirs: only rounding is left, of sums of thousands of terms.
    assert float((found - draw).abs().max()) < 1e-4


def test_levels_are_means_in_decibels() -> None:
    """A tone at 0 and at -20 dB is typically at -10, where the mean of both is at -5.2."""
    time = torch.arange(TIME) / TIME
    tone = torch.sin(2 * math.pi * 1000 * time)
    found = typical([tone, 0.1 * tone])
    inner = slice(WINDOW, -WINDOW)
    level = 20 * math.log10(float(found[inner].square().mean() / tone[inner].square().mean()) ** 0.5)
    assert abs(level + 10) < 0.05


def test_it_does_not_fade_where_phases_disagree() -> None:
    many = draws(8)
    whole, faded = typical(many), torch.stack(many).mean(dim=0)
    power = [10 * math.log10(float(x.square().mean() / many[0].square().mean())) for x in (whole, faded)]
    assert abs(power[1] + 10 * math.log10(8)) < 0.3
    # Mean log power of white noise is Euler's constant, 2.5 dB, under its power; bins also lose by being smooth.
    assert -4.0 < power[0] < -1.5


def test_each_round_brings_it_nearer_to_what_was_wanted_and_it_is_nearer_to_others_than_a_draw() -> None:
    """Truth and draws from one law: less log-spectral distance than a draw has, less after more rounds."""
    truth, *many = (x[0, 0] for x in draws(9, seed=3))
    found = [float(log_spectral_distance(typical(many, rounds), truth)) for rounds in (0, 2, 8)]
    # Two exponential variables: the logarithms' difference has twice the variance of one, pi^2 / 6 each.
    alone = float(log_spectral_distance(many[0], truth))
    assert abs(alone - math.sqrt(2 * math.pi**2 / 6) / math.log(10)) < 0.05
    assert found[0] > found[1] > found[2]
    least = math.sqrt(math.pi**2 / 6 * (1 + 1 / 8)) / math.log(10)  # were any spectrogram one of a signal
    assert least < found[2] < 0.9 * alone


def test_short_recordings_and_silence_are_no_trouble() -> None:
    for time in (1, HOP, WINDOW - 1):
        found = typical([torch.ones(1, time), 0.5 * torch.ones(1, time)])
        assert found.shape == (1, time)
        assert bool(found.isfinite().all())
    assert float(typical([torch.zeros(1, 4000)] * 2).abs().max()) < 1e-5
