"""Separation on the fixed evaluation set: SI-SDR of each stem, against network calls and against the mixture.

    python -m tests.benchmarks.separate                     every fourth mixture, first 2.56 s, default settings
    python -m tests.benchmarks.separate --every 1 --seconds 5.12
    python -m tests.benchmarks.separate --calls --truth     also over network calls, and started from the truth

The mixtures go to the sampler at the level of the clips; files, rates and levels are not timed.
Writes benchmarks-out/NAME.{json,md}. The seconds want a quiet machine; the SI-SDR does not.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from audiofix.numerics.metrics import si_sdr
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.separation import SAMPLERS, draw_sources, mean_of_draws
from audiofix.setup import Setup, prepare

HERE = Path(__file__).parent
SOURCES = ("speech", "piano")
# levels, steps: network calls for each source are levels * steps + 1.
CALLS = ((6, 1), (12, 1), (24, 1), (96, 1))
TRUTH = (0.05, 0.1, 0.2, 0.5)


def read_mixtures(folder: Path, every: int, seconds: float) -> tuple[list[str], Tensor]:
    """Names and clean sources, (mixture, source, time), of the protocol's pairs."""
    pairs = [(i, i) for i in range(16)] + [(i, (i + 5) % 16) for i in range(16)]
    chosen = pairs[::every]
    frames = round(seconds * 16000)

    def read(kind: str, index: int) -> Tensor:
        audio, _ = soundfile.read(folder / kind / f"{index:02d}.flac", frames, dtype="float32")
        return torch.from_numpy(audio)

    clips = [torch.stack([read("speech", a), read("piano", b)]) for a, b in chosen]
    return [f"speech {a:02d} + piano {b:02d}" for a, b in chosen], torch.stack(clips)


def figures(estimate: Tensor, clean: Tensor) -> dict[str, float]:
    """Mean SI-SDR of speech, of piano, of all, and of the worst mixture, dB."""
    scores = si_sdr(estimate, clean)
    values = {"speech": scores[:, 0].mean(), "piano": scores[:, 1].mean(), "all": scores.mean()}
    values["worst"] = scores.mean(dim=1).min()
    return {name: round(float(value), 2) for name, value in values.items()}


def measure(
    setup: Setup, clean: Tensor, schedule: Schedule, *, sampler: str, draws: int, seed: int,
    start: Tensor | None = None,
) -> dict[str, object]:  # fmt: skip
    """Separate all mixtures and score them; seconds per second of audio include everything but loading."""
    began = time.perf_counter()

    def separated(index: int, draw: int) -> Tensor:
        # One mixture at a time, as the command does: a batch of them would not fit the cache.
        begin = None if start is None else start[index : index + 1]
        mixture = clean[index : index + 1].sum(dim=1)
        return draw_sources(
            mixture, setup.score, len(SOURCES), schedule, seed=seed, sampler=sampler, draw=draw, start=begin
        )

    drawn = [torch.cat([separated(i, k) for i in range(len(clean))]) for k in range(draws)]
    seconds = (time.perf_counter() - began) / (len(clean) * clean.shape[2] / setup.sample_rate)
    calls = (schedule.total_steps + 1) * draws
    print(f"  {sampler}, {calls} calls: {figures(mean_of_draws(drawn), clean)}", flush=True)
    return {
        "sampler": sampler, "levels": len(schedule.sigmas), "steps": schedule.steps, "draws": draws,
        "step_scale": schedule.step_scale, "sigma_high": round(schedule.sigmas[0], 4),
        "sigma_low": round(schedule.sigmas[-1], 4), "calls_per_source": calls,
        "seconds_per_audio_second": round(seconds, 2), **figures(mean_of_draws(drawn), clean),
    }  # fmt: skip


def rows(options: argparse.Namespace, setup: Setup, clean: Tensor) -> Iterator[dict[str, object]]:
    """One row a setting: what was run, and its figures."""
    mixture = clean.sum(dim=1, keepdim=True).expand_as(clean)
    yield {"what": "the mixture itself", **figures(mixture, clean)}
    base = setup.schedule
    common = {"sampler": options.sampler, "seed": options.seed}
    for draws in options.draws:
        yield {"what": "from the mixture", **measure(setup, clean, base, draws=draws, **common)}
    high, low = base.sigmas[0], base.sigmas[-1]
    for pair in options.models:
        other = prepare(
            SOURCES, pair, options.levels, options.steps, options.step_scale, "auto", options.sampler
        )
        hours = "/".join(f"{card.hours:g}" for card in other.cards)
        yield {"what": f"{hours} h of training", **measure(other, clean, base, draws=1, **common)}
    if options.calls:
        for levels, steps in CALLS:
            schedule = Schedule(geometric_sigmas(high, low, levels), steps, base.step_scale)
            yield {"what": "calls", **measure(setup, clean, schedule, draws=1, **common)}
    if options.truth:
        for sigma in TRUTH:
            schedule = Schedule(geometric_sigmas(sigma, low, 24), base.steps, base.step_scale)
            yield {
                "what": "from the truth",
                **measure(setup, clean, schedule, draws=1, start=clean, **common),
            }


def table(found: list[dict[str, object]]) -> str:
    """A Markdown table of the rows."""
    columns = ("what", "sampler", "levels", "steps", "draws", "sigma_high", "calls_per_source",
               "seconds_per_audio_second", "speech", "piano", "all", "worst")  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for row in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, default=HERE / "eval", help="folder with speech/ and piano/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="separate", help="of the files that are written")
    parser.add_argument("--every", type=int, default=4, help="1: all 32 mixtures; 4: every fourth")
    parser.add_argument("--seconds", type=float, default=2.56, help="of each mixture, from its start")
    parser.add_argument("--prior", help="models, as for audiofix separate")
    parser.add_argument("--models", nargs="*", default=[], help="also other models: pairs of folders A,B")
    parser.add_argument("--sampler", default="consistent", choices=list(SAMPLERS))
    parser.add_argument("--levels", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--step-scale", type=float)
    parser.add_argument("--draws", type=int, nargs="+", default=[1])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", action="store_true", help="also a curve over network calls")
    parser.add_argument("--truth", action="store_true", help="also started from the truth at several sigma")
    options = parser.parse_args()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // len(SOURCES)))
    setup = prepare(
        SOURCES, options.prior, options.levels, options.steps, options.step_scale, "auto", options.sampler
    )
    names, clean = read_mixtures(options.eval, options.every, options.seconds)
    print(f"{len(names)} mixtures of {options.seconds:g} s, seed {options.seed}", flush=True)
    found = list(rows(options, setup, clean))
    options.out.mkdir(parents=True, exist_ok=True)
    record = {"mixtures": names, "seconds": options.seconds, "seed": options.seed, "models": setup.described(),
              "rows": found}  # fmt: skip
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
