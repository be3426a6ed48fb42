"""All restoring commands on the fixed evaluation set, beside classical methods (protocol in eval/README.md).

    python -m tests.benchmarks.restoring --every 4
    python -m tests.benchmarks.restoring --tasks denoise --peers --domains speech
    python -m tests.benchmarks.restoring --tasks upsample --draws 8 --every 8
    python -m tests.benchmarks.restoring --tasks upsample --draws 8 --held-out 6      to choose by

Each clip goes through `audiofix.repair.restore` as a command's file would, with the prior recognised from the
sound; what happened to it is told exactly, to the classical methods too. Figures are means over clips, dB but for
the log-spectral distance of upsampling. SNR: in gaps, over clipped samples (of one clip together), else over all.
With `--held-out` clips come from the validation folders of the corpora (`make corpora`) instead: what is chosen is
chosen on these, and the evaluation set is looked at afterwards. Writes benchmarks-out/NAME.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiofix.baselines.declipping import declip_interpolated, declip_sparse
from audiofix.baselines.denoising import spectral_subtraction, wiener
from audiofix.baselines.dequantising import dequantise_sparse
from audiofix.baselines.interpolation import interpolated
from audiofix.baselines.upsampling import spectral_replication
from audiofix.batch.local import cores
from audiofix.damages import Cut, Fault, LostSamples, Noisy, Rounded
from audiofix.evaluation.systems.base import RESTORED, System, Task
from audiofix.numerics.fills import USUAL, Fills
from audiofix.numerics.metrics import log_spectral_distance, snr
from audiofix.operators.gap import classical_fills
from audiofix.operators.lowpass import decimate
from audiofix.repair import restore
from audiofix.runtime.memory import keep_freed_memory
from audiofix.types import Audio
from tests.benchmarks.heldout import held_out
from tests.benchmarks.janssen import gaps
from tests.benchmarks.restore import DOMAINS, read_clips

HERE, RATE = Path(__file__).parent, 16000
Classical = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A damaged clip: the recording, what is told about it, what counts, and the classical methods for it."""

    recorded: Audio
    faults: list[Fault]
    figure: Callable[[Tensor], float]
    start: Tensor  # (time,) at 16 kHz: what the input's figure is of, and what classical methods are given
    methods: dict[str, Classical]
    to_rate: int | None = None


def audio(wave: Tensor, rate: int = RATE) -> Audio:
    """(time,) to a recording."""
    return Audio(wave[None].clone(), rate)


def upsampling(clip: Tensor, factor: float, _number: int) -> Case:
    """Low-passed and decimated."""
    low = decimate(clip, int(factor))
    cut = RATE / 2 / factor * 0.9
    start = torch.from_numpy(_sinc(low, int(factor), len(clip)))
    return Case(
        audio(low, RATE // int(factor)), [], lambda x: float(log_spectral_distance(x, clip)), start,
        {"replication": lambda x: spectral_replication(x, RATE, cut)}, RATE,
    )  # fmt: skip


def _sinc(low: Tensor, factor: int, length: int) -> np.ndarray:
    from audiofix.audio.resample import resample

    return resample(low[None], RATE // factor, RATE, length)[0].numpy()


def _nearby(spans: Sequence[tuple[int, int]], how: Fills, x: np.ndarray) -> np.ndarray:
    return classical_fills(x, spans, how)[0]


def inpainting(clip: Tensor, milliseconds: float, _number: int) -> Case:
    """Four gaps."""
    lost = LostSamples(tuple(gaps(int(milliseconds))))
    where = torch.zeros(len(clip), dtype=torch.bool)
    for first, stop in lost.spans:
        where[first:stop] = True
    start = torch.where(where, 0.0, clip)
    methods: dict[str, Classical] = {
        "janssen": lambda x: interpolated(x.astype(float), RATE, lost.spans),
        **{f"nearby, order {order}": partial(_nearby, lost.spans, Fills((order,))) for order in USUAL.orders},
        "uneven, order 1400": partial(_nearby, lost.spans, Fills((1400,), "uneven")),
        "gliding, order 192": partial(_nearby, lost.spans, Fills((192,), "gliding")),
    }
    return Case(audio(start), [lost], lambda x: float(snr(x, clip, where)), start, methods)


def declipping(clip: Tensor, decibels: float, _number: int) -> Case:
    """Clipped at the level that gives this SDR."""
    low, high = 0.0, float(clip.abs().max())
    for _ in range(50):
        middle = (low + high) / 2
        below = float(snr(clip.clamp(-middle, middle), clip)) < decibels
        low, high = (middle, high) if below else (low, middle)
    level = float(torch.tensor(high))
    start, where = clip.clamp(-level, level), clip.abs() >= level
    return Case(
        audio(start), [Cut(-level, level)], lambda x: float(snr(x, clip, where)), start,
        {
            "interpolated": lambda x: declip_interpolated(x, -level, level),
            "sparse": lambda x: declip_sparse(x, -level, level),
        },
    )  # fmt: skip


def dequantising(clip: Tensor, bits: float, _number: int) -> Case:
    """Rounded to a uniform grid with silence on it."""
    step = 2.0 ** (1 - bits)
    start = (clip / step).round() * step
    return Case(
        audio(start), [Rounded(step)], lambda x: float(snr(x, clip)), start,
        {"sparse": lambda x: dequantise_sparse(x, step, 0.0)},
    )  # fmt: skip


def denoising(clip: Tensor, decibels: float, number: int) -> Case:
    """White noise so far below the clip, its level told."""
    std = float(clip.square().mean().sqrt()) * 10 ** (-decibels / 20)
    start = clip + std * torch.randn(clip.shape, generator=torch.Generator().manual_seed(number))
    return Case(
        audio(start), [Noisy(torch.tensor([std]))], lambda x: float(snr(x, clip)), start,
        {"subtraction": lambda x: spectral_subtraction(x, std), "Wiener": lambda x: wiener(x, std)},
    )  # fmt: skip


TASKS: dict[str, tuple[Callable[[Tensor, float, int], Case], tuple[float, ...]]] = {
    "upsample": (upsampling, (2, 4, 8)),
    "inpaint": (inpainting, (20, 50, 100, 200)),
    "declip": (declipping, (3, 7, 15)),
    "dequantise": (dequantising, (4, 6, 8)),
    "denoise": (denoising, (5, 10, 20)),
}
ENHANCERS = ("DTLN", "GTCRN")


def enhancers(wanted: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """Peers that enhance speech, by name; what cannot be had is left out."""
    from tests.benchmarks import peers

    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for peer in peers.PEERS if wanted else ():
        name = peer.what.split(",")[0]
        if name in ENHANCERS:
            system = peer.load(peers.fetch(peer, Path("benchmarks-out/peers")))
            found[name] = partial(enhanced, system)
    return found


def enhanced(system: System, noisy: Tensor) -> Tensor:
    """(time,) to the speech in it."""
    task = Task("denoise", "", audio(noisy), {RESTORED: noisy[None]}, RATE, (), 0)
    return system.run(task)[RESTORED][0]


def score(case: Case, qualities: list[str], draws: int | None, seed: int) -> dict[str, Any]:
    """Figures of one clip: the input's, each classical method's, each quality's; seconds and calls of ours."""
    length = len(case.start)
    found: dict[str, Any] = {"input": case.figure(case.start)}
    for name, method in case.methods.items():
        began = time.perf_counter()
        result = torch.from_numpy(np.ascontiguousarray(method(case.start.numpy()))).float()
        found[name], found[f"{name} s"] = case.figure(result), time.perf_counter() - began
    for quality in qualities:
        began = time.perf_counter()
        done = restore(case.recorded, case.faults, to_rate=case.to_rate, quality=quality, seed=seed)
        found[f"{quality} s"] = time.perf_counter() - began
        found[quality] = case.figure(done.audio.samples[0, :length])
        found[f"{quality} calls"] = done.report["schedule"]["network_calls"]
        found[f"{quality} recognised"] = done.report["settings"]["source"]
    if draws and case.to_rate:
        asked = {"to_rate": case.to_rate, "quality": qualities[0], "draws": draws, "seed": seed}
        each = [draw.samples[0, :length] for draw in restore(case.recorded, case.faults, **asked).draws]
        mean = restore(case.recorded, case.faults, **asked, mean=True).audio.samples[0, :length]
        found["each draw"] = float(np.mean([case.figure(x) for x in each]))
        found["waves"] = [each[0], torch.stack(each).mean(dim=0), mean]
    return found


def snr_of_draws(case: Case, clip: Tensor, draw: Tensor, plain: Tensor, mean: Tensor) -> dict[str, float]:
    """SNR of the low-passed input, of a draw and of means, and how much more than the input's, dB.

    `plain` is the mean of draws that stand for themselves, `mean` what `--mean` gives: of draws made for it. And
    the error of the known band against the input's, in dB of it.
    """
    spectra = [torch.fft.rfft(x.double()) for x in (draw, case.start)]
    known = slice(0, math.floor(0.85 * len(spectra[0]) * case.recorded.sample_rate / RATE))
    off = (spectra[0] - spectra[1])[known].abs().square().sum() / spectra[1][known].abs().square().sum()
    waves = {"input": case.start, "draw": draw, "plain mean": plain, "mean": mean}
    found = {f"SNR {name}": float(snr(wave, clip)) for name, wave in waves.items()}
    more = {f"{name} less input": found[f"SNR {name}"] - found["SNR input"] for name in list(waves)[1:]}
    return {**found, **more, "low band": float(10 * torch.log10(off))}


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, default=HERE / "eval", help="folder with speech/ and piano/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="restoring", help="of the files that are written")
    parser.add_argument("--every", type=int, default=1, help="4: every fourth clip")
    parser.add_argument("--held-out", type=int, help="so many clips of corpora/DOMAIN/valid instead")
    parser.add_argument("--seconds", type=float, help="of each held-out clip; default 3")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--values", nargs="+", type=float, help="of the task; default: all")
    parser.add_argument("--domains", nargs="+", default=list(DOMAINS))
    parser.add_argument("--quality", nargs="+", default=["fast", "balanced"])
    parser.add_argument("--draws", type=int, help="of upsampling, for their SNR and that of their mean")
    parser.add_argument(
        "--peers", action="store_true", help="DTLN and GTCRN on noisy speech (downloads them)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(cores())
    others = enhancers(options.peers)
    rows: list[dict[str, Any]] = []
    for task in options.tasks:
        make, values = TASKS[task]
        for domain in options.domains:
            if options.held_out:
                clips = held_out(Path("corpora", domain, "valid"), options.held_out, options.seconds or 3.0)
            else:
                clips = read_clips(options.eval, domain, options.every)
            for value in options.values or values:
                found = []
                for number, clip in enumerate(clips):
                    case = make(clip, value, number)
                    one = score(case, options.quality, options.draws, options.seed)
                    if "waves" in one:
                        one |= snr_of_draws(case, clip, *one.pop("waves"))
                    if task == "denoise" and domain == "speech":
                        one |= {n: case.figure(f(case.start)) for n, f in others.items()}
                    found.append(one)
                rows.append(
                    {
                        "task": task,
                        "domain": domain,
                        "value": value,
                        "clips": len(clips),
                        **means(found, clips),
                    }
                )
                print(rows[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path)}
    text = json.dumps({"settings": settings, "rows": rows}, indent=1)
    (options.out / f"{options.name}.json").write_text(text + "\n")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for row in rows]
    (options.out / f"{options.name}.md").write_text("\n".join(lines) + "\n")


def means(found: list[dict[str, Any]], clips: Tensor) -> dict[str, Any]:
    """Mean of every figure; seconds become seconds per second; how often the domain was recognised as what."""
    result: dict[str, Any] = {}
    for name in found[0]:
        values = [one[name] for one in found]
        if isinstance(values[0], str):
            result[name] = " ".join(f"{v}:{values.count(v)}" for v in sorted(set(values)))
        else:
            mean = float(np.mean(values))
            result[name] = round(mean / (clips.shape[1] / RATE) if name.endswith(" s") else mean, 3)
    return result


if __name__ == "__main__":
    main()
