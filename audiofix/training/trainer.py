"""One training loop: noise levels drawn per item, EMA, clipping, resume, checkpoints, a line of log."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audiofix.errors import ModelError, SettingError
from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.nets.widen import can_widen, widened
from audiofix.runtime.devices import has_native_bf16
from audiofix.training.budget import Progress, rate_factor, share_done
from audiofix.training.config import TrainConfig
from audiofix.training.folders import folders_of, read_ahead, shard
from audiofix.training.optimizers import make_optimizer
from audiofix.training.reading import Ahead, Batch
from audiofix.training.tasks import Task, make_task
from audiofix.training.team import Team, lost


def build_network(config: TrainConfig) -> nn.Module:
    """A fresh network, initialised from the config's seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(config.seed)
        try:
            return make_task(config).network(config)
        except (TypeError, ValueError) as error:
            raise SettingError(f"training config {config.name}, [network]: {error}") from error


class Loss(nn.Module):
    """A task's loss of a batch as a module: its gradients can be averaged over processes."""

    def __init__(self, config: TrainConfig, task: Task, net: nn.Module, forward: Any) -> None:
        super().__init__()
        self.net = net
        # Not as a module: a compiled network would bring the same weights under other names.
        self._error = partial(task.error, config, forward)

    def forward(self, *batch: Tensor) -> Tensor:
        """Mean loss in the task's unit."""
        return self._error(batch)


class Trainer:
    """Trains one network; `run` yields a log record every few steps and keeps `folder/checkpoint.pt` fresh.

    In a team each process has a trainer with batches of its own; gradients are averaged over them, so that all
    hold the same weights. The first one yields records, validates and writes.
    """

    def __init__(self, config: TrainConfig, folder: Path, team: Team | None = None) -> None:
        self.config, self.folder = config, folder
        self.team = team or Team()
        self.train = folders_of(config, config.train)
        self.valid = folders_of(config, config.valid, "valid")
        self.task = make_task(config)
        self.net = build_network(config)
        self.average = build_network(config)
        self.average.load_state_dict(self.net.state_dict())
        self.net.to(self.team.device)
        self.average.to(self.team.device)
        self.optimizer = make_optimizer(config.optimizer, self.net, config.learning_rate, config.weight_decay)
        self.progress = Progress()
        # Compiling fuses the element-wise passes, which bound the speed on CPUs. One fixed window length.
        self.forward = self.task.forward(self.net, config.compile)
        self._loss = self.team.share(Loss(config, self.task, self.net, self.forward))
        self._batches = Ahead(self.draw, read_ahead(config))

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
        held: Path | io.BytesIO | None = self.checkpoint if self.checkpoint.exists() else None
        if self.team.world > 1:
            held = self._checkpoint_of_first()
        if held is None:
            return False
        try:
            state = torch.load(held, weights_only=True, map_location=self.team.device)
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except Exception as error:
            raise ModelError(
                f"{self.checkpoint} does not fit this config ({error}); use another folder"
            ) from error
        self.progress = Progress(**state["progress"])
        return True

    def _checkpoint_of_first(self) -> io.BytesIO | None:
        """What the first process has in its folder: other machines need not see it."""
        here = self.team.first and self.checkpoint.exists()
        data = self.team.bytes_of_first(self.checkpoint.read_bytes() if here else None)
        return None if data is None else io.BytesIO(data)

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
        """Write the checkpoint beside its place, then move it there; the first process does."""
        if not self.team.first:
            return
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

    @property
    def half(self) -> bool:
        """Whether networks compute in bfloat16 where that is good enough."""
        config, device = self.config, self.team.device
        auto = config.bf16 and (device.type == "cpu" or has_native_bf16(device))
        return auto if config.precision == "auto" else config.precision == "bf16"

    def draw(self, step: int) -> Batch:
        """The batch of a step, counted from where the data of the model began that it started from.

        Keyed by the step, so that a resumed run sees what an uninterrupted one would have seen.
        """
        config, team = self.config, self.team
        apart = [team.rank] if team.world > 1 else []
        generator = np.random.default_rng([config.seed, step, *apart])
        folders = [shard(folder, step, team.rank, team.world, config) for folder in self.train]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):  # a network may be asked
            return self.task.draw(config, folders, generator)

    def gradient(self) -> Tensor:
        """Add the gradient of the next batch, averaged over the team; returns this process's mean loss."""
        batch = self._batches(self.progress.origin + self.progress.step)
        device = self.team.device
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
                loss: Tensor = self._loss(*(part.to(device, non_blocking=True) for part in batch))
            loss.backward()
        except RuntimeError as error:
            raise lost(error) from error
        return loss.detach()

    def step(self) -> float:
        """One optimiser step; returns the batch's mean loss in the task's unit. Raises LostRank."""
        config = self.config
        factor = rate_factor(self.progress, config)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor
        loss = self.gradient()
        nn.utils.clip_grad_norm_(self.net.parameters(), config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average()
        self.progress.step += 1
        self.progress.audio_seconds += self.team.world * config.batch * config.window / config.sample_rate
        return float(loss)

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
        clock, processor = time.monotonic(), self._used()
        last_save = last_check = began = clock
        audio_began = self.progress.audio_seconds
        while share_done(self.progress, config) < 1:
            loss = self.step()
            now, used = time.monotonic(), self._used()
            spent = [
                loss / self.team.world,
                *((now - clock, used - processor) if self.team.first else (0, 0)),
            ]
            # All go by the clock of the first, or they would not stop at the same step.
            loss, passed, worked = self.team.total(spent)
            recent.append(loss)
            self.progress.hours += passed / 3600
            self.progress.core_hours += worked / 3600
            clock, processor = now, used
            if not self.team.first:
                continue
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
                    processor = self._used()
        if self.team.first:
            self.save()
            yield self._validated()

    def _used(self) -> float:
        """Seconds that the processor worked; a GPU works by the clock."""
        return time.process_time() if self.team.device.type == "cpu" else time.monotonic()

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
