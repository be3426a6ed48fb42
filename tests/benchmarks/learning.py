"""How soon the shipped WaveNet recipe has learnt what a plain WaveNet learns in so many processor hours.

    python -m tests.benchmarks.learning                      about an hour of one core, after `make corpora`
    python -m tests.benchmarks.learning --hours 0.25 --plain-hours 1 --points 5

Seconds of audio a second (`throughput`) say how fast audio is read, not how much is learnt. Here both learn the
same folders: ours as `audiofix train` does, the plain one (18 layers of 48 channels, see `throughput`) in
float32, eager, with AdamW and the same warm-up, each at a rate that does not fall, with averaged weights. Both are
judged by the denoise gain of `audiofix train`, mean over noise levels on the same held-out clips, outside the
clock. The time is the processor's, of all threads. Writes benchmarks-out/NAME.{json,md}.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audiofix.numerics.companding import mu_law_levels
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.runtime.memory import keep_freed_memory
from audiofix.training.batches import gains, noisy_batch, valid_clips
from audiofix.training.config import TrainConfig, read_config
from audiofix.training.data import Folder
from audiofix.training.objectives import noisy_history_nll
from audiofix.training.trainer import Trainer
from tests.benchmarks.throughput import LEVELS, PLAIN, RECIPES, PlainWaveNet

Point = tuple[float, float]  # processor hours, denoise gain in dB


class AsPrior(nn.Module):
    """A plain WaveNet with the two halves that a WaveNet prior asks for."""

    def __init__(self, net: PlainWaveNet) -> None:
        super().__init__()
        self.net, self.receptive_field, self.foresight = net, net.receptive_field, 0
        self.config = SimpleNamespace(slow_hop=1, given=0)
        self.register_buffer("level_values", mu_law_levels(LEVELS).float())

    def features(self, x: Tensor, sigma: Tensor, _given: object = None) -> tuple[Tensor, Tensor, Tensor]:
        """Its logits, and two that it has no use for."""
        nothing = torch.zeros_like(x)
        return self.net(x, sigma), nothing, nothing

    @staticmethod
    def logits(hidden: Tensor, guess: Tensor, scale: Tensor) -> Tensor:
        """As they are: the other two are zeros, which a gradient has to reach all the same."""
        return hidden + (guess + scale)[..., None]


@dataclass(frozen=True)
class Learner:
    """Something that learns: a step, and what its averaged weights are worth."""

    step: Callable[[], object]
    gain: Callable[[], float]


def judge(
    config: TrainConfig, average: nn.Module, seen: Callable[[Any], Any] = lambda net: net
) -> Callable[[], float]:
    """What averaged weights are worth: `audiofix train` judges by the same clips and noise."""
    clips = valid_clips(config, [Folder([Path(name) for name in config.valid], config.sample_rate)])

    def gain() -> float:
        net = seen(copy.deepcopy(average))
        prior = WaveNetPrior({1.0: net}, config.sample_rate, (config.sigma_max, config.sigma_min))
        return float(gains(config, prior, clips)["mean_denoise_gain_db"])

    return gain


def ours(config: TrainConfig, folder: Path) -> Learner:
    """`audiofix train` with this config."""
    trainer = Trainer(config, folder)
    return Learner(trainer.step, judge(config, trainer.average))


def plain(config: TrainConfig, rate: float) -> Learner:
    """The plain WaveNet on the config's folders."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(config.seed)
        net = PlainWaveNet()
    average = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate)
    levels = mu_law_levels(LEVELS).float()
    train = [Folder([Path(name) for name in config.train], config.sample_rate)]
    steps = 0

    def step() -> None:
        nonlocal steps
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / max(1, config.warmup_steps))
        clean, sigma, noise = noisy_batch(config, train, np.random.default_rng([config.seed, steps]))
        noisy_history_nll(net, levels, clean, sigma, noise).mean().backward()
        nn.utils.clip_grad_norm_(net.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps += 1
        decay = min(config.ema, steps / (9 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)

    return Learner(step, judge(config, average, AsPrior))


def learnt(
    learner: Learner, hours: Sequence[float], clock: Callable[[], float] = time.process_time
) -> list[Point]:
    """The gain after each of so many hours of steps; judging does not count."""
    found: list[Point] = []
    used = 0.0
    for until in sorted(hours):
        while used < 3600 * until:
            began = clock()
            learner.step()
            used += clock() - began
        found.append((round(used / 3600, 5), learner.gain()))
        print(found[-1], flush=True)
    return found


def when(curve: Sequence[Point], gain: float) -> float | None:
    """Hours of a curve's first point with this gain, which it may have had sooner; None without one."""
    return next((hours for hours, value in curve if value >= gain), None)


def sooner(our_curve: Sequence[Point], plain_curve: Sequence[Point]) -> list[dict[str, float | None]]:
    """For each point of the plain network's curve: when ours had that gain, and how many times sooner."""
    rows = []
    for hours, gain in plain_curve:
        found = when(our_curve, gain)
        rows.append({
            "gain_db": round(gain, 3), "plain_hours": round(hours, 4),
            "our_hours": None if found is None else round(found, 4),
            "times": None if not found else round(hours / found, 1),
        })  # fmt: skip
    return rows


def points(hours: float, count: int) -> list[float]:
    """So many hours, each twice the one before, up to all of them."""
    return [hours / 2 ** (count - 1 - k) for k in range(count)]


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="speech-wavenet", help="name in models/recipes")
    parser.add_argument("--hours", type=float, default=0.12, help="of the processor, for ours")
    parser.add_argument("--plain-hours", type=float, default=0.5, help="of the processor, for the plain one")
    parser.add_argument("--points", type=int, default=4, help="of each curve")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of the plain one")
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="learning", help="of the files that are written")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    config = replace(read_config(RECIPES / f"{options.recipe}.toml"), hours=math.inf, decay_share=0.0)
    with tempfile.TemporaryDirectory() as place:
        our_curve = learnt(ours(config, Path(place)), points(options.hours, options.points))
    print({options.recipe: our_curve}, flush=True)
    plain_curve = learnt(plain(config, options.rate), points(options.plain_hours, options.points))
    rows = sooner(our_curve, plain_curve)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"settings": settings, "curves": {options.recipe: our_curve, PLAIN: plain_curve}, "rows": rows}
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(rows))
    print(table(rows), flush=True)


def table(rows: Sequence[dict[str, float | None]]) -> str:
    """A Markdown table of the rows."""
    lines = ["| denoise gain, dB | hours, plain | hours, ours | times |", "|--:|--:|--:|--:|"]
    for row in rows:
        lines.append("| " + " | ".join("–" if v is None else f"{v:g}" for v in row.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
