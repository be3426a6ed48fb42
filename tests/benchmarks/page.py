"""The page of benchmarks: docs/benchmarks.md and its plots, from the JSON files that the other scripts here wrote.

    python -m tests.benchmarks.page                         benchmarks-out/*.json to docs/
    python -m tests.benchmarks.page --results DIR --docs DIR

What was measured is kept in docs/measured, so that the page can be made again where nothing was measured, and what
is measured anew takes the place of what has its name there. `remarks.md` there says what to know of the runs.

Reads the files that PATTERNS name; what was not measured has no section. Nothing is measured here, and the same
files give the same page. Plots need matplotlib.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks.sections.commands import restoring
from tests.benchmarks.sections.common import LIMITS, PATTERNS, PROTOCOL, Block, Plot, read, save
from tests.benchmarks.sections.curves import inpainting, upsampling
from tests.benchmarks.sections.learning import learning, processes
from tests.benchmarks.sections.separation import separation
from tests.benchmarks.sections.song import song


def blocks(results: Path) -> list[Block]:
    """What the page consists of, in order, without its title; empty where nothing was measured."""
    separate, peers = read(results, "separate*.json"), read(results, "peers.json")
    upsample, inpaint = read(results, "upsample*.json"), read(results, "inpaint*.json")
    janssen = read(results, "janssen.json")
    restored = read(results, "restoring*.json")
    parts = [
        separation(separate, peers),
        restoring(restored),
        upsampling(upsample),
        inpainting(inpaint, janssen),
        song(read(results, "musdb-excerpt.json")),
        learning(read(results, "learning*.json")),
        processes(read(results, "scale-ranks*.json")),
    ]
    return [block for part in parts for block in part]


def page(parts: list[Block], remarks: str = "") -> str:
    """The Markdown text; plots are links into plots/. remarks: on how it was measured."""
    title = (
        "# Benchmarks\n\nWritten by `python -m tests.benchmarks.page` from what the benchmarks measured; "
        f"`make bench` measures again. All on the [fixed evaluation set]({PROTOCOL}). Each section ends with the "
        "commands that measured it."
    )
    texts = [f"![{p.alt}](plots/{p.name}.svg)" if isinstance(p, Plot) else p for p in parts]
    return "\n\n".join([title, LIMITS, *([remarks.strip()] if remarks else []), *texts]) + "\n"


def keep(results: Path, measured: Path) -> None:
    """Copy what the page is made of to where it is kept."""
    for pattern in PATTERNS:
        for path in sorted(results.glob(pattern)):
            measured.mkdir(parents=True, exist_ok=True)
            (measured / path.name).write_text(path.read_text())


def main() -> None:
    """Read, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    measured = options.docs / "measured"
    keep(options.results, measured)
    parts = blocks(measured)
    if not parts:
        raise SystemExit(f"{options.results} holds no results; measure some with `make bench`")
    for part in parts:
        if isinstance(part, Plot):
            save(part.draw(), options.docs / "plots" / f"{part.name}.svg")
    options.docs.mkdir(parents=True, exist_ok=True)
    remarks = measured / "remarks.md"  # by whoever measured
    (options.docs / "benchmarks.md").write_text(page(parts, remarks.read_text() if remarks.exists() else ""))
    print(f"{options.docs / 'benchmarks.md'}, {sum(isinstance(p, Plot) for p in parts)} plots")


if __name__ == "__main__":
    main()
