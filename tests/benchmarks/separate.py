"""Separation on the fixed evaluation set: SI-SDR of each stem, against network calls and against the mixture.

    python -m tests.benchmarks.separate                     every fourth mixture, first 2.56 s, default settings
    python -m tests.benchmarks.separate --every 1 --seconds 5.12 --quality fast balanced
    python -m tests.benchmarks.separate --prior wavenet --calls --truth    over network calls, and from the truth
    python -m tests.benchmarks.separate --held-out 16 --quality fast balanced best     to choose by

With `--held-out` mixtures are made of the validation folders of the corpora (`make corpora`) instead: what is
chosen is chosen on these. The mixtures go to the sampler at the level of the clips; files, rates and levels are
not timed. Writes benchmarks-out/NAME.{json,md}. The seconds want a quiet machine; the SI-SDR does not.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from audiofix.drawing import draw_all
from audiofix.loading import prepare
from audiofix.numerics.metrics import si_sdr
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.runtime.memory import keep_freed_memory
from audiofix.runtime.stores import Memory
from audiofix.separation import SAMPLERS
from audiofix.setup import Setup
from tests.benchmarks.heldout import held_out

HERE = Path(__file__).parent
SOURCES = ("speech", "piano")
# Levels of one step: network calls for each source are one more.
CALLS = (6, 12, 24, 96)
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


def held_out_mixtures(count: int, seconds: float) -> tuple[list[str], Tensor]:
    """Names and clean sources, (mixture, source, time), of files that no model learnt from, at 0 dB."""
    clips = [held_out(Path("corpora", kind, "valid"), count, seconds) for kind in ("speech", "piano")]
    return [f"held out {index:02d}" for index in range(count)], torch.stack(clips, dim=1)


def figures(estimate: Tensor, clean: Tensor) -> dict[str, float]:
    """Mean SI-SDR of speech, of piano, of all, and of the worst mixture, dB."""
    scores = si_sdr(estimate, clean)
    values = {"speech": scores[:, 0].mean(), "piano": scores[:, 1].mean(), "all": scores.mean()}
    values["worst"] = scores.mean(dim=1).min()
    return {name: round(float(value), 2) for name, value in values.items()}


def measure(
    setup: Setup, clean: Tensor, *, draws: int | None, seed: int, start: Tensor | None = None
) -> dict[str, object]:
    """Separate all mixtures and score them; seconds per second of audio include everything but loading."""
    draws = draws or setup.choice.draws
    found = []
    began = time.perf_counter()
    for index in range(len(clean)):
        # One mixture at a time, as the command does: a batch of them would not fit the cache.
        mixture = clean[index : index + 1].sum(dim=1)
        begin = None if start is None else Memory(start[index : index + 1])
        drawn = draw_all(setup, Memory(mixture[:, None]), len(SOURCES), draws=draws, seed=seed, init=begin)
        blend = setup.choice.blend if start is None else 0.0
        found.append(drawn.mean(blend).read(0, mixture.shape[1]))
    seconds = (time.perf_counter() - began) / (len(clean) * clean.shape[2] / setup.sample_rate)
    estimate = torch.cat(found)
    print(f"  {setup.quality}, {setup.calls_per_source(draws)} calls: {figures(estimate, clean)}", flush=True)
    row: dict[str, object] = {"quality": setup.quality, "models": " ".join(c.name for c in setup.cards)}
    if setup.schedule is not None:
        row |= {
            "sampler": setup.sampler, "levels": len(setup.schedule.sigmas), "steps": setup.schedule.steps,
            "step_scale": setup.schedule.step_scale, "sigma_high": round(setup.schedule.sigmas[0], 4),
            "sigma_low": round(setup.schedule.sigmas[-1], 4),
        }  # fmt: skip
    return {
        **row, "draws": draws, "calls_per_source": setup.calls_per_source(draws),
        "seconds_per_audio_second": round(seconds, 3), **figures(estimate, clean),
    }  # fmt: skip


def rows(options: argparse.Namespace, clean: Tensor) -> Iterator[dict[str, object]]:
    """One row a setting: what was run, and its figures."""
    mixture = clean.sum(dim=1, keepdim=True).expand_as(clean)
    yield {"what": "the mixture itself", **figures(mixture, clean)}

    def made(prior: str | None, quality: str | None, levels: int | None = options.levels) -> Setup:
        return prepare(
            SOURCES,
            prior,
            levels,
            options.steps,
            options.step_scale,
            options.device,
            options.sampler,
            quality,
            condition=not options.no_condition,
        )

    for quality in options.quality:
        setup = made(options.prior, quality)
        for draws in options.draws:
            yield {"what": "preset", **measure(setup, clean, draws=draws, seed=options.seed)}
    quality = options.quality[0]
    for pair in options.models:
        setup = made(pair, quality)
        hours = "/".join(f"{card.hours:g}" for card in setup.cards)
        yield {"what": f"{hours} h of training", **measure(setup, clean, draws=1, seed=options.seed)}
    for levels in CALLS if options.calls else ():
        setup = made(options.prior, quality, levels)
        yield {"what": "calls", **measure(setup, clean, draws=1, seed=options.seed)}
    for sigma in TRUTH if options.truth else ():
        setup = made(options.prior, quality)
        if setup.schedule is not None:
            ladder = Schedule(
                geometric_sigmas(sigma, setup.schedule.sigmas[-1], 24), setup.schedule.steps,
                setup.schedule.step_scale,
            )  # fmt: skip
            setup = replace(setup, schedule=ladder)
            found = measure(setup, clean, draws=1, seed=options.seed, start=clean)
            yield {"what": "from the truth", **found}


def table(found: list[dict[str, object]]) -> str:
    """A Markdown table of the rows."""
    columns = ("what", "quality", "models", "levels", "steps", "draws", "sigma_high", "calls_per_source",
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
    parser.add_argument("--held-out", type=int, help="so many mixtures of corpora/*/valid instead")
    parser.add_argument("--seconds", type=float, default=2.56, help="of each mixture, from its start")
    parser.add_argument("--quality", nargs="+", default=[None], help="presets, as for audiofix separate")
    parser.add_argument("--prior", help="models, as for audiofix separate")
    parser.add_argument("--no-condition", action="store_true", help="keep the mixture from the priors")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="*", default=[], help="also other models: pairs of folders A,B")
    parser.add_argument("--sampler", choices=list(SAMPLERS))
    parser.add_argument("--levels", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--step-scale", type=float)
    parser.add_argument("--draws", type=int, nargs="+", default=[None])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", action="store_true", help="also a curve over network calls")
    parser.add_argument("--truth", action="store_true", help="also started from the truth at several sigma")
    options = parser.parse_args()
    keep_freed_memory()
    if options.held_out:
        names, clean = held_out_mixtures(options.held_out, options.seconds)
    else:
        names, clean = read_mixtures(options.eval, options.every, options.seconds)
    print(f"{len(names)} mixtures of {options.seconds:g} s, seed {options.seed}", flush=True)
    found = list(rows(options, clean))
    options.out.mkdir(parents=True, exist_ok=True)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    record = {"settings": settings, "mixtures": names, "seconds": options.seconds, "seed": options.seed}
    record |= {"rows": found}
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
