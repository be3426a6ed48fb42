"""The library's front door on small real priors: what comes back fits what went in, and adds up."""

from __future__ import annotations

import json

import pytest
import torch

import audiofix
from audiofix import api
from audiofix.errors import DeviceError, InputError, ModelError, SettingError
from audiofix.types import Audio

NO_SEPARATOR = "no separator for speech, piano was used: the chain began at the mixture"
QUICK = {"levels": 4, "steps": 2, "step_scale": 0.9, "device": "cpu", "sampler": "consistent"}


def noise(channels: int = 1, length: int = 1600, seed: int = 0) -> torch.Tensor:
    return 0.05 * torch.randn(channels, length, generator=torch.Generator().manual_seed(seed))


def mixture(channels: int = 1, length: int = 1600, rate: int = 16000) -> Audio:
    return Audio(noise(channels, length), rate, subtype="PCM_16")


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 44100), (1, 8000), (2, 22050)])
def test_what_comes_back_fits_and_adds_up(channels: int, rate: int) -> None:
    given = mixture(channels, rate // 10 + 3, rate)
    result = audiofix.separate(given, **QUICK)
    assert list(result.stems) == ["speech", "piano"]
    for audio in (*result.stems.values(), result.residual):
        assert audio.samples.shape == given.samples.shape
        assert (audio.sample_rate, audio.subtype) == (rate, "PCM_16")
    total = result.residual.samples + sum(stem.samples for stem in result.stems.values())
    # Three float32 sums of numbers that wander up to about 1.
    assert (total - given.samples).abs().max() < 1e-6
    json.dumps(result.report)


@pytest.mark.usefixtures("tiny_models")
def test_at_the_priors_rate_the_stems_alone_are_the_mixture() -> None:
    result = audiofix.separate(mixture(), **QUICK)
    assert result.residual.samples.abs().max() < 1e-6
    assert result.report["residual_db"] < -90
    assert result.report["notes"] == [NO_SEPARATOR]


@pytest.mark.usefixtures("tiny_models")
def test_a_louder_mixture_gives_the_same_stems_louder() -> None:
    soft = audiofix.separate(mixture(), **QUICK)
    loud = audiofix.separate(Audio(4 * mixture().samples, 16000), **QUICK)
    for source in soft.stems:
        # Four is a power of two: working level and everything after are the same bits.
        assert torch.allclose(4 * soft.stems[source].samples, loud.stems[source].samples, atol=1e-6)


@pytest.mark.usefixtures("tiny_models")
def test_seed_repeats_and_draws_differ_and_average() -> None:
    once, again = (audiofix.separate(mixture(), seed=3, draws=2, **QUICK) for _ in range(2))
    other = audiofix.separate(mixture(), seed=4, draws=2, **QUICK)
    speech = once.stems["speech"].samples
    assert torch.equal(speech, again.stems["speech"].samples)
    assert not torch.equal(speech, other.stems["speech"].samples)
    first, second = (draw["speech"].samples for draw in once.draws)
    assert not torch.equal(first, second)
    assert torch.allclose(speech, (first + second) / 2, atol=1e-6)


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize("sampler", ["consistent", "langevin"])
def test_progress_counts_every_step(sampler: str) -> None:
    seen: list[api.Progress] = []
    audiofix.separate(mixture(), draws=2, progress=seen.append, **{**QUICK, "sampler": sampler})
    assert [p.done for p in seen] == list(range(1, 17))
    assert {p.total for p in seen} == {16}
    assert (seen[-1].draw, seen[-1].level, seen[-1].step) == (2, 4, 2)
    assert seen[0].sigma > seen[-1].sigma


@pytest.mark.usefixtures("tiny_models")
def test_references_are_scored_before_and_after() -> None:
    clean = {"speech": Audio(noise(seed=1), 16000)}
    scores = audiofix.separate(mixture(), references=clean, **QUICK).report["si_sdr"]
    assert list(scores) == ["speech"]
    # Independent noise of 1600 samples: the projection takes about 1/1600 of its energy, -32 dB; never above -10.
    assert scores["speech"]["before"] < -10


@pytest.mark.usefixtures("tiny_models")
def test_several_steps_a_level_are_langevin_as_published() -> None:
    published = api.plan(mixture(), levels=24, steps=256, device="cpu")
    assert published.network_calls == 2 * (24 * 256 + 1)
    assert published.schedule.step_scale == 0.05
    # The published ladder, cut to what the priors know.
    assert published.schedule.sigmas[0] == 1.0
    assert published.schedule.sigmas[-1] == pytest.approx(0.001)
    report = audiofix.separate(mixture(), levels=4, steps=2, device="cpu").report
    assert report["settings"]["sampler"] == "langevin"
    assert "ladder is cut" in report["notes"][0]


@pytest.mark.usefixtures("tiny_models")
def test_float64_and_foreign_priors_are_taken_and_named() -> None:
    given = Audio(noise().double(), 16000)
    report = audiofix.separate(given, prior="tiny-piano,tiny-speech", **QUICK).report
    assert report["notes"] == [
        "speech was drawn with tiny-piano, a prior of piano",
        "piano was drawn with tiny-speech, a prior of speech",
        NO_SEPARATOR,
    ]


@pytest.mark.usefixtures("tiny_models")
def test_plan_counts_what_separate_will_call() -> None:
    planned = api.plan(mixture(2), draws=3, **QUICK)
    # Each draw: 8 steps and the last Tweedie step, for two sources.
    assert planned.network_calls == 3 * 9 * 2
    assert planned.estimated_seconds > 0
    assert planned.estimated_bytes > 0
    assert [m["name"] for m in planned.models] == ["tiny-speech", "tiny-piano"]


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"sources": ("speech",)}, SettingError, "two sources"),
        ({"sources": ("speech", "drums")}, ModelError, "drums"),
        ({"draws": 0}, SettingError, "--draws"),
        ({"seed": -1}, SettingError, "--seed"),
        ({"device": "cuda:99"}, DeviceError, "available"),
        ({"sampler": "magic"}, SettingError, "consistent, langevin"),
        ({"prior": "tiny-speech"}, SettingError, "one for each source"),
        ({"prior": "nobody,tiny-piano"}, ModelError, "nobody"),
        ({"step_scale": 0.01}, SettingError, "more --levels"),
        ({"references": {"drums": mixture()}}, SettingError, "drums"),
        ({"references": {"speech": mixture(2)}}, InputError, "2 channels"),
        ({"references": {"speech": Audio(torch.zeros(1, 1600), 16000)}}, InputError, "silent"),
        (
            {"references": {"speech": Audio(torch.full((1, 1600), float("inf")), 16000)}},
            InputError,
            "infinite",
        ),
    ],
)
def test_bad_settings_are_refused_before_computing(change: dict, error: type, words: str) -> None:
    for call in (api.plan, api.separate):
        with pytest.raises(error, match=words):
            call(mixture(), **{**QUICK, **change})


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (Audio(torch.zeros(1, 1600), 16000), "silence"),
        (Audio(torch.ones(1, 1), 16000), "too short"),
        (Audio(noise(7), 16000), "7 channels"),
        (Audio(torch.full((1, 1600), float("nan")), 16000), "NaN"),
    ],
)
@pytest.mark.usefixtures("tiny_models")
def test_bad_input_is_refused(audio: Audio, words: str) -> None:
    with pytest.raises(InputError, match=words):
        api.separate(audio, **QUICK)
