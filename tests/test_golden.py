"""Scores of the shipped models against stored ones. Opt in: `make golden`.

After a model was replaced on purpose: python -m tests.test_golden > tests/golden/scores.json
"""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path

import pytest
import torch

from audiofix.hub.registry import find_model, load_prior, model_hash

STORED = Path(__file__).parent / "golden" / "scores.json"
NAMES = ("speech-wavenet", "piano-wavenet")
SEPARATOR = "speech-piano"
SIGMAS = (0.01, 0.1, 0.6)
PLACES = (0, 1, 100, 4095, 8191)


def scores(name: str) -> dict[str, list[float]]:
    """Score of fixed noise at some samples, in float32 on the CPU, times sigma (so of order 1)."""
    prior = load_prior(name)
    x = 0.1 * torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    return {f"{s:g}": [float(v) for v in s * prior.score(x, s)[0, list(PLACES)]] for s in SIGMAS}


def estimates(name: str = SEPARATOR) -> dict[str, list[float]]:
    """Denoised first source of fixed noise, at some samples, in float32, over its standard deviation."""
    posterior = load_prior(name)
    x = 0.1 * torch.randn(1, 2, 8192, generator=torch.Generator().manual_seed(0))
    y = x.sum(dim=1)
    return {
        f"{s:g}": [float(v) for v in posterior.denoise(x, y, s)[0, 0, list(PLACES)] / 0.1]
        for s in (0.1, math.inf)
    }


@pytest.mark.golden
def test_estimates_are_the_stored_ones() -> None:
    stored = json.loads(STORED.read_text())["models"][SEPARATOR]
    assert model_hash(find_model(SEPARATOR)[0]) == stored["hash"], (
        "the model was replaced: write the scores anew"
    )
    for sigma, values in estimates().items():
        assert values == pytest.approx(stored["scores"][sigma], abs=2e-3)


@pytest.mark.golden
@pytest.mark.parametrize("name", NAMES)
def test_scores_are_the_stored_ones(name: str) -> None:
    stored = json.loads(STORED.read_text())["models"][name]
    assert model_hash(find_model(name)[0]) == stored["hash"], "the model was replaced: write the scores anew"
    for sigma, values in scores(name).items():
        # Another processor orders float32 sums of some hundred terms differently, through 30 layers.
        assert values == pytest.approx(stored["scores"][sigma], abs=2e-3)


if __name__ == "__main__":
    models = {n: {"hash": model_hash(find_model(n)[0]), "scores": scores(n)} for n in NAMES}
    models[SEPARATOR] = {"hash": model_hash(find_model(SEPARATOR)[0]), "scores": estimates()}
    where = {"torch": torch.__version__, "machine": platform.machine(), "models": models}
    print(json.dumps(where, indent=1))
