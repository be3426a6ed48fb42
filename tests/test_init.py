"""A chain that starts from stems which something else made: where it starts, and that it matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import audiofix
from audiofix import api, drawing
from audiofix.audio.loudness import working_level
from audiofix.audio.resample import resample
from audiofix.errors import InputError, SettingError
from audiofix.hub import registry
from audiofix.hub.registry import export_model
from audiofix.loading import prepare
from audiofix.marching import Walk
from audiofix.runtime.stores import Store
from audiofix.separation import QUALITIES
from audiofix.setup import SOURCE_RMS, Setup
from audiofix.types import Audio
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_net

RATE = 16000
SOURCES = ("speech", "piano")
QUICK = {"levels": 3, "quality": "best", "device": "cpu"}
Stems = dict[str, Audio]


def stems(channels: int = 1, rate: int = RATE, length: int = 1600) -> Stems:
    """A tone that swells and one that fades, both in the priors' band."""
    time = torch.arange(length) / rate
    ramp = torch.linspace(0, 1, length)
    waves = ramp * torch.sin(6.283 * 440 * time), (1 - ramp) * torch.sin(6.283 * 1234 * time + 1)
    shares = torch.linspace(1, 0.5, channels)[:, None]
    return {name: Audio(0.1 * shares * wave, rate) for name, wave in zip(SOURCES, waves, strict=True)}


def total(parts: Stems) -> Audio:
    one = parts["speech"]
    return Audio(one.samples + parts["piano"].samples, one.sample_rate)


def swapped(parts: Stems) -> Stems:
    return {"speech": parts["piano"], "piano": parts["speech"]}


def nearer(found: Stems, one: Stems, other: Stems) -> bool:
    """Whether stems are nearer to one set than to another, by energy."""

    def energy(to: Stems) -> float:
        return sum(float((found[n].samples - to[n].samples).double().square().sum()) for n in SOURCES)

    return energy(one) < energy(other)


@pytest.fixture
def low_ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny priors that know nothing above sigma 0.04: half of what the stems hold, so no start is forgotten."""
    monkeypatch.setattr(registry, "_packaged", list)
    for seed, source in enumerate(SOURCES):
        card = replace(tiny_card(f"low-{source}", "wavenet", source), sigmas=(0.04, 0.001))
        export_model(tiny_net(seed), card, tmp_path / card.name)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(tmp_path))


@dataclass
class Seen:
    """What the chains were given: mixture and start, (channel, time) and (channel, source, time), of each draw."""

    mixtures: list[Tensor] = field(default_factory=list)
    starts: list[Tensor | None] = field(default_factory=list)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found, real = Seen(), drawing.march

    def march(walk: Walk, start: Store | None, sources: int, **settings: Any) -> Store:
        length = walk.ground.length
        found.mixtures.append(walk.mixture.read(0, length)[:, 0])
        found.starts.append(None if start is None else start.read(0, length).clone())
        return real(walk, start, sources, **settings)

    monkeypatch.setattr(drawing, "march", march)
    return found


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models whose weights were read."""
    names, real = [], registry.load_prior

    def load(home: Path, *arguments: Any, **settings: Any) -> Any:
        names.append(home.name)
        return real(home, *arguments, **settings)

    monkeypatch.setattr("audiofix.loading.load_prior", load)
    return names


@pytest.mark.usefixtures("low_ladder")
def test_the_start_matters() -> None:
    """Same mixture, seed and settings; a chain that ignored its start would end at the same place twice."""
    true, wrong = stems(), swapped(stems())
    settings: dict[str, Any] = {"seed": 3, "levels": 4, "draws": 1, "device": "cpu"}
    kept = audiofix.separate(total(true), init=true, **settings)
    misled = audiofix.separate(total(true), init=wrong, **settings)
    assert nearer(kept.stems, true, wrong)
    assert nearer(misled.stems, wrong, true)
    assert nearer(kept.stems, true, misled.stems)


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(("channels", "rate"), [(1, RATE), (2, 44100)])
def test_the_chain_starts_at_the_stems(seen: Seen, channels: int, rate: int) -> None:
    """At the priors' rate and level, in the order of the sources whatever the order of the stems."""
    true = stems(channels, rate, rate // 10)
    given = {n: replace(true[n], samples=true[n].samples.double()) for n in reversed(SOURCES)}
    audiofix.separate(total(true), init=given, draws=2, **QUICK)
    low = {n: resample(one.samples, rate, RATE) for n, one in true.items()}
    gain = working_level(low["speech"] + low["piano"], RATE, SOURCE_RMS * 2**0.5)
    expected = gain * torch.stack([low[n] for n in SOURCES], dim=1)
    assert len(seen.starts) == 2
    assert expected.abs().max() > 0.1
    for start in seen.starts:
        # float32 rounding of numbers below 1: of the mixture before and after its resampling, of the stems'.
        assert start.dtype == torch.float32
        assert (start - expected).abs().max() < 3e-6


@pytest.mark.usefixtures("tiny_models")
def test_stems_that_are_not_the_mixture_are_made_to_add_up(seen: Seen) -> None:
    """What is missing is shared equally, so the difference between the stems stays."""
    true = stems()
    given = {n: replace(one, samples=0.3 * one.samples + 0.02) for n, one in true.items()}
    result = audiofix.separate(total(true), init=given, draws=1, **QUICK)
    (start,), (mixture,) = seen.starts, seen.mixtures
    gain = working_level(total(true).samples, RATE, SOURCE_RMS * 2**0.5)
    # float32 rounding of sums of numbers below 1.
    assert (start.sum(dim=1) - mixture).abs().max() < 1e-6
    difference = gain * 0.3 * (true["speech"].samples - true["piano"].samples)
    assert (start[:, 0] - start[:, 1] - difference).abs().max() < 1e-6
    everything = total(result.stems).samples + result.residual.samples
    assert (everything - total(true).samples).abs().max() < 1e-6
    assert result.residual.samples.abs().max() < 1e-6


@pytest.mark.usefixtures("tiny_models")
def test_without_a_quality_stems_mean_best() -> None:
    settings: dict[str, Any] = {"levels": 4, "device": "cpu"}
    result = audiofix.separate(total(stems()), init=stems(), **settings)
    assert result.report["settings"]["quality"] == "best"
    assert result.report["settings"]["init"] is True
    assert len(result.draws) == QUALITIES["best"].draws
    assert result.report["schedule"]["sigmas"][0] == pytest.approx(QUALITIES["best"].sigma_high)
    plain = audiofix.separate(total(stems()), **settings).report["settings"]
    assert (plain["quality"], plain["init"]) == ("balanced", False)


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("asked", "quality"),
    [({"quality": "balanced"}, "balanced"), ({"steps": 2}, "pnf"), ({"sampler": "langevin"}, "pnf")],
)
def test_what_is_asked_for_is_what_is_done(asked: dict[str, Any], quality: str) -> None:
    small = {"levels": 3, "steps": 1, **asked, "device": "cpu"}
    report = audiofix.separate(total(stems()), init=stems(), **small).report
    assert report["settings"]["quality"] == quality


@pytest.mark.usefixtures("tiny_separator")
def test_a_quality_without_a_chain_has_no_use_for_stems() -> None:
    for call in (api.plan, api.separate):
        with pytest.raises(
            SettingError, match="quality fast has no chain to improve stems by; take balanced"
        ):
            call(total(stems()), init=stems(), quality="fast", device="cpu")
        with pytest.raises(
            SettingError, match="quality fast draws nothing, so 2 draws are the same; take best"
        ):
            call(total(stems()), draws=2, quality="fast", device="cpu")


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("quality", ["best", "balanced", "pnf"])
def test_no_separator_is_loaded(loaded: list[str], quality: str) -> None:
    small: dict[str, Any] = {"levels": 3, "steps": 1, "quality": quality, "draws": 1, "device": "cpu"}
    report = audiofix.separate(total(stems()), init=stems(), **small).report
    assert loaded == ["tiny-speech", "tiny-piano"] == [model["name"] for model in report["models"]]
    assert report["schedule"]["network_calls"] == 2 * (3 + 1)
    loaded.clear()
    audiofix.separate(total(stems()), **small)
    assert ("tiny-separator" in loaded) == QUALITIES[quality].estimate


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize("prior", [None, "wavenet", "tiny-speech,tiny-piano"])
def test_the_ladder_is_the_qualitys_where_there_is_no_separator(prior: str | None) -> None:
    """From the mixture a chain must begin high. From stems that would drown them in noise."""
    plain, begun = (
        prepare(SOURCES, prior, None, None, None, "cpu", None, "balanced", begun) for begun in (False, True)
    )
    wanted = QUALITIES["balanced"]
    assert plain.schedule.sigmas[0] > wanted.sigma_high
    assert begun.schedule.sigmas[0] == pytest.approx(wanted.sigma_high)
    assert len(begun.schedule.sigmas) == wanted.levels


@pytest.mark.usefixtures("tiny_models")
def test_nobody_says_that_the_chain_began_at_the_mixture() -> None:
    small: dict[str, Any] = {"quality": "balanced", "levels": 3, "device": "cpu"}
    assert audiofix.separate(total(stems()), init=stems(), **small).report["notes"] == []


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize("prior", ["tiny-separator", "separator"])
def test_a_named_separator_is_followed_but_not_asked_where_to_start(
    seen: Seen, loaded: list[str], prior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Setup, "estimate", lambda *_: pytest.fail("an estimate was made"))
    settings: dict[str, Any] = {"prior": prior, "levels": 3, "draws": 1, "device": "cpu"}
    report = audiofix.separate(total(stems()), init=stems(), **settings).report
    assert loaded == ["tiny-separator"]
    assert report["schedule"]["network_calls"] == 3 + 1
    assert (seen.starts[0].sum(dim=1) - seen.mixtures[0]).abs().max() < 1e-6


@pytest.mark.usefixtures("tiny_separator")
def test_a_plan_counts_no_estimate_that_is_not_made() -> None:
    settings: dict[str, Any] = {
        "prior": "tiny-separator",
        "quality": "best",
        "levels": 3,
        "draws": 2,
        "device": "cpu",
    }
    plain, begun = (api.plan(total(stems()), init=init, **settings) for init in (None, stems()))
    assert plain.network_calls == len(QUALITIES["best"].views) + 2 * (3 + 1)
    assert begun.network_calls == 2 * (3 + 1)
    assert begun.estimated_bytes == plain.estimated_bytes  # the same network on the same chunks


def change(samples: Callable[[Tensor], Tensor] = lambda x: x, rate: int = RATE) -> Audio:
    return Audio(samples(stems()["speech"].samples), rate)


def with_nan(x: Tensor) -> Tensor:
    return x.clone().index_fill_(1, torch.tensor([7]), float("nan"))


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("init", "error", "words"),
    [
        ({}, SettingError, "no stem of speech, piano; give one for each"),
        ({"speech": change()}, SettingError, "no stem of piano"),
        ({**stems(), "drums": change()}, SettingError, "init for 'drums', but the sources are speech, piano"),
        ({**stems(), "speech": change(rate=8000)}, InputError, "init speech has .* 8000 Hz"),
        ({**stems(), "speech": change(lambda x: x[:, 1:])}, InputError, "init speech has .* 1599 samples"),
        ({**stems(), "speech": change(lambda x: x.repeat(2, 1))}, InputError, "init speech has 2 channels"),
        ({**stems(), "speech": change(with_nan)}, InputError, "init speech has NaN"),
    ],
    ids=["none", "missing", "unknown", "rate", "length", "channels", "nan"],
)
def test_stems_that_do_not_fit_are_refused(init: Stems, error: type[Exception], words: str) -> None:
    for call in (api.plan, api.separate):
        with pytest.raises(error, match=words):
            call(total(stems()), init=init, **QUICK)


@pytest.mark.usefixtures("tiny_models")
def test_a_silent_stem_is_a_stem(seen: Seen) -> None:
    """Other than a reference: a source may be silent all along."""
    true = stems()
    silent = {**true, "piano": replace(true["piano"], samples=torch.zeros(1, 1600))}
    audiofix.separate(true["speech"], init=silent, draws=1, **QUICK)
    assert seen.starts[0][:, 1].abs().max() < 1e-6
