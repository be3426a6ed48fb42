"""An envelope that is there shapes draws of a missing band, and nothing else; the best measured one is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import audiofix
from audiofix.choosing import ENVELOPE
from audiofix.damages import Cut, Fault, LostBand, LostSamples
from audiofix.errors import SettingError
from audiofix.hub.registry import export_model
from audiofix.numerics.envelope import levels, spectrum
from audiofix.operators.band import Band
from audiofix.priors.envelope import LOWERED
from audiofix.settings import Settings
from audiofix.tools import EFFORTS, Effort, prepare_tools
from audiofix.types import Audio
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_envelope

RATE, CUT = 16000, 4000.0
TOLD = -0.5  # log10 of power, where noise of the working level has 0.6
Add = Callable[..., None]


@pytest.fixture(autouse=True)
def _few_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    for quality in EFFORTS:
        monkeypatch.setitem(EFFORTS, quality, Effort(2, 2, 2))


@pytest.fixture
def add(tiny_models: Path) -> Add:
    """One more envelope, which tells the same level everywhere."""

    def export(name: str = "tiny-envelope", told: float = TOLD, **changes: Any) -> None:
        card = replace(tiny_card(name, "envelope", "speech"), sigmas=(), validation={ENVELOPE: 3.0})
        export_model(tiny_envelope(told=told), replace(card, **changes), tiny_models / name)

    return export


def recording(seconds: float = 0.6) -> Audio:
    generator = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(1, round(seconds * RATE), generator=generator)
    return Audio(below(wave), RATE)


def below(x: Tensor, hertz: float = CUT) -> Tensor:
    down, up = Band(RATE, round(2 * hertz)), Band(round(2 * hertz), RATE)
    return up.forward(down.forward(x[:, None]))[:, 0, : x.shape[1]]


def restored(faults: list[Fault], **settings: Any) -> Any:
    return audiofix.restore(recording(), faults, source="speech", device="cpu", **settings)


def named(found: Any) -> list[str]:
    return [model["name"] for model in found.report["models"]]


def above(found: Any, samples: Tensor) -> float:
    """Mean level above the cut-off at the working level, away from it, the ends and Nyquist."""
    spectra = spectrum(samples * 10 ** (found.report["working_gain_db"] / 20))
    return float(levels(spectra)[:, 4:-4, 70:124].mean())


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_draws_of_a_missing_band_have_the_levels_that_are_told(add: Add, quality: str) -> None:
    without = restored([LostBand(CUT)], quality=quality)
    assert named(without) == ["tiny-speech"]
    add()
    found = restored([LostBand(CUT)], quality=quality)
    assert named(found) == ["tiny-speech", "tiny-envelope"]
    # Means over some ten frames of 54 bands of eight bins: five deviations (tests/numerics/test_envelope.py).
    wide = 5 * (0.31 * 4 / (11 * 54 * 8)) ** 0.5
    assert len(found.draws) == (2 if quality == "best" else 0)
    for samples in (found.audio.samples, *(draw.samples for draw in found.draws)):
        assert above(found, samples) == pytest.approx(TOLD + LOWERED, abs=wide)
    assert abs(above(without, without.audio.samples) - TOLD - LOWERED) > 2 * wide
    # What was known is as before, up to where gains lead over to those of the first missing band.
    given = recording().samples
    window = torch.hann_window(given.shape[1]) ** 2  # its side lobes are 60 dB down some 8 Hz away
    for one in (found, without):
        changed, whole = (torch.fft.rfft(window * x)[0] for x in (one.audio.samples - given, given))
        kept = changed[: round((CUT - 15) * given.shape[1] / RATE)]
        assert float(kept.abs().square().sum()) < 1e-6 * float(whole.abs().square().sum())


OTHERS: dict[str, tuple[list[Fault], dict[str, Any]]] = {
    "mean": ([LostBand(CUT)], {"mean": True, "draws": 1}),
    "gap": ([LostSamples(((4000, 4200),))], {}),
    "gap, a draw": ([LostSamples(((4000, 4200),))], {"mean": False, "quality": "fast"}),
    "clip": ([Cut(-0.1, 0.1)], {"quality": "fast"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_as_without_it(add: Add, name: str) -> None:
    faults, settings = OTHERS[name]
    without = restored(faults, **settings)
    add()
    found = restored(faults, **settings)
    assert named(found) == named(without)
    assert torch.equal(found.audio.samples, without.audio.samples)


@pytest.mark.parametrize("change", [{"source": "piano"}, {"sample_rate": 8000}])
def test_an_envelope_of_other_sound_is_left_alone(add: Add, change: dict[str, Any]) -> None:
    without = restored([LostBand(CUT)], quality="fast")
    add(**change)
    found = restored([LostBand(CUT)], quality="fast")
    assert named(found) == ["tiny-speech"]
    assert torch.equal(found.audio.samples, without.audio.samples)


def test_a_missing_band_among_other_faults_is_shaped(add: Add) -> None:
    add()
    found = restored([LostBand(CUT), LostSamples(((4000, 4100),))], quality="fast")
    assert named(found) == ["tiny-speech", "tiny-envelope"]
    assert above(found, found.audio.samples) == pytest.approx(TOLD + LOWERED, abs=0.2)


def chosen() -> list[str]:
    settings = Settings(source="speech", quality="fast", device="cpu")
    tools = prepare_tools(torch.zeros(1, 800), RATE, [LostBand(CUT)], settings)
    assert tools.finishes == (tools.envelope is not None) == (len(tools.cards) == 2)
    return [card.name for card in tools.cards]


def test_the_one_that_errs_least_is_taken(add: Add) -> None:
    assert chosen() == ["tiny-speech"]
    add("b-unmeasured", validation={})
    assert chosen() == ["tiny-speech", "b-unmeasured"]
    add("c-bad", validation={ENVELOPE: 30.0})
    assert chosen() == ["tiny-speech", "c-bad"]
    add("a-odd", validation={ENVELOPE: "3 dB"})
    add("e-good", validation={ENVELOPE: 4.0})
    add("d-fair", validation={ENVELOPE: 5.0})
    assert chosen() == ["tiny-speech", "e-good"]


def test_an_envelope_is_nobodys_prior(add: Add) -> None:
    add()
    for prior, words in (
        ("tiny-envelope", "of the family envelope, no prior of one"),
        ("envelope", "one model"),
    ):
        with pytest.raises(SettingError, match=words):
            restored([LostBand(CUT)], prior=prior)
