"""Upsampling and inpainting on the fixed evaluation set, one prior, one sampler (see eval/README.md).

    python -m tests.benchmarks.restore upsample --every 4 --draws 8
    python -m tests.benchmarks.restore inpaint --levels 0
    python -m tests.benchmarks.restore upsample --prior score

upsample: a clip is low-passed and decimated by 2, 4, 8; scores of one draw, of the mean of the draws and of the
low-passed input: log-spectral distance, SNR, how well the low band came back. inpaint: gaps of 20 ... 200 ms at
1, 2, 3, 4 s; SNR in the four gaps of a clip together, mean over clips, of one draw and of the mean.
Writes benchmarks-out/NAME.{json,md}. The chain runs on (clip) batches of one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

from audiofix.choosing import PRIORS
from audiofix.hub.registry import load_prior, models_for_source
from audiofix.numerics.metrics import log_spectral_distance, snr
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.operators.gap import Gap
from audiofix.operators.lowpass import LowPass, decimate
from audiofix.posterior import amortised_score
from audiofix.runtime.devices import has_native_bf16, pick_device
from audiofix.runtime.executor import Executor
from audiofix.runtime.memory import keep_freed_memory
from audiofix.separation import SAMPLERS, draw_posterior
from tests.benchmarks.janssen import gaps

HERE = Path(__file__).parent
DOMAINS = ("speech", "piano")
Method = Callable[[Any, Tensor, int], list[Tensor]]  # operator, recording, number of draws
FACTORS, LENGTHS = (2, 4, 8), (20, 50, 100, 200)


def read_clips(folder: Path, domain: str, every: int) -> Tensor:
    """(clip, time) of one domain."""
    paths = sorted((folder / domain).glob("*.flac"))[::every]
    return torch.stack([torch.from_numpy(soundfile.read(p, dtype="float32")[0]) for p in paths])


def upsampled(clip: Tensor, factor: int, method: Method, draws: int) -> dict[str, float]:
    """Figures of one clip (time,): of the low-passed input, of the first draw, of the mean of all."""
    operator, time_ = LowPass(factor), len(clip)
    low = decimate(clip, factor)[None, None]
    y = operator.bridged(low)
    drawn = torch.stack([x[0, 0, :time_] for x in method(operator, y, draws)])
    base = operator.start(y, 1)[0, 0, :time_]
    one, mean = drawn[0], drawn.mean(dim=0)
    again = decimate(one, factor)
    inner = slice(200, -200)  # ends: outside is silence for the measuring filter, not for the bridged one
    snrs = [float(snr(wave, clip)) for wave in (base, one, mean)]
    return {
        "lsd_input": float(log_spectral_distance(base, clip)), "lsd": float(log_spectral_distance(one, clip)),
        "snr_input": snrs[0], "snr": snrs[1], "snr_mean": snrs[2],
        "snr_less_input": snrs[1] - snrs[0], "snr_mean_less_input": snrs[2] - snrs[0],
        "low_band_db": -float(snr(again[inner], low[0, 0][inner])),
    }  # fmt: skip


def inpainted(clip: Tensor, length_ms: int, method: Method, draws: int) -> dict[str, float]:
    """Figures of one clip (time,) with four gaps."""
    lost = torch.zeros(len(clip), dtype=torch.bool)
    for first, stop in gaps(length_ms):
        lost[first:stop] = True
    operator = Gap(~lost)
    y = operator.forward(clip[None, None])
    drawn = torch.stack([x[0, 0] for x in method(operator, y, draws)])
    return {
        "snr": float(snr(drawn[0], clip, lost)), "snr_mean": float(snr(drawn.mean(dim=0), clip, lost)),
    }  # fmt: skip


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("upsample", "inpaint"))
    parser.add_argument("--eval", type=Path, default=HERE / "eval", help="folder with speech/ and piano/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", help="of the files that are written; default: the task")
    parser.add_argument("--every", type=int, default=1, help="4: every fourth clip")
    parser.add_argument("--prior", default="posterior", choices=["posterior", *PRIORS])
    parser.add_argument("--domains", nargs="+", default=list(DOMAINS))
    parser.add_argument("--sampler", default="consistent", choices=list(SAMPLERS))
    parser.add_argument("--levels", type=int, default=60, help="0: one call, the posterior mean")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--step-scale", type=float, default=0.2)
    parser.add_argument("--sigma-high", type=float, default=0.3)
    parser.add_argument("--sigma-low", type=float, default=0.001)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", type=int, nargs="+", help="factors, or gap lengths in ms")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(os.cpu_count() or 1)
    device = pick_device("cpu")
    ladder = geometric_sigmas(options.sigma_high, options.sigma_low, options.levels or 1)
    schedule = Schedule(ladder, options.steps, options.step_scale)
    found = []
    for domain in options.domains:
        families = {"posterior": "inpainter" if options.task == "inpaint" else "upsampler"}
        family = families.get(options.prior, options.prior)
        (card, *_) = [c for c in models_for_source(domain) if c.family == family]
        prior = load_prior(card.name, device, bf16=has_native_bf16(device))
        executor = Executor(device, 20 * 16000)

        def method(operator: Any, y: Tensor, draws: int, prior=prior, executor=executor):  # type: ignore[no-untyped-def]
            begin = operator.start(y, 1)
            if options.prior == "posterior":
                gaps_shown = options.task == "inpaint"
                shown = operator.evidence(y, prior.fills) if gaps_shown else begin[:, 0]
                denoise = executor.jointly(prior, shown)
                score = amortised_score(denoise)
                begin = operator.project(denoise(torch.zeros_like(begin), math.inf), y)
            else:
                score = executor.together([prior])
            if options.levels == 0:
                return [begin]
            each = partial(draw_posterior, operator, y, score, begin, schedule, seed=options.seed)
            return [each(sampler=options.sampler, draw=k) for k in range(draws)]

        clips = read_clips(options.eval, domain, options.every)
        for value in options.values or (FACTORS if options.task == "upsample" else LENGTHS):
            work = upsampled if options.task == "upsample" else inpainted
            began = time.perf_counter()
            each = [work(clip, value, method, options.draws) for clip in clips]
            seconds = (time.perf_counter() - began) / (clips.numel() / 16000 * options.draws)
            mean = {k: round(sum(e[k] for e in each) / len(each), 3) for k in each[0]}
            calls = SAMPLERS[options.sampler].calls(schedule) + 2 if options.levels else 1
            found.append(
                {
                    "domain": domain,
                    "model": card.name,
                    "value": value,
                    "clips": len(clips),
                    **mean,
                    "calls": calls,
                    "draws": options.draws,
                    "s_per_s_and_draw": round(seconds, 3),
                }
            )
            print(found[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    name = options.name or options.task
    settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path)}
    (options.out / f"{name}.json").write_text(
        json.dumps({"settings": settings, "rows": found}, indent=1) + "\n"
    )
    columns = list(found[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[c]) for c in columns) + " |" for row in found]
    (options.out / f"{name}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
