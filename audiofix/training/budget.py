"""How much a run may spend, where it stands, and the learning rate that follows from both."""

from __future__ import annotations

from dataclasses import dataclass

from audiofix.training.config import TrainConfig


@dataclass
class Progress:
    """Where a run stands: optimiser steps, hours by the clock and by the processor, seconds of audio seen.

    The budget and the learning rate follow the processor's hours: a busy machine takes longer, not shorter.
    """

    step: int = 0
    hours: float = 0.0
    core_hours: float = 0.0
    audio_seconds: float = 0.0
    origin: int = 0  # steps' worth of data that the model it started from had seen


def share_done(progress: Progress, config: TrainConfig) -> float:
    """How much of the budget is spent: of the hours or of the steps, whichever is more."""
    return max(progress.core_hours / config.hours, progress.step / config.steps if config.steps else 0.0)


def rate_factor(progress: Progress, config: TrainConfig) -> float:
    """Learning-rate factor: linear warm-up, flat, then linear to zero over the last share of the hours."""
    warm = min(1.0, (progress.step + 1) / max(1, config.warmup_steps))
    left = max(0.0, 1 - share_done(progress, config))
    return warm * min(1.0, left / config.decay_share if config.decay_share else 1.0)
