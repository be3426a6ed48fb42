"""How much audio the shipped priors learn from in a second of processor time, beside a plain WaveNet.

    python -m tests.benchmarks.throughput                      about three minutes on two cores
    python -m tests.benchmarks.throughput --rounds 10 --kernel 3

The plain WaveNet is what a first attempt at PnF would train: 18 layers of 48 channels, dilations 1 ... 256 twice
(van den Oord et al. 2016), softmax over 256 mu-law levels, float32, eager, AdamW. Ours are the recipes as they
stand: compiled, bfloat16 where the hardware has it, their own optimiser, batch and window. All are timed in one
process with the same threads and allocator, a few steps of each in turn, over and over; what else the machine does
then falls on all of them alike. A step is a batch drawn from the same made-up sound, noise added, loss, gradient,
optimiser; ours have clipping and averaged weights besides. The time is the processor's, of all threads.
Writes benchmarks-out/NAME.{json,md}, with the denoise gain that the shipped weights reached.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiofix.hub.registry import scan_models
from audiofix.numerics.companding import mu_law_levels
from audiofix.runtime.memory import keep_freed_memory
from audiofix.training.batches import noisy_batch
from audiofix.training.config import TrainConfig, read_config
from audiofix.training.data import Folder
from audiofix.training.objectives import noisy_history_nll
from audiofix.training.trainer import Trainer

RECIPES = Path(__file__).parents[2] / "models" / "recipes"
OURS = ("speech-wavenet", "speech-score")
PLAIN = "plain WaveNet"
LAYERS, CHANNELS, LEVELS, CYCLE = 18, 48, 256, 9
SECONDS_OF_SOUND = 30


class PlainLayer(nn.Module):
    """Dilated causal convolution, gate, residual and skip (van den Oord et al. 2016, figure 4)."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.dilated = nn.Conv1d(channels, 2 * channels, kernel, dilation=dilation)
        self.level = nn.Linear(2, 2 * channels)
        self.out = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, channel, time) to the same and what is skipped to the end."""
        value, gate = (self.dilated(functional.pad(x, (self.past, 0))) + self.level(level)[..., None]).chunk(
            2, dim=1
        )
        residual, skip = self.out(value.tanh() * gate.sigmoid()).chunk(2, dim=1)
        return x + residual, skip


class PlainWaveNet(nn.Module):
    """Noisy amplitude and its noise level in, logits of the clean sample's mu-law level out."""

    def __init__(
        self, kernel: int = 2, layers: int = LAYERS, channels: int = CHANNELS, levels: int = LEVELS
    ) -> None:
        super().__init__()
        dilations = [2 ** (index % CYCLE) for index in range(layers)]
        self.receptive_field = (kernel - 1) * sum(dilations) + 1
        self.enter = nn.Conv1d(2, channels, 1)
        self.layers = nn.ModuleList(PlainLayer(channels, kernel, dilation) for dilation in dilations)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv1d(channels, channels, 1), nn.ReLU(), nn.Conv1d(channels, levels, 1)
        )

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """x: (batch, time); sigma: (batch,). Returns (batch, time, levels), of which t sees x[: t] only."""
        scaled = x / (sigma**2 + 0.1**2).sqrt()[:, None]
        companded = x.sign() * (255 * x.abs()).log1p() / math.log(256)
        level = torch.stack([sigma.log(), torch.ones_like(sigma)], dim=1)
        hidden = self.enter(functional.pad(torch.stack([scaled, companded], dim=1), (1, 0))[..., :-1])
        total: Tensor | float = 0.0
        for layer in self.layers:
            hidden, skip = layer(hidden, level)
            total = total + skip
        logits: Tensor = self.head(total)
        return logits.transpose(1, 2)


@dataclass(frozen=True)
class Trained:
    """Something that is trained: what a step does, and how many seconds of audio it learns from."""

    step: Callable[[], object]
    seconds: float


def plain(config: TrainConfig, kernel: int) -> Trained:
    """The plain WaveNet on batches as the config's."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        net = PlainWaveNet(kernel)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    levels = mu_law_levels(LEVELS).float()
    folder = Folder([Path(name) for name in config.train], config.sample_rate)
    generator = np.random.default_rng(0)

    def step() -> float:
        clean, sigma, noise = noisy_batch(config, [folder], generator)
        loss = noisy_history_nll(net, levels, clean, sigma, noise).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return Trained(step, config.batch * config.window / config.sample_rate)


def shipped(config: TrainConfig, folder: Path) -> Trained:
    """A step of `audiofix train` with this config."""
    return Trained(Trainer(config, folder).step, config.batch * config.window / config.sample_rate)


def interleaved(
    trained: Mapping[str, Trained],
    rounds: int,
    seconds: float,
    warm_up: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of audio for a second of the clock, of each, round by round: A, B, C, A, B, C, ...

    In a round each takes steps until so many seconds have passed by the clock, one at least. The first steps of
    each, in which networks are compiled and memory is taken, are not counted.
    """
    for each in trained.values():
        for _ in range(warm_up):
            each.step()
    found: dict[str, list[float]] = {name: [] for name in trained}
    for _ in range(rounds):
        for name, each in trained.items():
            began, steps = clock(), 0
            while steps == 0 or clock() - began < seconds:
                each.step()
                steps += 1
            found[name].append(steps * each.seconds / (clock() - began))
    return found


def compared(found: Mapping[str, Sequence[float]], against: str) -> dict[str, dict[str, float]]:
    """Median speed of each, and the median, least and greatest of its ratio to another's in the same round."""
    rows = {}
    for name, speeds in found.items():
        ratios = [own / other for own, other in zip(speeds, found[against], strict=True)]
        rows[name] = {
            "audio_per_s": round(statistics.median(speeds), 3),
            "times": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "most": round(max(ratios), 2),
        }
    return rows


def made_up(folder: Path, sample_rate: int) -> Path:
    """A file of filtered noise: what is heard does not change the time that learning takes."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).standard_normal(SECONDS_OF_SOUND * sample_rate)
    soundfile.write(
        folder / "noise.wav", 0.1 * np.convolve(noise, np.ones(8) / 8, "same"), sample_rate, subtype="FLOAT"
    )
    return folder


def gain_of(name: str) -> float | None:
    """Mean denoise gain of shipped weights on held-out clips, dB, as their card has it."""
    home = scan_models().models.get(name)
    found = home[0].validation.get("mean_denoise_gain_db") if home else None
    return float(found) if isinstance(found, int | float) else None


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=list(OURS), help="names in models/recipes")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each takes")
    parser.add_argument("--seconds", type=float, default=4.0, help="of the processor in each turn")
    parser.add_argument("--warm-up", type=int, default=2, help="steps of each before that")
    parser.add_argument("--kernel", type=int, choices=(2, 3), default=2, help="of the plain WaveNet")
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument(
        "--eager", action="store_true", help="do not compile ours, to look at the script itself"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="throughput", help="of the files that are written")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        sound = str(made_up(Path(place) / "sound", 16000))
        configs = {
            name: replace(read_config(RECIPES / f"{name}.toml"), train=(sound,), valid=(sound,))
            for name in options.recipes
        }
        if options.eager:
            configs = {name: replace(config, compile=False) for name, config in configs.items()}
        first = replace(next(iter(configs.values())), variation={})
        trained = {PLAIN: plain(first, options.kernel)}
        trained |= {name: shipped(config, Path(place) / name) for name, config in configs.items()}
        found = interleaved(trained, options.rounds, options.seconds, options.warm_up)
    rows = compared(found, PLAIN)
    for name, row in rows.items():
        row["mean_denoise_gain_db"] = gain_of(name)  # type: ignore[assignment]
        print({"what": name, **row}, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    record = {"settings": settings, "rows": rows, "rounds": found}
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(rows))


def table(rows: Mapping[str, Mapping[str, float | None]]) -> str:
    """A Markdown table of the rows."""
    head = ("seconds of audio a second", "times the plain one (least ... most)", "denoise gain, dB")
    lines = ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for name, row in rows.items():
        gain = row.get("mean_denoise_gain_db")
        lines.append(
            f"| {name} | {row['audio_per_s']:.2f} | {row['times']:.2f} ({row['least']:.2f} ... {row['most']:.2f}) "
            f"| {'–' if gain is None else f'{gain:.2f}'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
