"""Fixtures that all tests share, and what keeps them apart from the user's settings."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
import torch

from audiofix.hub.card import ModelCard
from audiofix.hub.registry import export_wavenet
from tests.hub.tiny import tiny_net

# Tiny tensors: a second thread costs more than it gives, and far more when the cores are busy.
torch.set_num_threads(1)

# The first call into torch is slow; a fixed seed keeps the suite's verdict the same from run to run.
hypothesis.settings.register_profile("audiofix", deadline=None, derandomize=True)
hypothesis.settings.load_profile("audiofix")


@pytest.fixture(autouse=True)
def _no_user_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIOFIX_MODELS", raising=False)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture
def tiny_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in AUDIOFIX_MODELS: tiny-speech and tiny-piano, exported as real ones are."""
    folder = tmp_path / "tiny models"
    for seed, source in enumerate(("speech", "piano")):
        card = ModelCard(
            name=f"tiny-{source}",
            family="wavenet",
            source=source,
            sample_rate=16000,
            sigmas=(1.0, 0.001),
            network={},
            licence="CC0-1.0",
            trained_on=({"source": "nothing [at all]", "licence": "none"},),
            hours=0.5,
            validation={"mean_denoise_gain_db": 0.75, "denoise_gain_db": {"0.1": 1.5}},
        )
        export_wavenet(tiny_net(seed), card, folder / card.name)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(folder))
    return folder
