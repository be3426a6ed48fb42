"""Fixtures that all tests share, and what keeps them apart from the user's settings."""

from __future__ import annotations

import hypothesis
import pytest
import torch

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
