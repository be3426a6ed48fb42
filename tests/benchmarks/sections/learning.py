"""Sections of the page of benchmarks on what it takes: to learn, and with two processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.benchmarks.learning import sooner
from tests.benchmarks.sections.common import Files, command, markdown, number
from tests.benchmarks.throughput import PLAIN


def learning(files: Files) -> Iterator[str]:
    """How soon a recipe has learnt what a plain WaveNet learns, empty where it was not measured."""
    for name, record in files.items():
        settings = record["settings"]
        ours = record["curves"][settings["recipe"]]
        yield (
            f"## Learning\n\nHours of the processor until the averaged weights of `{settings['recipe']}` have the "
            "denoise gain (mean over noise levels, held-out clips) that a plain WaveNet of 18 layers and 48 "
            "channels, float32, has after its own hours; both from nothing, at rates that do not fall. The recipe "
            "was looked at a few times only: it may have had a gain sooner. After "
            f"{ours[-1][0]:.2f} h the recipe has {number(ours[-1][1])} dB."
        )
        rows = [
            (
                number(row["plain_hours"], 3),
                number(row["gain_db"]),
                number(row["our_hours"], 3),
                number(row["times"], 1),
            )
            for row in sooner(ours, record["curves"][PLAIN])
        ]
        yield markdown(("hours of the plain one", "gain, dB", "hours of the recipe", "times sooner"), rows)
        yield f"- `{command('learning', settings)}` ({name}.json)"


def processes(files: Mapping[str, Any]) -> Iterator[str]:
    """What a second process on a second core is worth, empty where it was not measured."""
    for name, rows in files.items():
        yield (
            "## Two processes\n\nOne file, `balanced`, by one process on one core and by two on two: seconds of "
            "work, and the efficiency, half of their ratio. *Machine*: what two processes have that do the same "
            "work each and share nothing."
        )
        lines = [
            (
                f"{row['audio_seconds']:g} s",
                number(row["seconds_1"], 1),
                number(row["seconds_2"], 1),
                number(row["efficiency"]),
                number(row["machine"]),
                "yes" if row["same_files"] else "no",
            )
            for row in rows
        ]
        yield markdown(("audio", "one", "two", "efficiency", "machine", "same files"), lines)
        lengths = " ".join(f"{row['audio_seconds']:g}" for row in rows)
        yield f"- `python -m tests.benchmarks.scale ranks --seconds {lengths}` ({name}.json)"
