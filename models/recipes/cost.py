"""What training a config costs: python models/recipes/cost.py models/recipes/pnf-full-vctk.toml --gpus 1 8

Operations and kept activations are counted on the real network, forward and backward, on two short windows; their
difference is what a further sample costs. How fast a GPU gets through them is assumed: so many operations a second
(--tflops), and besides, not at the same time, so many bytes of activations (--tbytes), each of which passes memory
five times: written, read by the next layer, read again backward, its gradient written and read. Hours are for the
config's steps of its batch on one GPU; n GPUs see the same audio in steps / n.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from audiofix.training.config import TrainConfig, read_config
from audiofix.training.data import Folder
from audiofix.training.tasks import make_task
from audiofix.training.trainer import build_network

COLUMNS = (
    "config", "M parameters", "GFLOP a s of audio", "h of audio seen", "GPUs", "steps", "hours", "GPU hours",
    "GB a GPU",
)  # fmt: skip
PASSES = 5  # through memory, of each kept byte
SHORT, LONG = 8192, 16384  # samples; windows this long hold whole frames of every config here
COPIES = {"adamw": 5, "muon": 4}  # of the weights, in float32: they, their average, gradient, moments


class Noise(Folder):
    """White noise for a folder: the cost does not depend on what is heard."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate

    def window(self, length: int, generator: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(0.1 * generator.standard_normal(length, dtype=np.float32))


@dataclass(frozen=True)
class Cost:
    """Per second of audio: operations of forward and backward pass, bytes that wait for the latter."""

    parameters: int
    flop: float
    kept: float


def measured(config: TrainConfig, net: torch.nn.Module, length: int) -> tuple[int, int]:
    """Operations and kept bytes of one item of so many samples."""
    task, kept = make_task(config), {}
    folders = [Noise(config.sample_rate) for _ in (config.train if config.family == "separator" else (0,))]
    batch = task.draw(replace(config, batch=1, window=length), folders, np.random.default_rng(0))

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    net.zero_grad()
    half = config.bf16 and config.precision != "fp32"
    with FlopCounterMode(display=False) as counter:
        with torch.autocast("cpu", torch.bfloat16, enabled=half), saved_tensors_hooks(keep, lambda held: held):
            loss = task.error(config, task.forward(net, False), batch)
        loss.backward()
    return counter.get_total_flops(), sum(kept.values())


def cost_of(config: TrainConfig) -> Cost:
    """By the difference of two windows, so that what a window costs once does not count."""
    net = build_network(config)
    (few, little), (many, much) = (measured(config, net, length) for length in (SHORT, LONG))
    seconds = (LONG - SHORT) / config.sample_rate
    return Cost(sum(p.numel() for p in net.parameters()), (many - few) / seconds, (much - little) / seconds)


def row(name: str, config: TrainConfig, cost: Cost, gpus: int, speed: argparse.Namespace) -> str:
    """One line of the table."""
    seconds = config.batch * config.window / config.sample_rate  # of a step on one GPU
    steps = math.ceil(config.steps / gpus)
    # Every weight's gradient goes to the others and comes back, as if nothing else were done meanwhile.
    sharing = 4 * cost.parameters * 2 * (gpus - 1) / gpus / (speed.gbytes * 1e9)
    working = seconds * (cost.flop / (speed.tflops * 1e12) + PASSES * cost.kept / (speed.tbytes * 1e12))
    hours = steps * (working + sharing) / 3600
    memory = (COPIES[config.optimizer] * 4 * cost.parameters + seconds * cost.kept) / 1e9
    return (
        f"| {name} | {cost.parameters / 1e6:.2f} | {cost.flop / 1e9:,.0f} | {config.steps * seconds / 3600:,.0f} "
        f"| {gpus} | {steps:,} | {hours:,.1f} | {hours * gpus:,.0f} | {memory:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG")
    parser.add_argument("--gpus", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--tflops", type=float, default=20.0, help="achieved by a GPU, assumed")
    parser.add_argument("--tbytes", type=float, default=1.0, help="a second of a GPU's memory, assumed")
    parser.add_argument("--gbytes", type=float, default=10.0, help="a second between GPUs, assumed")
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for path in options.configs:
        config = read_config(path)
        if not config.steps:
            raise SystemExit(f"{path} has no steps; name how many the run shall have")
        cost = cost_of(config)
        for gpus in options.gpus:
            print(row(config.name, config, cost, gpus, options), flush=True)


if __name__ == "__main__":
    main()
