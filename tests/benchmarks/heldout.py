"""Clips of the corpora that no model learnt from: for whatever is chosen, so that the fixed set stays unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiofix.training.data import Folder

RATE = 16000


def held_out(folder: Path, count: int, seconds: float, seed: int = 99) -> Tensor:
    """(clip, time) windows of a folder at RMS 0.1; none that is mostly silent, or clips at that level."""
    source, generator = Folder([folder], RATE), np.random.default_rng(seed)
    found: list[Tensor] = []
    while len(found) < count:
        clip = source.window(round(seconds * RATE), generator)
        level = clip.square().mean().sqrt()
        silent = float((clip.abs() < 1e-4).float().mean())
        if silent < 0.15 and level > 1e-3 and float(clip.abs().max() / level) < 10:
            found.append(clip * (0.1 / level))
    return torch.stack(found)
