"""A chain that starts from stems which something else made: where it starts, and that it matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import audiofix
from audiofix import api
from audiofix.audio.loudness import working_level
from audiofix.audio.resample import resample
from audiofix.errors import InputError, SettingError
from audiofix.hub import registry
from audiofix.hub.registry import export_model
from audiofix.setup import SOURCE_RMS, Setup
from audiofix.types import Audio
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_net

RATE = 16000
SOURCES = ("speech", "piano")
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


def distance(found: Stems, true: Stems) -> float:
    """RMS over sources and time."""
    return float(torch.stack([found[n].samples - true[n].samples for n in SOURCES]).square().mean().sqrt())


@pytest.fixture
def low_ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny priors that know nothing above sigma 0.04, so that a chain cannot forget where it started."""
    monkeypatch.setattr(registry, "_packaged", list)
    for seed, source in enumerate(SOURCES):
        card = tiny_card(f"low-{source}", "wavenet", source)
        export_model(
            tiny_net(seed), card.__class__(**{**vars(card), "sigmas": (0.04, 0.001)}), tmp_path / card.name
        )
    monkeypatch.setenv("AUDIOFIX_MODELS", str(tmp_path))


@pytest.mark.usefixtures("low_ladder")
def test_x() -> None:
    true = stems()
    settings = {"seed": 3, "levels": 4, "draws": 1, "device": "cpu"}
    for q in ("best", "balanced", None):
        near = audiofix.separate(total(true), init=true, quality=q, **settings)
        far = audiofix.separate(total(true), init=swapped(true), quality=q, **settings)
        print(near.report["schedule"], near.report["notes"])
        print(q, distance(near.stems, true), distance(far.stems, true), distance(true, swapped(true)))
    assert 0
