"""Short synthetic tasks of every kind, with a truth whose structure the methods are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.damages import Cut, LostSamples, Noisy, Rounded
from audiofix.evaluation.systems.base import RESTORED, Task
from audiofix.types import Audio
from tests.baselines.signals import harmonic

RATE = 16000
GAP = (8000, 8160)
POLES = 0.998 * np.exp(2j * np.pi * np.array([300.0, 710.0]) / RATE)
COEFFICIENTS = np.poly(np.concatenate([POLES, POLES.conj()])).real  # of `resonance`


def steady(length: int = RATE, partials: int = 12) -> Tensor:
    """(1, time) partials of 220 Hz that sound on and on."""
    return torch.from_numpy(harmonic(length, partials=partials)).float()[None]


def bursts(length: int = RATE) -> Tensor:
    """(1, time) white noise in bursts of 5 ms, eight a second."""
    noise = torch.randn(1, length, generator=torch.Generator().manual_seed(5))
    return 0.3 * noise * (torch.arange(length) % (RATE // 8) < RATE // 200)


def separation(names: tuple[str, str] = ("speech", "piano"), rate: int = RATE) -> Task:
    """Bursts under the first name, partials under the second."""
    clean = dict(zip(names, (bursts(), steady()), strict=True))
    return Task("separate", "both", Audio(sum(clean.values()), rate), clean, rate, (), 3)


def stereo(task: Task) -> Task:
    """The same with a second channel that is the first backwards."""

    def both(wave: Tensor) -> Tensor:
        return torch.cat([wave, wave.flip(-1)])

    clean = {name: both(wave) for name, wave in task.clean.items()}
    return replace(task, given=replace(task.given, samples=both(task.given.samples)), clean=clean)


def resonance(length: int = RATE) -> Tensor:
    """(1, time) an autoregressive process with two sharp resonances."""
    from scipy.signal import lfilter

    noise = np.random.default_rng(2).standard_normal(length)
    x = lfilter([1.0], COEFFICIENTS, noise)
    return torch.from_numpy(0.1 * x / x.std()).float()[None]


def restoration(kind: str) -> Task:
    """A damaged second of `steady`, for gaps of `resonance`."""
    clean = resonance() if kind == "inpaint" else steady(partials=16 if kind == "upsample" else 12)
    given, faults, rate = clean.clone(), [], RATE
    if kind == "upsample":
        given, rate = resample(clean, RATE, RATE // 2), RATE // 2
    elif kind == "inpaint":
        given[:, slice(*GAP)] = float("nan")
        faults = [LostSamples((GAP,))]
    elif kind == "declip":
        given, faults = clean.clamp(-0.1, 0.1), [Cut(-0.1, 0.1)]
    elif kind == "dequantise":
        given, faults = (clean * 16).round() / 16, [Rounded(1 / 16)]
    elif kind == "denoise":
        given = clean + 0.03 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        faults = [Noisy(torch.tensor([0.03]))]
    return Task(kind, kind, Audio(given, rate), {RESTORED: clean}, RATE, tuple(faults), 0)


def task_of(kind: str) -> Task:
    """One of any kind."""
    return separation() if kind == "separate" else restoration(kind)
