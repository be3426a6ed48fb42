"""Inpainting by the classical peer: autoregressive interpolation (Janssen, Veldhuis & Vries 1986).

    python -m tests.benchmarks.janssen                      all 32 clips, orders 32 to 1024, both estimates
    python -m tests.benchmarks.janssen --every 16 --orders 32 512 --lengths 50

Each clip has four gaps of one length at once, centred at 1, 2, 3 and 4 s. SNR inside gaps: of each clip, the
energy of its four gaps together over the energy of the error in them, in dB; then the mean of these dB over the
clips of a domain, or over all clips. Silence in the gaps has 0 dB. Nothing is tuned to the clips: context follows
from order and gap, and the iterations are few as in the paper. The fill is scored in float64, not rounded.

Writes benchmarks-out/NAME.{json,md}. The seconds want a quiet machine; the SNR does not.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch

from audiofix.numerics.metrics import snr
from audiofix.operators.autoregression import (
    CONTEXT,
    Estimate,
    Signal,
    autocorrelation_method,
    covariance_method,
    janssen,
)

HERE = Path(__file__).parent
RATE = 16000
DOMAINS = ("speech", "piano")
CENTRES = (1.0, 2.0, 3.0, 4.0)  # seconds
LENGTHS = (20, 50, 100, 200)  # milliseconds
ORDERS = (32, 64, 128, 256, 512, 1024)
ITERATIONS = 5
METHODS: dict[str, Estimate] = {"autocorrelation": autocorrelation_method, "covariance": covariance_method}


def gaps(milliseconds: int) -> list[tuple[int, int]]:
    """First and one past the last lost sample of the protocol's four gaps."""
    lost = round(milliseconds * RATE / 1000)
    return [(first := round(centre * RATE) - lost // 2, first + lost) for centre in CENTRES]


def snr_in_gaps(estimate: Signal, clip: Signal, lost: list[tuple[int, int]]) -> float:
    """Energy of all gaps of a clip over the energy of the error in them, dB."""
    where = torch.zeros(len(clip))
    for start, stop in lost:
        where[start:stop] = 1
    return float(snr(torch.from_numpy(estimate), torch.from_numpy(clip), where))


def read_clips(folder: Path, every: int) -> dict[str, Signal]:
    """Every n-th clip of each domain, (time,) float64, by names such as speech/00."""
    names = [f"{domain}/{index:02d}" for domain in DOMAINS for index in range(0, 16, every)]
    return {name: soundfile.read(folder / f"{name}.flac", dtype="float64")[0] for name in names}


def measure(
    clips: dict[str, Signal], method: str, order: int, lengths: Sequence[int], iterations: int
) -> dict[str, object]:
    """SNR of each clip for each length of gap, and seconds for each gap."""
    found: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for milliseconds in lengths:
        began, lost = time.perf_counter(), gaps(milliseconds)
        filled = {
            name: janssen(clip, lost, order, lambda _: iterations, METHODS[method])
            for name, clip in clips.items()
        }
        seconds[str(milliseconds)] = round((time.perf_counter() - began) / (len(clips) * len(lost)), 3)
        found[str(milliseconds)] = {
            name: round(snr_in_gaps(filled[name], clip, lost), 3) for name, clip in clips.items()
        }
    return {"method": method, "order": order, "clips": found, "seconds_per_gap": seconds}


def summary(measured: dict, lengths: Sequence[int]) -> list[dict[str, object]]:
    """A row for each domain and one for all: mean over clips of each clip's SNR, dB."""

    def mean(milliseconds: int, domain: str) -> float:
        values = [v for name, v in measured["clips"][str(milliseconds)].items() if name.startswith(domain)]
        return round(sum(values) / len(values), 2)

    common = {"method": measured["method"], "order": measured["order"]}
    rows: list[dict[str, object]] = [
        {**common, "domain": domain or "all", **{f"{ms} ms": mean(ms, domain) for ms in lengths}}
        for domain in (*DOMAINS, "")
    ]
    for row in rows:
        row["seconds_per_gap"] = max(measured["seconds_per_gap"].values())
    return rows


def table(found: list[dict[str, object]]) -> str:
    """A Markdown table of the rows; seconds are those of the slowest length."""
    columns = list(found[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(str(row[c]) for c in columns) + " |" for row in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, default=HERE / "eval", help="folder with speech/ and piano/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="janssen", help="of the files that are written")
    parser.add_argument("--every", type=int, default=1, help="1: all 32 clips; 16: one of each domain")
    parser.add_argument("--orders", type=int, nargs="+", default=ORDERS)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="of gaps, ms")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    options = parser.parse_args()
    clips = read_clips(options.eval, options.every)
    measured, found = [], []
    for method in options.methods:
        for order in options.orders:
            measured.append(measure(clips, method, order, options.lengths, options.iterations))
            found += summary(measured[-1], options.lengths)
            print("\n".join(str(row) for row in found[-3:]), flush=True)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    protocol = __doc__.split("\n\n")[2]
    record = {"settings": settings, "protocol": protocol, "iterations": options.iterations, "context": CONTEXT,
              "rows": found, "measured": measured}  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
