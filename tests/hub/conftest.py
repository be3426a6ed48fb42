"""A tiny model and its card, written by the real export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audiofix.hub.card import ModelCard
from audiofix.hub.registry import export_model
from tests.hub.tiny import tiny_net


@pytest.fixture
def card() -> ModelCard:
    """All that the author of a model says; files and network are filled in on export."""
    return ModelCard(
        name="tiny",
        family="wavenet",
        source="speech",
        sample_rate=16000,
        sigmas=(1.0, 0.001),
        network={},
        licence="CC0-1.0",
        trained_on=({"source": 'noise "quoted" \\ and\x7f\nélan', "licence": "none"},),
        command="audiofix train tiny.toml",
        hours=0.1 + 0.2,
        audio_seconds=12.0,
        validation={"denoise_gain_db": {"0.1": 1.5, "1": -2e-05}, "mean_denoise_gain_db": 0.75},
    )


@pytest.fixture
def conditioned(card: ModelCard, tmp_path: Path) -> Path:
    """A folder of models with one in it, `tiny`, conditioned on sigma."""
    export_model(tiny_net(), card, tmp_path / "models" / "tiny")
    return tmp_path / "models"


@pytest.fixture
def edit_card(conditioned: Path) -> Callable[[str, str], Path]:
    """Replace text in tiny's card; returns the card's path."""

    def edit(old: str, new: str) -> Path:
        file = conditioned / "tiny" / "card.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        return file

    return edit
