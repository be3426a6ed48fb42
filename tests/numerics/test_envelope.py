"""Levels of bands in frames: what they are of noise, tones and impulses, and that a signal can be given them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiofix.numerics import envelope
from audiofix.numerics.envelope import (
    AROUND,
    BANDS,
    FEATURES,
    HOP,
    MOST_DB,
    PER_FRAME,
    QUIETEST,
    SHORT_BANDS,
    SHORT_HOP,
    SMOOTH,
    WIDTH,
    WINDOW,
    doubted,
    eased,
    features,
    known_bands,
    levels,
    shaped,
    spectrum,
    unscaled,
)

# Of log10 of an exponential variable of mean 1: its mean and variance.
MEAN, VARIANCE = -0.5772156649 / math.log(10), math.pi**2 / 6 / math.log(10) ** 2
# Windows of a lattice of redundancy four: the sum of squared correlations of one coefficient with all is four
# (Moyal), and logarithms of powers correlate less than powers do.
REDUNDANCY = WINDOW / HOP
SILENCE = math.log10(QUIETEST)


def noise(*shape: int, seed: int = 0, scale: float = 0.1) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tones(bins: list[int], time: int, scale: float = 0.1) -> Tensor:
    """Each of whole periods in WINDOW: in Hann's window it has that bin and the two beside."""
    t = 2 * math.pi * torch.arange(time, dtype=torch.float64) / WINDOW
    return scale * torch.stack([torch.cos(k * t + k) for k in bins]).sum(dim=0, keepdim=True)


def edges(*shares: float) -> Tensor:
    return torch.tensor(shares)


# What is measured.


def test_levels_of_white_noise() -> None:
    found = levels(spectrum(noise(2, 64 * HOP)))
    assert found.shape == (2, 65, BANDS)
    inner = found[:, 4:-4, 1:]  # frames that lie inside, and bands whose bins are complex
    power = 0.1**2 * float(torch.hann_window(WINDOW).double().square().sum())
    deviation = math.sqrt(VARIANCE * REDUNDANCY / (inner.numel() * WIDTH))
    assert deviation < 0.006
    assert float(inner.mean()) == pytest.approx(math.log10(power) + MEAN, abs=5 * deviation)


@pytest.mark.parametrize("band", [0, 1, 63, 127])
def test_a_tone_is_in_its_band(band: int) -> None:
    found = levels(spectrum(tones([WIDTH * band + 3], 16 * HOP)))[0, 4:-4]
    bins = (0.1 * WINDOW / 4) ** 2  # of the middle one; those beside have a quarter
    expected = torch.full((BANDS,), SILENCE)
    expected[band] = (5 * SILENCE + 3 * math.log10(bins) - 2 * math.log10(4)) / WIDTH
    # The least power is added to that of a bin, and in double precision nothing else is there.
    assert (found - expected).abs().max() < 1e-6


def test_silence_has_the_least_level() -> None:
    assert levels(spectrum(torch.zeros(1, 2048))).tolist() == [[[pytest.approx(SILENCE)] * BANDS] * 5]


def test_bands_are_known_that_lie_below_the_edge() -> None:
    just = 1e-6
    found = known_bands(edges(0.0, 1 / 128, 0.5 - just, 0.5, 0.5 + just, 1 - just, 1.0))
    assert found.sum(dim=1).tolist() == [0, 1, 63, 64, 64, 127, 128]
    # From the lowest on, without a hole.
    assert torch.equal(found, found.sort(dim=1, descending=True).values)
    assert known_bands(edges(0.5, 0.51), SHORT_BANDS).sum(dim=1).tolist() == [16, 16]


# What a network is shown.


def parts(shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Long frames' levels, those of the short frames one after the other, and which bands are known."""
    long, short, known = shown.split([BANDS, PER_FRAME * SHORT_BANDS, BANDS], dim=2)
    return long, short.unflatten(2, (PER_FRAME, SHORT_BANDS)).flatten(1, 2), known


@pytest.mark.parametrize("time", [100, 511, 512, 513, 640, 5000])
def test_there_is_a_frame_for_every_hop_and_zero_where_nothing_is_known(time: int) -> None:
    edge = edges(0.1, 0.5, 1.0)
    shown = features(noise(3, time), edge)
    assert shown.shape == (3, 1 + time // HOP, FEATURES) == (3, spectrum(noise(1, time)).shape[2], FEATURES)
    long, short, known = parts(shown)
    seen, fewer = known_bands(edge)[:, None], known_bands(edge, SHORT_BANDS)[:, None]
    assert torch.equal(known, seen.expand_as(known).double())
    assert not (long * (1 - seen)).any()
    assert not (short * (1 - fewer)).any()
    # All that is known is told; nothing of noise is exactly at zero.
    assert ((long != 0) == seen.bool()).all()
    assert ((short != 0) == fewer.bool()).all()


def test_scales_are_those_of_what_is_told() -> None:
    wave = noise(1, 8 * HOP)
    long, _, _ = parts(features(wave, edges(1.0)))
    assert (unscaled(long) - levels(spectrum(wave))).abs().max() < 1e-12
    # White noise at the working level fits between -1 and 1, in short frames too.
    assert max(float(part.abs().max()) for part in parts(features(wave, edges(1.0)))[:2]) < 1


def test_what_lies_in_unknown_bands_is_not_seen() -> None:
    """Tones of whole periods in both windows, which reach one bin further in each; only there they break off."""
    low, edge = noise(1, 20 * HOP), edges(0.5)
    above = tones(
        [1024 // 2 + 8, 700, 1000], 20 * HOP, scale=1.0
    )  # two bins of the short window above the edge
    inner = slice(4, -4)
    before = features(low, edge)[:, inner]
    # Rounding of transforms, 1e-13, beside bins of noise of which the least of 20,000 is 1e-2 high.
    assert (features(low + above, edge)[:, inner] - before).abs().max() < 1e-9
    below = features(low + tones([200], 20 * HOP, scale=1.0), edge)[:, inner]
    assert (below - before).abs().max() > 0.1
    assert (
        features(low + above, edges(1.0))[:, inner] - features(low, edges(1.0))[:, inner]
    ).abs().max() > 0.1


def short_levels(wave: Tensor) -> Tensor:
    """(time of short frames, from one before the first long frame on), log10 of power, one band for all."""
    return (4 * parts(features(wave, edges(1.0)))[1] - 2 - 0.6)[0, :, 5]


@pytest.mark.parametrize("place", [4, 5, 6, 7, 17, 36])
def test_short_frames_lie_within_their_long_one(place: int) -> None:
    """An impulse in the middle of a short frame: Hann's window is 1 there, and 1/2 a short hop away."""
    wave = torch.zeros(1, 10 * HOP, dtype=torch.float64)
    wave[0, place * SHORT_HOP] = 0.5
    found = short_levels(wave)
    # Those of long frame f are the short ones from 4 f - 1 on.
    quiet = [SILENCE] * 3
    expected = [*quiet, math.log10(0.0625), math.log10(0.25), math.log10(0.0625), *quiet]
    assert found[place + 1 - 4 : place + 1 + 5].tolist() == pytest.approx(expected, abs=1e-6)
    long = parts(features(wave, edges(1.0)))[0][0, :, 5]
    assert abs(int(long.argmax()) - place / PER_FRAME) <= 0.5  # of a hop


# What a signal is given.

FLAT = edges(0.0)  # nothing is known


def test_rises_count_half_beyond_what_is_trusted_and_falls_count_whole() -> None:
    mine = torch.tensor([0.0, -1.0, 2.0, 0.0, 0.0])
    told = torch.tensor([-3.0, -0.5, 2.7, 1.7, 0.7])
    assert torch.allclose(doubted(told, mine, 0.7), torch.tensor([-3.0, -0.5, 2.7, 1.2, 0.7]), atol=1e-6)


def test_what_is_loud_within_a_second_is_lowered_and_what_is_a_tenth_of_it_is_not() -> None:
    frames = 4 * AROUND
    told = torch.full((2, frames, BANDS), -3.0, dtype=torch.float64)
    known = known_bands(edges(0.5, 0.25))
    told[0, :, 100] = 1.0  # of 64 bands that are missing: their mean power is log10(10 / 64 + 1e-3)
    told[1, 2 * AROUND, 64:] = 1.0  # once: half of 96 bands are loud in it
    found = told - eased(told, known, 0.6)
    usual = math.log10((10 + 63e-3) / 64)
    assert torch.allclose(found[0, :, 100], torch.tensor(0.6, dtype=torch.float64))
    low = 0.6 * min(1.0, max(0.0, -3.0 - usual + 1))
    assert float(found[0, :, :100].max()) == pytest.approx(low, abs=1e-9)
    # Where nothing is louder than the mean all is lowered; within a second of what is loud the rest is not.
    assert torch.allclose(found[1, 2 * AROUND + AROUND + 1 :], torch.tensor(0.6, dtype=torch.float64))
    assert found[1, 2 * AROUND - AROUND : 2 * AROUND].abs().max() == 0
    assert torch.allclose(found[1, 2 * AROUND, 64:], torch.tensor(0.6, dtype=torch.float64))


@pytest.mark.parametrize(("below", "share"), [(0.0, 1.0), (0.25, 0.75), (0.9, 0.1), (1.5, 0.0)])
def test_between_the_mean_and_a_tenth_of_it_levels_are_lowered_in_proportion(
    below: float, share: float
) -> None:
    told = torch.zeros(1, 10, BANDS, dtype=torch.float64)
    told[:, :, -1] = -below
    mean = math.log10((63 + 10**-below) / 64)
    found = told - eased(told, known_bands(edges(0.5)), 0.5)
    assert torch.allclose(
        found[..., -1], torch.tensor(0.5 * min(1.0, max(0.0, 1 - below - mean)), dtype=torch.float64)
    )
    assert float(found[0, 0, -1]) == pytest.approx(0.5 * share, abs=0.5 * abs(mean) + 1e-12)


def test_known_bands_do_not_tell_what_is_loud_and_nothing_missing_is_no_fault() -> None:
    told = -2 + noise(1, 50 * BANDS).reshape(1, 50, BANDS)
    known, other = known_bands(edges(0.5)), told.clone()
    other[:, :, :64] += 3
    assert torch.equal(eased(told, known, 0.5)[:, :, 64:], eased(other, known, 0.5)[:, :, 64:])
    assert eased(told, known_bands(edges(1.0)), 0.5).isfinite().all()


def own(wave: Tensor) -> Tensor:
    return levels(spectrum(wave))


@pytest.mark.parametrize("rounds", [1, 3])
def test_its_own_levels_change_nothing(rounds: int) -> None:
    wave = noise(2, 5000)
    for share in (0.0, 0.4, 1.0):
        known = known_bands(edges(share, share))
        assert (shaped(wave, own(wave), known, rounds) - wave).abs().max() < 1e-12


def test_what_is_known_altogether_stays() -> None:
    wave = noise(1, 5000)
    assert (shaped(wave, own(wave) + 1, known_bands(edges(1.0))) - wave).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("wanted", "got"), [(0.7, 0.7), (-0.7, -0.7), (5.0, MOST_DB / 10), (-5.0, -MOST_DB / 10)]
)
@pytest.mark.parametrize("rounds", [1, 2])
def test_one_gain_for_all_is_a_factor_and_has_a_limit_in_each_round(
    wanted: float, got: float, rounds: int
) -> None:
    # Ten times as loud as usual: 50 dB less must lie above what counts as silence by far.
    wave = noise(1, 5000, scale=10.0)
    expected = wanted if abs(wanted) < 3 else max(-abs(wanted), min(abs(wanted), rounds * got))
    found = shaped(wave, own(wave) + wanted, known_bands(FLAT), rounds)
    # What counts as silence is added to power: relative to the quietest of 40,000 bins at -50 dB.
    assert (found / 10 ** (expected / 2) - wave).abs().max() < 1e-4 * float(wave.abs().max())


def test_a_frames_levels_are_its_own() -> None:
    wave = noise(1, 40 * HOP)
    wanted = own(wave)
    wanted[:, 20:] += 1
    found = shaped(wave, wanted, known_bands(FLAT), rounds=1)
    before, after = slice(0, 18 * HOP), slice(22 * HOP, None)  # two hops are half a window
    assert (found - wave)[:, before].abs().max() < 1e-12
    # Which bands are known is told in float32, and so is over how many a mean goes.
    assert (found - wave * 10**0.5)[:, after].abs().max() < 1e-7
    assert (found - wave)[:, 19 * HOP :].abs().max() > 0.01


def smooth_by_hand(gain: Tensor, missing: Tensor) -> Tensor:
    found = torch.zeros_like(gain)
    for band in range(gain.shape[2]):
        if missing[band]:
            near = [b for b in range(gain.shape[2]) if abs(b - band) <= SMOOTH // 2 and missing[b]]
            found[:, :, band] = gain[:, :, near].mean(dim=2)
    return found


@pytest.mark.parametrize("first", [0, 1, 64, 126, 127, 128])
def test_gains_are_averaged_over_missing_bands_alone(first: int) -> None:
    gain, missing = noise(2, 3, BANDS, scale=1.0), (torch.arange(BANDS) >= first).double()
    found = envelope._smooth(gain, missing[None, None].expand(2, 1, -1))
    assert (found - smooth_by_hand(gain, missing)).abs().max() < 1e-14


def test_gains_of_bins_lie_on_lines_between_those_of_bands() -> None:
    slope = 0.02 * torch.arange(BANDS).double()
    found = envelope._over_bins(slope.expand(1, 1, -1))[0, :, 0].log10() * 2
    bins = torch.arange(WINDOW // 2 + 1).double()
    middles = (bins - (WIDTH - 1) / 2) / WIDTH
    assert (found - 0.02 * middles.clamp(0, BANDS - 1)).abs().max() < 1e-12


EDGE = 40  # bands


def tilted(frames: int) -> Tensor:
    """Levels that fall over bands and rise and fall in time, far from those of white noise."""
    bands, time = torch.arange(BANDS).double(), torch.arange(frames).double()
    return (0.5 - 0.02 * bands + 0.5 * torch.sin(time / 12)[:, None]).expand(1, frames, -1)


def test_noise_is_given_the_levels_that_are_wanted() -> None:
    wave = noise(1, 120 * HOP)
    wanted, known = tilted(121), known_bands(edges(EDGE / BANDS))
    # Next to the edge gains lead over to 0, and the means of two more bands hold that.
    inner = (0, slice(4, -4), slice(EDGE + 3, None))
    before = (own(wave) - wanted)[inner]
    assert float(before.square().mean().sqrt()) > 0.5

    def apart(rounds: int) -> Tensor:
        found: Tensor = (own(shaped(wave, wanted, known, rounds)) - wanted)[inner]
        return found

    found = apart(envelope.ROUNDS)
    # On the average: within what a mean of so many logarithms errs by if nobody corrects it.
    assert abs(float(found.mean())) < 2 * math.sqrt(VARIANCE * REDUNDANCY / (found.numel() * WIDTH))

    def smoothed(x: Tensor) -> float:
        return float(x.unfold(1, SMOOTH, 1).mean(dim=2).square().mean().sqrt())

    # In each frame, on the average over SMOOTH bands: half of what noise of these levels has by itself, of bins
    # that correlate by 2/3 and 1/6 with those beside; rounds bring it closer.
    alone = math.sqrt(VARIANCE * (1 + 2 * (4 / 9 + 1 / 36)) / (SMOOTH * WIDTH))
    assert smoothed(found) < 0.5 * alone
    assert smoothed(found) < 0.85 * smoothed(apart(1))
    # Single bands are left to the signal: their fine structure is that of noise, not a line.
    assert float(found.square().mean().sqrt()) > 1.5 * alone


def test_known_bands_stay() -> None:
    wave = noise(1, 120 * HOP)
    found = shaped(wave, tilted(121), known_bands(edges(EDGE / BANDS)))
    changed, whole = (spectrum(x)[0, :, 4:-4].abs().square().mean(dim=1) for x in (found - wave, wave))
    ratio = 10 * (changed / whole).log10()
    # Gains leave 1 in the middle of the last known band. A frame is windowed twice, by a smooth window whose side
    # lobes, 32 bins away and more, lie 90 dB lower.
    assert float(ratio[: WIDTH * (EDGE - 4)].max()) < -90
    assert float(ratio[WIDTH * EDGE : -WIDTH].min()) > -20
