"""Tiny models, and recordings with faults that are three sections long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audiofix.hub import registry
from audiofix.hub.registry import export_model
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer, tiny_restorer


@pytest.fixture(scope="package")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed, source in enumerate(("speech", "piano")):
        card = tiny_card(f"tiny-{source}", "score", source)
        export_model(tiny_mixer(seed=seed), card, folder / card.name)
    card = replace(
        tiny_card("tiny-inpainter", "inpainter", "speech"),
        validation={"mean_snr_in_gaps_db": 1.0},
        fill_orders=(60, 24),
        fill_kind="uneven",
    )
    export_model(tiny_restorer(2), card, folder / card.name)
    return folder


@pytest.fixture(autouse=True)
def models(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks of random weights, real in all else."""
    monkeypatch.setattr(registry, "_packaged", list)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(exported))
