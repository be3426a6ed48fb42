"""Sounds with pauses, partials and resonances, made of seeds."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

RATE = 16000


def tensor(*channels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(channels))


def voice(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    """Pulses and breath through resonances, in syllables with pauses that fade to digital silence. RMS 0.1."""
    rng, time = np.random.default_rng(seed), round(seconds * RATE)
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * np.arange(time) / RATE + rng.uniform(0, 6))
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0)
    x = pulses + 0.03 * rng.standard_normal(time)
    for hertz, width in ((600, 80), (1200, 100), (2500, 150), (3600, 200), (5500, 400)):
        radius = np.exp(-np.pi * width / RATE)
        x = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], x)
    syllable = np.clip(1.6 * np.sin(2 * np.pi * 1.5 * np.arange(time) / RATE) + 0.4, 0, 1) ** 2
    x *= syllable
    return 0.1 * x / np.sqrt(np.mean(x**2))


def piano(seconds: float = 4.0, seed: int = 0) -> np.ndarray:
    """Decaying notes of many partials, RMS 0.1, over hiss 80 dB below."""
    rng, time = np.random.default_rng(seed), round(seconds * RATE)
    x = 1e-4 * rng.standard_normal(time)
    for start in range(0, time, 2000):
        t = np.arange(min(RATE, time - start)) / RATE
        pitch = 110 * 2 ** (rng.integers(0, 36) / 12)
        for k in range(1, int(7500 / pitch) + 1):
            tone = np.sin(2 * np.pi * k * pitch * t + rng.uniform(0, 6)) * np.exp(-t * (1.5 + 0.4 * k))
            tone *= np.clip(4 - 4 * t, 0, 1)
            x[start : start + len(t)] += tone * rng.uniform(0.3, 1) / k * np.minimum(1, t / 0.003)
    return 0.1 * x / np.sqrt(np.mean(x**2))


def hiss(time: int, std: float = 1.0, seed: int = 0) -> np.ndarray:
    return std * np.random.default_rng([seed, 77]).standard_normal(time)
