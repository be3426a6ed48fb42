"""Fixtures that all tests share, and what keeps them apart from the user's settings."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
import torch

from audiofix.hub import registry
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import export_model
from tests.hub.tiny import TINY_SHOWN, tiny_mixer, tiny_net

# Tiny tensors: a second thread costs more than it gives, and far more when the cores are busy.
torch.set_num_threads(1)

# A suite that a script started in the background ignores Ctrl-C, and so would the commands that it interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first call into torch is slow; a fixed seed keeps the suite's verdict the same from run to run.
hypothesis.settings.register_profile("audiofix", deadline=None, derandomize=True)
hypothesis.settings.load_profile("audiofix")


@pytest.fixture(autouse=True)
def _no_user_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIOFIX_MODELS", raising=False)


@pytest.fixture(autouse=True)
def _signals_stay() -> Iterator[None]:
    """What a test's own process does with Ctrl-C is as before: the processes of later tests inherit it."""
    before = signal.getsignal(signal.SIGINT)
    yield
    left = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    assert left is before


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def tiny_card(name: str, family: str, source: str) -> ModelCard:
    """What the author of a tiny model says about it."""
    return ModelCard(
        name=name,
        family=family,
        source=source,
        sample_rate=16000,
        sigmas=(1.0, 0.001),
        network={},
        licence="CC0-1.0",
        trained_on=({"source": "nothing [at all]", "licence": "none"},),
        hours=0.5,
        validation={"mean_denoise_gain_db": 0.75, "denoise_gain_db": {"0.1": 1.5}},
    )


@pytest.fixture
def tiny_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in AUDIOFIX_MODELS: tiny-speech and tiny-piano, exported as real ones are.

    The shipped models are out of sight: one that knows more would be chosen.
    """
    monkeypatch.setattr(registry, "_packaged", list)
    folder = tmp_path / "tiny models"
    for seed, source in enumerate(("speech", "piano")):
        card = tiny_card(f"tiny-{source}", "wavenet", source)
        export_model(tiny_net(seed), card, folder / card.name)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(folder))
    return folder


@pytest.fixture
def tiny_separator(tiny_models: Path) -> Path:
    """The folder of `tiny_models` with one more, tiny-separator, which knows speech,piano."""
    card = tiny_card("tiny-separator", "separator", "speech,piano")
    export_model(tiny_mixer(2), card, tiny_models / card.name)
    return tiny_models


@pytest.fixture
def shown_priors(tiny_separator: Path) -> Path:
    """The folder of `tiny_separator` with shown-speech and shown-piano, which see what it says of the mixture.

    They have the better figures, so that they are chosen.
    """
    for seed, source in enumerate(("speech", "piano"), start=5):
        card = replace(
            tiny_card(f"shown-{source}", "wavenet", source),
            shown="tiny-separator",
            validation={"mean_denoise_gain_db": 2.0},
        )
        export_model(tiny_net(seed, TINY_SHOWN), card, tiny_separator / card.name)
    return tiny_separator
