"""Qualities on small real models: what each begins with, whose score it follows, and what it says about itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

import audiofix
from audiofix import api
from audiofix.audio.loudness import working_level
from audiofix.errors import ModelError, SettingError
from audiofix.hub.registry import load_prior
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.operators.speeds import at_speed
from audiofix.posterior import ScoreFn, amortised_score, prior_score
from audiofix.priors.score_network import MixturePosterior
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.separation import QUALITIES, SAMPLERS, Quality, draw_sources
from audiofix.setup import SOURCE_RMS
from audiofix.types import Audio

RATE = 16000
SHORT = {"balanced": {"levels": 4}, "best": {"levels": 3}, "pnf": {"levels": 2, "steps": 3}}
CHAINS = [name for name, quality in QUALITIES.items() if quality.estimate and quality.follow]
THREE = (Fraction(1), Fraction(7, 8), Fraction(5, 4))
NO_SEPARATOR = "no separator for speech, piano was used: the chain began at the mixture"


def mixture(channels: int = 1, length: int = 1600, rate: int = RATE) -> Audio:
    generator = torch.Generator().manual_seed(0)
    return Audio(0.05 * torch.randn(channels, length, generator=generator), rate)


def separate(quality: str | None = None, audio: Audio | None = None, **options: Any) -> api.Separation:
    """With ladders short enough for tests, and the same options for all."""
    settings = {"device": "cpu", "quality": quality, **SHORT.get(quality or "", {}), **options}
    return audiofix.separate(audio or mixture(), **settings)


def stacked(result: api.Separation) -> Tensor:
    """(channel, source, time)."""
    return torch.stack([stem.samples for stem in result.stems.values()], dim=1)


def names(result: api.Separation) -> list[str]:
    return [model["name"] for model in result.report["models"]]


class ByHand:
    """The parts of a separation, put together without `setup`."""

    def __init__(self, result: api.Separation) -> None:
        bf16 = result.report["schedule"]["network_bf16"]
        self.posterior = load_prior("tiny-separator", bf16=bf16)
        self.priors = [load_prior(name, bf16=bf16) for name in ("tiny-speech", "tiny-piano")]
        self.gain = working_level(mixture().samples, RATE, SOURCE_RMS * 2**0.5)
        self.y = mixture().samples * self.gain
        self.sigmas = tuple(result.report["schedule"]["sigmas"])

    def estimate(self, views: Sequence[Fraction] = (Fraction(1),)) -> Tensor:
        """The separator's calls on played and inverted views, at the working level: their mean, adding up."""
        found = []
        for view, speed in enumerate(views):
            sign = (1, -1)[view % 2]
            played = sign * at_speed(self.y, speed)
            blank = torch.zeros(1, 2, played.shape[1])
            said = sign * self.posterior.denoise(blank, played, math.inf)
            found.append(at_speed(said, 1 / speed)[..., :1600])
        mean = torch.stack(found).mean(dim=0)
        return mean + (self.y - mean.sum(dim=1))[:, None] / 2

    def separator_score(self) -> ScoreFn:
        return amortised_score(lambda x, sigma: self.posterior.denoise(x, self.y, sigma))

    def prior_score(self) -> ScoreFn:
        return prior_score([prior.score for prior in self.priors])

    def chain(self, score: ScoreFn, start: Tensor | None, draw: int = 0) -> Tensor:
        schedule = Schedule(self.sigmas, 1, 1.0)
        return draw_sources(self.y, score, 2, schedule, seed=0, draw=draw, start=start) / self.gain


# Equal computations in another arrangement of pieces: float32 rounding of numbers up to about 1.
ROUNDING = 1e-6


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize(("channels", "rate"), [(1, RATE), (2, 22050)])
def test_every_quality_fits_and_adds_up(quality: str, channels: int, rate: int) -> None:
    given = mixture(channels, rate // 10 + 3, rate)
    result = separate(quality, given)
    assert list(result.stems) == ["speech", "piano"]
    for audio in (*result.stems.values(), result.residual):
        assert audio.samples.shape == given.samples.shape
        assert audio.sample_rate == rate
    # Three float32 sums of numbers that wander up to about 1.
    total = result.residual.samples + stacked(result).sum(dim=1)
    assert (total - given.samples).abs().max() < ROUNDING
    if rate == RATE:
        assert result.residual.samples.abs().max() < ROUNDING
    settings = result.report["settings"]
    assert settings["quality"] == quality
    assert settings["draws"] == QUALITIES[quality].draws
    assert len(result.draws) == (settings["draws"] if settings["draws"] > 1 else 0)
    for stem in result.draws:
        sums = sum(audio.samples for audio in stem.values()) + result.residual.samples
        assert (sums - given.samples).abs().max() < ROUNDING


@pytest.fixture(params=["separator", "prior"])
def follow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose score a quality of this test's own, `tried`, follows from the separator's estimate."""
    quality = Quality(True, request.param, "consistent", 3, 0.25, 0.05, draws=2)
    monkeypatch.setitem(QUALITIES, "tried", quality)
    chosen: str = request.param
    return chosen


@pytest.mark.usefixtures("tiny_separator")
def test_fast_is_the_separators_own_estimate() -> None:
    result = separate("fast")
    hand = ByHand(result)
    assert (stacked(result) - hand.estimate(QUALITIES["fast"].views) / hand.gain).abs().max() < ROUNDING
    assert (hand.estimate(QUALITIES["fast"].views) - hand.estimate()).abs().max() > 1e-3  # the views differ
    assert (stacked(result)[:, 0] - mixture().samples / 2).abs().max() > 0.01  # it does something
    assert names(result) == ["tiny-separator"]
    assert result.report["schedule"] == {
        "sigmas": [],
        "network_calls": 2,
        "network_bf16": result.report["schedule"]["network_bf16"],
    }
    assert result.report["settings"]["levels"] is None
    assert result.report["settings"]["sampler"] is None
    assert result.report["notes"] == []


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("option", [{"levels": 4}, {"steps": 2}, {"step_scale": 0.5}])
def test_fast_has_no_ladder_to_set(option: dict) -> None:
    for call in (audiofix.separate, api.plan):
        with pytest.raises(SettingError, match=r"quality fast has no ladder for --levels.*balanced or best"):
            call(mixture(), quality="fast", device="cpu", **option)


@pytest.mark.usefixtures("tiny_separator")
def test_a_chain_goes_on_from_the_estimate_with_the_score_that_the_table_names(follow: str) -> None:
    result = separate("tried")
    hand = ByHand(result)
    scores = {"separator": hand.separator_score(), "prior": hand.prior_score()}
    other = {"separator": "prior", "prior": "separator"}[follow]
    used = {"separator": ["tiny-separator"], "prior": ["tiny-separator", "tiny-speech", "tiny-piano"]}
    assert names(result) == used[follow]
    assert result.report["notes"] == []
    assert result.report["schedule"]["sigmas"] == pytest.approx(geometric_sigmas(0.25, 0.05, 3))
    draws = [hand.chain(scores[follow], hand.estimate(), draw) for draw in range(2)]
    assert (draws[0] - draws[1]).abs().max() > 100 * ROUNDING
    assert (stacked(result) - (draws[0] + draws[1]) / 2).abs().max() < ROUNDING
    # Twins: the other score, another start.
    first = torch.stack([stem.samples for stem in result.draws[0].values()], dim=1)
    for score, start in ((scores[other], hand.estimate()), (scores[follow], None)):
        assert (first - hand.chain(score, start)).abs().max() > 100 * ROUNDING


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("quality", CHAINS)
def test_a_quality_has_the_ladder_of_its_row(quality: str) -> None:
    row = QUALITIES[quality]
    planned = api.plan(mixture(), quality=quality, device="cpu")
    preset = SAMPLERS[row.sampler]
    high, low = row.sigma_high or preset.sigma_high, row.sigma_low or preset.sigma_low
    assert planned.schedule is not None
    assert planned.schedule.sigmas == pytest.approx(geometric_sigmas(high, low, row.levels or preset.levels))
    assert (planned.schedule.steps, planned.schedule.step_scale) == (preset.steps, preset.step_scale)


@pytest.mark.usefixtures("tiny_separator")
def test_a_dearer_quality_makes_more_calls() -> None:
    calls = [
        api.plan(mixture(), quality=q, device="cpu").network_calls
        for q in ("fast", "balanced", "best", "pnf")
    ]
    assert calls == sorted(set(calls))
    assert calls[0] == 2  # views


@pytest.mark.usefixtures("tiny_separator")
def test_pnf_needs_no_separator() -> None:
    result = separate("pnf")
    assert names(result) == ["tiny-speech", "tiny-piano"]
    assert result.report["settings"]["sampler"] == "langevin"
    assert not any("separator" in note for note in result.report["notes"])
    # Several steps a level ask for Langevin dynamics, and that asks for pnf; so does its name.
    for options in ({"levels": 2, "steps": 3}, {"levels": 2, "steps": 3, "sampler": "langevin"}):
        assert torch.equal(stacked(separate(**options)), stacked(result))
    assert separate(levels=2, sampler="langevin", steps=1).report["settings"]["quality"] == "pnf"
    # One step a level does not.
    assert separate(levels=3, steps=1).report["settings"]["quality"] == "balanced"


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_without_a_separator_the_chain_starts_at_the_mixture_and_the_report_says_so(quality: str) -> None:
    options = {"levels": 3, "draws": 1}
    result = separate(quality, **options)
    assert names(result) == ["tiny-speech", "tiny-piano"]
    assert NO_SEPARATOR in result.report["notes"]
    assert result.report["settings"]["quality"] == quality
    schedule = result.report["schedule"]
    preset = SAMPLERS["consistent"]
    assert schedule["sigmas"] == pytest.approx(geometric_sigmas(preset.sigma_high, preset.sigma_low, 3))
    assert schedule["network_calls"] == 2 * (3 + 1)
    gain = working_level(mixture().samples, RATE, SOURCE_RMS * 2**0.5)
    priors = [load_prior(f"tiny-{name}", bf16=schedule["network_bf16"]) for name in ("speech", "piano")]
    expected = draw_sources(
        mixture().samples * gain,
        prior_score([prior.score for prior in priors]),
        2,
        Schedule(tuple(schedule["sigmas"]), 1, 1.0),
        seed=0,
    )
    assert (stacked(result) - expected / gain).abs().max() < ROUNDING


@pytest.mark.usefixtures("tiny_separator")
def test_a_separator_of_other_sources_does_not_help() -> None:
    result = separate("balanced", sources=("speech", "speech-2"), levels=3)
    assert names(result) == ["tiny-speech", "tiny-speech"]
    assert result.report["notes"] == [NO_SEPARATOR.replace("piano", "speech-2")]


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("quality", QUALITIES)
def test_auto_is_no_choice(quality: str) -> None:
    assert torch.equal(stacked(separate(quality, prior="auto")), stacked(separate(quality)))


@pytest.mark.usefixtures("tiny_separator")
def test_balanced_is_the_default() -> None:
    result = separate(levels=4)
    assert result.report["settings"]["quality"] == "balanced"
    assert torch.equal(stacked(result), stacked(separate("balanced")))


@pytest.mark.usefixtures("tiny_separator", "follow")
@pytest.mark.parametrize("prior", ["tiny-separator", "separator"])
def test_a_separator_that_is_named_is_all_there_is(prior: str) -> None:
    """Whatever the quality follows, no other model was named."""
    result = separate("tried", prior=prior)
    hand = ByHand(result)
    assert names(result) == ["tiny-separator"]
    draws = [hand.chain(hand.separator_score(), hand.estimate(), draw) for draw in range(2)]
    assert (stacked(result) - (draws[0] + draws[1]) / 2).abs().max() < ROUNDING


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("prior", ["tiny-speech,tiny-piano", "wavenet"])
def test_named_priors_are_followed_from_the_mixture(prior: str) -> None:
    result = separate("balanced", prior=prior, levels=3)
    assert names(result) == ["tiny-speech", "tiny-piano"]
    assert NO_SEPARATOR in result.report["notes"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"quality": "superb"}, SettingError, "no quality 'superb'; choose one of fast, balanced, best, pnf"),
        (
            {"prior": "tiny-separator", "sources": ("speech", "speech-2")},
            SettingError,
            "separates speech,piano",
        ),
        ({"prior": "score"}, SettingError, "no score prior of speech; there are tiny-speech"),
        ({"prior": "nobody"}, ModelError, "nobody"),
        ({"levels": 0}, SettingError, "--levels must be 1 or more, got 0"),
        ({"sampler": "magic"}, SettingError, "consistent, langevin"),
    ],
)
@pytest.mark.usefixtures("tiny_separator")
def test_what_does_not_go_together_is_refused_before_computing(
    options: dict, error: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a network was called")

    monkeypatch.setattr(MixturePosterior, "denoise", never)
    monkeypatch.setattr(WaveNetPrior, "score", never)
    for call in (audiofix.separate, api.plan):
        with pytest.raises(error, match=words):
            call(mixture(), device="cpu", **options)


def counted_calls(monkeypatch: pytest.MonkeyPatch, quality: str) -> tuple[int, float, Any]:
    """How often one draw asks the separator, and each prior; and what the report says."""
    made: list[str] = []

    def counted(kind: type, name: str) -> None:
        real = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *given: (made.append(name), real(*given))[1])

    counted(MixturePosterior, "denoise")
    counted(WaveNetPrior, "score")
    report = separate(quality, draws=1).report
    return made.count("denoise"), made.count("score") / 2, report["schedule"]["network_calls"]


@pytest.mark.usefixtures("tiny_separator")
def test_network_calls_are_counted_as_they_are_made(follow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one draw and each source: the estimate, one for each level and step, and the last denoising."""
    expected = (1 + 3 + 1, 0, 5) if follow == "separator" else (1, 3 + 1, 1 + 2 * 4)
    assert counted_calls(monkeypatch, "tried") == expected


@pytest.mark.usefixtures("tiny_separator")
def test_stems_are_a_blend_of_estimate_and_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    quality = Quality(True, "prior", "consistent", 3, 0.25, 0.05, draws=2, views=THREE, blend=0.25)
    monkeypatch.setitem(QUALITIES, "tried", quality)
    result = separate("tried")
    hand = ByHand(result)
    estimate = hand.estimate(THREE)
    draws = [hand.chain(hand.prior_score(), estimate, draw) for draw in range(2)]
    for made, expected in zip(result.draws, draws, strict=True):
        made_stack = torch.stack([audio.samples for audio in made.values()], dim=1)
        assert (made_stack - expected).abs().max() < ROUNDING
    expected = 0.25 * estimate / hand.gain + 0.75 * (draws[0] + draws[1]) / 2
    assert (stacked(result) - expected).abs().max() < ROUNDING
    assert result.report["schedule"]["network_calls"] == 3 + 2 * 2 * (3 + 1)


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize(("quality", "expected"), [("fast", (2, 0, 2)), ("pnf", (0, 2 * 3 + 1, 14))])
def test_network_calls_without_a_chain_or_an_estimate(
    quality: str, expected: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counted_calls(monkeypatch, quality) == expected


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("quality", QUALITIES)
def test_the_same_seed_gives_the_same_result(quality: str) -> None:
    one, two, other = (stacked(separate(quality, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(one, two)
    # An estimate has no chance in it; all that is drawn has.
    assert torch.equal(one, other) == (quality == "fast")


@pytest.mark.usefixtures("tiny_separator")
def test_progress_tells_of_every_step_of_a_quality() -> None:
    seen: list[api.Progress] = []
    separate("best", progress=seen.append)
    draws = QUALITIES["best"].draws
    assert [p.done for p in seen] == list(range(1, 3 * draws + 1))
    assert {(p.total, p.draws, p.levels, p.steps) for p in seen} == {(3 * draws, draws, 3, 1)}
    seen.clear()
    separate("fast", progress=seen.append)
    assert seen == []


@pytest.mark.usefixtures("tiny_separator")
def test_plan_knows_every_quality() -> None:
    for quality in QUALITIES:
        planned = api.plan(mixture(), quality=quality, device="cpu", **SHORT.get(quality, {}))
        assert planned.estimated_seconds > 0
        assert planned.estimated_bytes > 0
        assert [m["name"] for m in planned.models] == names(separate(quality))
        assert (planned.schedule is None) == (quality == "fast")


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_the_order_of_the_sources_is_the_callers(quality: str) -> None:
    there, back = separate(quality), separate(quality, sources=("piano", "speech"))
    assert list(back.stems) == ["piano", "speech"]
    assert names(back)[0] == "tiny-separator"
    if quality == "fast":  # the noise of a chain is keyed by the place of a source
        for source, stem in there.stems.items():
            assert (back.stems[source].samples - stem.samples).abs().max() < ROUNDING


@pytest.mark.usefixtures("tiny_separator")
def test_fast_draws_nothing() -> None:
    with pytest.raises(SettingError, match="quality fast draws nothing, so 3 draws are the same"):
        separate("fast", draws=3)
    with pytest.raises(SettingError, match=r"quality fast has no ladder.*--sampler"):
        separate("fast", sampler="heun")
