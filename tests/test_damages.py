"""Faults with numbers: at another level, another place, another rate; what was changed and what was put back."""

from __future__ import annotations

import math
from dataclasses import replace

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.damages import (
    Cut,
    Fault,
    LostBand,
    LostSamples,
    Noisy,
    Rounded,
    at_other_rate,
    explained,
    known_mask,
    operator_of,
    scaled,
    shifted,
)
from audiofix.effect import changes, exact
from audiofix.operators.band import Band
from audiofix.operators.chain import ROUNDS, Added, Chain
from audiofix.operators.clip import EDGE, Clip
from audiofix.operators.gap import Gap
from audiofix.operators.noise import Noise
from audiofix.operators.quantise import Quantise
from tests.operators.test_laws import random

TIME, RATE = 400, 16000
SPANS = ((10, 20), (50, 51), (390, 400))
FAULTS: list[Fault] = [
    LostBand(3000.0),
    LostSamples(SPANS),
    Cut(-0.5, 0.25),
    Rounded(2.0**-4, 0.5),
    Noisy(torch.tensor([0.1, 0.05, 0.02])),
]


def signal(seed: int = 0) -> Tensor:
    """(channel, time) float32."""
    return (0.4 * random(2, TIME, seed=seed)).float()


def damaged(x: Tensor, *faults: Fault) -> Tensor:
    for fault in faults:
        operator = operator_of(fault, RATE, TIME)
        assert operator is not None
        x = operator.forward(x[:, None])[:, 0]
    return x


# Level and place.


@pytest.mark.parametrize("fault", FAULTS[:4], ids=lambda f: f.kind)
@hypothesis.settings(max_examples=20)
@hypothesis.given(gain=st.sampled_from([0.125, 0.5, 2.0, 8.0]))
def test_the_fault_of_a_louder_recording_is_the_scaled_one(fault: Fault, gain: float) -> None:
    """Powers of two: bit for bit; the band goes through float64 and is rounded once."""
    x = signal()
    assert torch.equal(damaged(x, fault) * gain, damaged(x * gain, scaled(fault, gain)))


def test_scaled_noise_is_as_much_louder_and_infinite_levels_stay() -> None:
    noise = scaled(FAULTS[4], 3.0)
    assert isinstance(noise, Noisy)
    assert torch.equal(noise.profile, 3 * torch.tensor([0.1, 0.05, 0.02]))
    assert scaled(Cut(-math.inf, 0.5), 2.0) == Cut(-math.inf, 1.0)
    for fault in FAULTS[:2]:
        assert scaled(fault, 7.0) == fault
    # Broken twin: a level that stays.
    assert not torch.equal(damaged(signal(), FAULTS[2]) * 2, damaged(signal() * 2, FAULTS[2]))


@pytest.mark.parametrize("samples", [0, 1, 130])
def test_the_fault_of_a_recording_with_a_lead_is_the_shifted_one(samples: int) -> None:
    found = shifted(FAULTS[1], samples)
    assert isinstance(found, LostSamples)
    assert found.count == FAULTS[1].count == 21
    long, short = known_mask(found.spans, TIME + samples), known_mask(SPANS, TIME)
    assert torch.equal(long[samples:], short)
    assert long[:samples].all()
    for fault in (FAULTS[0], *FAULTS[2:]):
        assert shifted(fault, samples) is fault


@hypothesis.settings(max_examples=30)
@hypothesis.given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5), st.integers(0, 50))
def test_known_is_what_is_in_no_span(spans: list[tuple[int, int]], length: int) -> None:
    found = known_mask(spans, length)
    assert found.dtype == torch.bool
    assert found.tolist() == [all(not a <= k < b for a, b in spans) for k in range(length)]


def test_each_fault_has_its_operator() -> None:
    band, gap, clip, quantise, noise = (operator_of(fault, RATE, TIME) for fault in FAULTS)
    assert band == Band(RATE, RATE, 3000.0)
    assert isinstance(gap, Gap)
    assert gap.gaps == list(SPANS)
    assert clip == Clip(-0.5, 0.25)
    assert quantise == Quantise(2.0**-4, 0.5)
    assert noise is None


def test_faults_are_described_in_one_line() -> None:
    many = LostSamples(tuple((100 * k, 100 * k + 16) for k in range(6)))
    for fault, expected in (
        (FAULTS[0], "nothing above 3000 Hz"),
        (LostSamples(((16000, 17600),)), "1 gap(s), 100 ms in all: 1.000-1.100 s"),
        (
            many,
            "6 gap(s), 6 ms in all: 0.000-0.001 s, 0.006-0.007 s, 0.013-0.013 s, 0.019-0.020 s and 2 more",
        ),
        (FAULTS[2], "clipped at -0.5 and 0.25"),
        (Cut(-math.inf, 0.5), "clipped at 0.5"),
        (Rounded(2.0**-7), "rounded to 8 bits"),
        (Noisy(torch.tensor([0.1])), "white noise of -20.0 dB re full scale"),
        (Noisy(torch.tensor([0.1, 0.1, 0.1000001])), "coloured noise of -20.0 dB re full scale"),
    ):
        assert fault.describe(RATE) == expected


# Noise at another rate.


def slope(bins: int) -> Tensor:
    return torch.linspace(0.2, 0.01, bins, dtype=torch.float64)


def density(profile: Tensor, rate: int, hertz: Tensor) -> Tensor:
    """Power per Hz, along straight lines."""
    place = hertz / (rate / 2) * (len(profile) - 1)
    below = place.long().clamp(max=len(profile) - 2)
    return torch.lerp(profile[below], profile[below + 1], place - below).square() / (rate / 2)


@pytest.mark.parametrize(("rate", "other"), [(44100, 16000), (48000, 16000), (22050, 16000), (16000, 16000)])
def test_noise_has_the_same_density_at_a_lower_rate(rate: int, other: int) -> None:
    profile = slope(1025)
    found = at_other_rate(profile, rate, other)
    hertz = torch.linspace(0, other / 2, 50, dtype=torch.float64)
    # The last bin is half a bin off at most, of those that are left.
    kept = 1024 * other / rate
    steep = float((profile[0] - profile[-1]) / profile[round(kept)])
    ratio = density(found, other, hertz) / density(profile, rate, hertz)
    assert (ratio - 1).abs().max() <= 2 * 0.5 / 1024 * steep * 1.01 + 1e-12
    # White noise of one number is quieter by what is filtered out.
    (one,) = at_other_rate(torch.tensor([0.1]).double(), rate, other)
    assert one == pytest.approx(0.1 * math.sqrt(other / rate), rel=1e-7)
    # Broken twin: the same standard deviations.
    if rate != other:
        ratio = density(profile[: len(found)], other, hertz) / density(profile, rate, hertz)
        assert (ratio - 1).abs().min() > 0.1


@pytest.mark.parametrize(("rate", "other"), [(8000, 16000), (11025, 16000), (12345, 16000)])
def test_at_a_higher_rate_there_is_hardly_any_noise_above_the_old_band(rate: int, other: int) -> None:
    profile = slope(1025)
    found = at_other_rate(profile, rate, other)
    hertz = torch.linspace(0, 0.99 * rate / 2, 50, dtype=torch.float64)
    # The bins are those of the old profile, and the last one is half a bin off.
    ratio = density(found, other, hertz) / density(profile, rate, hertz)
    assert (ratio - 1).abs().max() <= 2 * 0.5 / 1024 * float(
        profile[0] / density(profile, rate, hertz).sqrt().min()
    )
    above = density(found, other, torch.linspace(1.01 * rate / 2, other / 2, 20, dtype=torch.float64))
    assert above.max() <= 1e-12 / (other / 2)
    # So it is as loud as before, to the last bin of 1025.
    assert Noise(found).std == pytest.approx(Noise(profile).std, rel=2e-3)


def test_white_noise_of_one_number_stays_below_the_old_band() -> None:
    found = at_other_rate(torch.tensor([0.1]), 8000, 16000)
    assert Noise(found).std == pytest.approx(0.1, rel=0.05)


# What restoring did.


@pytest.mark.parametrize(
    "faults",
    [
        (LostSamples(SPANS),), (Cut(-0.5, 0.25),), (Rounded(0.125),), (Cut(-0.5, 0.25), LostSamples(SPANS)),
        (LostSamples(SPANS), Cut(-0.5, 0.25)), (Cut(-0.5, 0.25), Rounded(0.125), LostSamples(SPANS)),
    ],
    ids=lambda faults: " ".join(f.kind for f in faults),
)  # fmt: skip
def test_what_is_known_is_put_back_bit_for_bit(faults: tuple[Fault, ...]) -> None:
    result, y = signal(1), damaged(signal(), *faults)
    found = exact(result, y, RATE, faults)
    assert (found.dtype, found.shape) == (y.dtype, y.shape)
    assert torch.equal(damaged(found, *faults), y)
    known = known_mask(SPANS, TIME) if any(f.kind == "gap" for f in faults) else torch.ones(TIME).bool()
    assert torch.equal(exact(found, y, RATE, faults), found)
    if all(f.kind != "quantise" for f in faults):
        reliable = known & (y > -0.5) & (y < 0.25) if any(f.kind == "clip" for f in faults) else known
        assert torch.equal(found[reliable.expand_as(y)], y[reliable.expand_as(y)])
        told = changes(found, y, y, faults)
        assert told["largest_outside"] == 0
        assert told["of"] == 2 * TIME
        assert told["samples"] == int((found != y).sum()) <= int((~reliable.expand_as(y)).sum())
        # Before it was put back.
        assert changes(result, y, y, faults)["largest_outside"] > 0.1
    assert torch.equal(found[:, ~known], result[:, ~known])


@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[4]], ids=lambda f: f.kind)
def test_where_nothing_is_known_for_sure_nothing_is_put_back(fault: Fault) -> None:
    result, y = signal(1), signal()
    for faults in ([fault], [LostSamples(SPANS), fault], [fault, Cut(-0.5, 0.5)]):
        assert exact(result, y, RATE, faults) is result
        assert changes(result, y, y, faults)["largest_outside"] is None


def test_garbage_in_a_gap_does_not_matter() -> None:
    y, result = signal(), signal(1)
    spoilt = y.clone()
    spoilt[:, 10:20] = 7.0
    spoilt[:, 50] = math.nan
    for faults in ([LostSamples(SPANS)], [Cut(-0.5, 0.5), LostSamples(SPANS)]):
        heard = damaged(y, faults[0]) if len(faults) == 2 else y
        wrong = torch.where(known_mask(SPANS, TIME), heard, spoilt)
        assert torch.equal(exact(result, wrong, RATE, faults), exact(result, heard, RATE, faults))


def test_samples_that_count_as_cut_do_not_count_as_kept() -> None:
    y = torch.tensor([[0.5 - EDGE / 2, 0.1, -0.5]])
    found = exact(torch.tensor([[0.8, 0.3, -0.9]]), y, RATE, [Cut(-0.5, 0.5)])
    assert found.tolist() == torch.tensor([[0.8, 0.1, -0.9]]).tolist()
    assert changes(found, y, y, [Cut(-0.5, 0.5)])["largest_outside"] == 0


def test_changes_tell_the_level() -> None:
    y = signal()
    told = changes(2 * y, y, y, [LostSamples(((0, TIME),))])
    # Everything was lost: nothing was kept that could have been changed.
    assert told["largest_outside"] is None
    assert told["level_db"] == pytest.approx(20 * math.log10(2), abs=1e-6)
    # A guess of silence is counted as -200 dB, not as minus infinity.
    assert math.isfinite(changes(y, y, torch.zeros_like(y), [LostSamples(SPANS)])["level_db"])
    # No profile is changed by comparing it: faults are values.
    assert replace(FAULTS[3], step=0.5) == Rounded(0.5, 0.5)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize(
    "faults",
    [
        (LostBand(3000.0),),
        (LostBand(3000.0), Cut(-0.3, 0.25)),
        (LostBand(3000.0), Rounded(0.125), LostSamples(((40, 60),))),
        (Cut(-0.3, 0.25),),
        (Cut(-0.3, 0.25), LostBand(3000.0)),
    ],
    ids=lambda faults: "+".join(fault.kind for fault in faults),
)
def test_what_is_to_be_explained_is_the_plain_chain_of_the_faults(
    faults: tuple[Fault, ...], rate: int
) -> None:
    prior_rate, up = 16000, Band(16000, rate)
    x = 0.3 * random(2, 1, up.block * math.ceil(640 / up.block))
    rest = 0.1 * random(2, 1, up.heard(x.shape[-1]), seed=1)
    rest = rest - Band(rate, 16000).invert(Band(rate, 16000).forward(rest)) if rate > 16000 else 0 * rest
    plain: list = [] if rate == prior_rate else [up, Added(rest)]
    plain += [operator_of(fault, rate, rest.shape[-1]) for fault in faults]
    chain = Chain(plain)
    y = chain.forward(0.3 * random(*x.shape, seed=2))
    y = y + (0.01 * random(*y.shape, seed=3) if faults == (LostBand(3000.0),) else 0)
    found = explained(y, faults, rate, prior_rate, rest)
    assert found is not None
    operator, wanted = found
    # One FFT there and one back in each of a handful of transforms a round (tests/operators/test_band.py).
    size = float(x.norm() + (x.shape[-1] / y.shape[-1]) ** 0.5 * y.norm())
    tolerance = ROUNDS * 6 * 42 * torch.finfo(torch.float64).eps * math.log2(4 * 48000) * size
    assert (operator.project(x, wanted) - chain.project(x, y)).norm() <= tolerance
    # A broken twin: the rest of the recording forgotten, or another band.
    if rate > prior_rate and isinstance(faults[0], Cut):
        other, wanted = explained(y, faults, rate, prior_rate, 0 * rest)
        assert (other.project(x, wanted) - chain.project(x, y)).norm() > 1e6 * tolerance
    if isinstance(faults[0], LostBand):
        other, wanted = explained(y, [LostBand(2700.0), *faults[1:]], rate, prior_rate, rest)
        assert (other.project(x, wanted) - chain.project(x, y)).norm() > 1e6 * tolerance


def test_a_missing_band_alone_is_worked_on_at_the_priors_rate() -> None:
    rest = torch.zeros(1, 1, 882)
    operator, y = explained(rest, [LostBand(3000.0)], 44100, 16000, rest)
    assert operator == Band(16000, 16000, 3000.0)
    assert y.shape == (1, 1, 320)
    assert explained(rest, [Noisy(torch.ones(1))], 44100, 16000, rest) is None
