"""Synthetic harmonic sounds, and what is done to them."""

from __future__ import annotations

import numpy as np

RATE = 16000


def harmonic(time: int = 8192, pitch: float = 220.0, partials: int = 30, fall_db: float = 3.0) -> np.ndarray:
    """Partials of random phase, each fall_db weaker than the one before, at RMS 0.1; the pitch is no bin's."""
    generator = np.random.default_rng(7)
    t = np.arange(time) / RATE
    x = np.zeros(time)
    for number in range(1, partials + 1):
        phase = generator.uniform(0, 2 * np.pi)
        x += 10 ** (-fall_db * number / 20) * np.sin(2 * np.pi * pitch * number * t + phase)
    return 0.1 * x / np.sqrt(np.mean(x**2))


def snr_db(estimate: np.ndarray, truth: np.ndarray, where: np.ndarray | slice = slice(None)) -> float:
    return 10 * float(np.log10(np.sum(truth[where] ** 2) / np.sum((estimate - truth)[where] ** 2)))


def short_inputs() -> list[np.ndarray]:
    """0, 1 and 100 samples, in both precisions."""
    generator = np.random.default_rng(3)
    return [
        generator.uniform(-0.5, 0.5, time).astype(dtype)
        for time in (0, 1, 2, 100)
        for dtype in (np.float32, np.float64)
    ]
