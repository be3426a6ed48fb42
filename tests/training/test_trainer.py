"""Training on small real files: it learns, resumes to the same weights, and draws what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, spread_sigmas, training_batch
from audiofix.training.objectives import denoise_gain, noisy_history_nll
from audiofix.training.trainer import Trainer, rate_factor
from tests.hub.tiny import TINY, tiny_net


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A tone of changing loudness: easy to predict."""
    time = np.arange(16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * 300 * time) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time))
    soundfile.write(tmp_path / "tone.wav", tone, 16000)
    return TrainConfig(
        "tone", "tone", (str(tmp_path),), (str(tmp_path),), window=256, batch=4, compile=False, bf16=False,
        warmup_steps=5, learning_rate=1e-2, network=TINY.to_dict(),
    )  # fmt: skip


def test_resumed_equals_uninterrupted(config: TrainConfig, tmp_path: Path) -> None:
    whole = Trainer(config, tmp_path / "whole")
    losses = [whole.step() for _ in range(6)]
    first = Trainer(config, tmp_path / "parts")
    again = [first.step() for _ in range(3)]
    first.save()
    second = Trainer(config, tmp_path / "parts")
    assert second.resume()
    again += [second.step() for _ in range(3)]
    assert again == losses
    for mine, other in ((whole.net, second.net), (whole.average, second.average)):
        for one, two in zip(mine.parameters(), other.parameters(), strict=True):
            assert torch.equal(one, two)


def test_it_learns(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(replace(config, learning_rate=3e-3), tmp_path / "run")
    generator = torch.Generator().manual_seed(0)
    clean = training_batch(trainer.train[0], 16, 256, (0.0, 0.0), np.random.default_rng(1))
    noise, sigma = torch.randn(clean.shape, generator=generator), torch.full((16,), 0.03)

    def bits() -> float:
        with torch.no_grad():
            return float(noisy_history_nll(trainer.net, trainer.net.level_values, clean, sigma, noise).mean())

    before = bits()
    for _ in range(100):
        trainer.step()
    # It starts from flat; a tone 15 dB above the noise is worth far more than half a bit.
    assert bits() < before - 0.5


def test_rate_rises_stays_and_falls_to_zero(config: TrainConfig, tmp_path: Path) -> None:
    progress = Trainer(config, tmp_path / "run").progress
    seen = []
    for step, share in ((0, 0.0), (4, 0.0), (50, 0.5), (90, 0.85), (99, 1.0)):
        progress.step, progress.core_hours = step, share * config.hours
        seen.append(rate_factor(progress, config))
    assert seen == pytest.approx([0.2, 1.0, 1.0, 0.5, 0.0])


def test_bits_are_those_of_the_categorical() -> None:
    """A net that ignores its input gives the cross-entropy that can be written down."""
    levels = torch.linspace(-1, 1, 16)
    logits = torch.randn(16, generator=torch.Generator().manual_seed(0))
    clean = levels[torch.tensor([[3, 3, 9]])]
    bits = noisy_history_nll(
        lambda x, _: logits.expand(*x.shape, 16), levels, clean, torch.ones(1), 0 * clean
    )
    expected = -logits.log_softmax(0)[[3, 3, 9]].mean() / math.log(2)
    assert bits.item() == pytest.approx(expected.item(), rel=1e-6)


def test_denoise_gain_of_known_priors() -> None:
    class Knows:
        def __init__(self, answer: torch.Tensor) -> None:
            self.answer = answer

        def score(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
            return (self.answer - x) / sigma**2

    clean = 0.1 * torch.randn(4, 4000, generator=torch.Generator().manual_seed(1))
    error = 0.01 * torch.randn(4, 4000, generator=torch.Generator().manual_seed(2))
    gain = denoise_gain(Knows(clean + error), clean, 0.1, torch.Generator().manual_seed(3))  # type: ignore[arg-type]
    # An error of a tenth of sigma is 20 dB; its power over 16,000 samples is known to 5 sqrt(2 / 16000) = 0.24 dB.
    assert gain == pytest.approx(20, abs=0.25)


def test_sigmas_cover_the_range_in_every_batch() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        edges = np.geomspace(0.001, 1.0, 5)
        sigmas = spread_sigmas(4, 0.001, 1.0, generator).numpy()
        for sigma, (low, high) in zip(sigmas, pairwise(edges), strict=True):
            assert low * (1 - 1e-6) <= sigma <= high * (1 + 1e-6)


def test_windows_are_of_the_file_and_never_clip(config: TrainConfig) -> None:
    folder = Folder([Path(config.train[0])], 16000)
    assert folder.seconds == pytest.approx(1.0)
    batch = training_batch(folder, 32, 256, (-6.0, 30.0), np.random.default_rng(0))
    assert batch.shape == (32, 256)
    assert batch.abs().max() <= 1.0
    assert folder.window(40_000, np.random.default_rng(0)).shape == (40_000,)


def test_average_follows_behind(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    before = trainer.average.head.weight.clone()
    trainer.step()
    # At the first step the ramp is 1/10: nine tenths of the way.
    expected = before + 0.9 * (trainer.net.head.weight - before)
    assert torch.allclose(trainer.average.head.weight, expected, atol=1e-7)


def test_tiny_net_is_what_the_config_builds(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path / "run")
    trainer.start_from(tiny_net(3), 0.25, 64.0)
    assert torch.equal(trainer.average.head.weight, tiny_net(3).head.weight)
    # 64 s at 16 kHz in steps of 4 x 256 samples: it goes on where the other's data ended.
    assert trainer.progress.origin == 1000
