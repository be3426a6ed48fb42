"""The benchmark of learning: time counts while steps are taken, and claims are no more than what was looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.training.config import TrainConfig
from tests.benchmarks.learning import AsPrior, Learner, learnt, plain, points, sooner, when
from tests.benchmarks.throughput import PlainWaveNet


def test_only_steps_count() -> None:
    now, done = 0.0, 0

    def step() -> None:
        nonlocal now, done
        now, done = now + 36.0, done + 1

    def gain() -> float:
        nonlocal now
        now += 1e6
        return float(done)

    # 36 s are a hundredth of an hour.
    assert learnt(Learner(step, gain), [0.04, 0.02], lambda: now) == [(0.02, 2.0), (0.04, 4.0)]


def test_points_double_up_to_the_last() -> None:
    assert points(0.8, 4) == pytest.approx([0.1, 0.2, 0.4, 0.8])


def test_a_gain_is_claimed_where_it_was_seen() -> None:
    ours = [(0.1, 5.0), (0.2, 4.9), (0.4, 6.0)]
    assert when(ours, 4.95) == 0.1
    assert when(ours, 5.5) == 0.4
    assert when(ours, 6.5) is None
    rows = sooner(ours, [(0.5, 5.0), (2.0, 5.5), (4.0, 7.0)])
    assert [row["times"] for row in rows] == [5.0, 5.0, None]


def test_the_plain_one_is_judged_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gain is that of its logits as they are."""
    monkeypatch.setattr("audiofix.training.batches.VALID_CLIPS", 1)
    monkeypatch.setattr("audiofix.training.batches.VALID_LENGTH", 2048)
    noise = np.random.default_rng(0).standard_normal(80000)
    soundfile.write(tmp_path / "a.wav", 0.1 * np.convolve(noise, np.ones(8) / 8, "same"), 16000, "FLOAT")
    folders = (str(tmp_path),)
    config = TrainConfig("x", "speech", folders, folders, window=512, batch=1, sigma_min=0.03, sigma_max=0.3)
    learner = plain(config, 1e-3)
    learner.step()
    assert np.isfinite(learner.gain())
    net = AsPrior(PlainWaveNet(layers=2, channels=4))
    x, sigma = torch.zeros(1, 9), torch.tensor([0.1])
    assert torch.equal(net.logits(*net.features(x, sigma)), net.net(x, sigma))
