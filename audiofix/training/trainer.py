"""One training loop: noise levels drawn per item, EMA, clipping, resume, checkpoints, a line of log."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from audiofix.errors import ModelError, SettingError
from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.nets.widen import can_widen, widened
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder
from audiofix.training.optimizers import make_optimizer
from audiofix.training.tasks import make_task


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


def build_network(config: TrainConfig) -> nn.Module:
    """A fresh network, initialised from the config's seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(config.seed)
        try:
            return make_task(config).network(config)
        except (TypeError, ValueError) as error:
            raise SettingError(f"training config {config.name}, [network]: {error}") from error


def folders_of(config: TrainConfig, paths: Sequence[str]) -> list[Folder]:
    """One folder for each source of a separator; all folders together for a prior of one source.

    After the latter one folder for each source that it is mixed with, if it is.
    """
    apart = [[Path(p)] for p in paths] if config.family == "separator" else [[Path(p) for p in paths]]
    others = config.mixed_train if paths == config.train else config.mixed_valid
    return [Folder(roots, config.sample_rate) for roots in (*apart, *([Path(p)] for p in others))]


def rate_factor(progress: Progress, config: TrainConfig) -> float:
    """Learning-rate factor: linear warm-up, flat, then linear to zero over the last share of the hours."""
    warm = min(1.0, (progress.step + 1) / max(1, config.warmup_steps))
    left = max(0.0, 1 - progress.core_hours / config.hours)
    return warm * min(1.0, left / config.decay_share if config.decay_share else 1.0)


class Trainer:
    """Trains one network; `run` yields a log record every few steps and keeps `folder/checkpoint.pt` fresh."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.train, self.valid = folders_of(config, config.train), folders_of(config, config.valid)
        self.task = make_task(config)
        self.net = build_network(config)
        self.average = build_network(config)
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = make_optimizer(config.optimizer, self.net, config.learning_rate, config.weight_decay)
        self.progress = Progress()
        # Compiling fuses the element-wise passes, which bound the speed on CPUs. One fixed window length.
        self.forward = self.task.forward(self.net, config.compile)

    @property
    def seconds(self) -> float:
        """Length of the training data."""
        return sum(folder.seconds for folder in self.train)

    @property
    def checkpoint(self) -> Path:
        """The file that a run resumes from."""
        return self.folder / "checkpoint.pt"

    def resume(self) -> bool:
        """Load the checkpoint if there is one; True when it was loaded. Never unpickles code."""
        if not self.checkpoint.exists():
            return False
        try:
            state = torch.load(self.checkpoint, weights_only=True)
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as error:
            raise ModelError(
                f"{self.checkpoint} does not fit this config ({error}); use another folder"
            ) from error
        self.progress = Progress(**state["progress"])
        return True

    def start_from(self, net: nn.Module, core_hours: float, audio_seconds: float) -> None:
        """Take over a trained network's weights and what it has seen; the optimiser starts anew.

        A network that is shown less gives what it can: see `audiofix.nets.widen`.

        Raises ModelError when its sizes are not those of the config.
        """
        state, seen = (
            net.state_dict(),
            int(audio_seconds * self.config.sample_rate / (self.config.batch * self.config.window)),
        )
        mine: Any = self.net.config
        if net.config != mine:
            if not can_widen(net.config, mine):
                raise ModelError("the model to start from has other sizes than the config; make them equal")
            state = widened(net, self.net)
            if isinstance(self.net, TimeFrequencyMixer):
                seen = 0  # a new exit: what it said at first must not stay in the average
        for one in (self.net, self.average):
            one.load_state_dict(state)
        self.progress = Progress(core_hours=core_hours, audio_seconds=audio_seconds, origin=seen)

    def save(self) -> None:
        """Write the checkpoint beside its place, then move it there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.checkpoint.with_suffix(".part")
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": dataclasses.asdict(self.progress),
        }
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def step(self) -> float:
        """One optimiser step; returns the batch's mean loss in the task's unit."""
        config = self.config
        # Keyed by the step, so that a resumed run sees what an uninterrupted one would have seen.
        generator = np.random.default_rng([config.seed, self.progress.origin + self.progress.step])
        factor = rate_factor(self.progress, config)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            loss = self.task.loss(config, self.forward, self.train, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average()
        self.progress.step += 1
        self.progress.audio_seconds += config.batch * config.window / config.sample_rate
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average must follow quickly: the usual ramp (1 + n) / (10 + n).
        steps = self.progress.origin + self.progress.step
        decay = min(self.config.ema, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - decay)

    def validate(self) -> dict[str, Any]:
        """Figures of the averaged weights on fixed held-out clips; what they are is the task's business."""
        found = self.task.validate(self.config, self.average, self.valid)
        self.average.requires_grad_(True)
        return found

    def run(self) -> Iterator[dict[str, Any]]:
        """Train until the config's processor hours are spent; yield a record at log lines and checkpoints."""
        config, recent = self.config, []
        clock, processor = time.monotonic(), time.process_time()
        last_save = last_check = began = clock
        audio_began = self.progress.audio_seconds
        while self.progress.core_hours < config.hours:
            recent.append(self.step())
            now, used = time.monotonic(), time.process_time()
            self.progress.hours += (now - clock) / 3600
            self.progress.core_hours += (used - processor) / 3600
            clock, processor = now, used
            if self.progress.step % config.log_steps == 0:
                speed = (self.progress.audio_seconds - audio_began) / (now - began)
                yield {
                    self.task.unit: round(float(np.mean(recent)), 4),
                    "audio_per_s": round(speed, 2),
                    **self._where(),
                }
                recent = []
            if now - last_save > 60 * config.checkpoint_minutes:
                self.save()
                last_save = now
                if now - last_check > 60 * config.validate_minutes:
                    yield self._validated()
                    # Validation is not training: it does not count as hours.
                    last_check = clock = time.monotonic()
                    processor = time.process_time()
        self.save()
        yield self._validated()

    def _where(self) -> dict[str, Any]:
        return {
            "step": self.progress.step,
            "hours": round(self.progress.hours, 4),
            "core_hours": round(self.progress.core_hours, 4),
            "audio_seconds": round(self.progress.audio_seconds),
        }

    def _validated(self) -> dict[str, Any]:
        record = {**self._where(), **self.validate()}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        return record
