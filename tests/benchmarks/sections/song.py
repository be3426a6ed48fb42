"""The section on an excerpt of MUSDB18."""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.sections.common import MIXTURE, Block, Files, Record, command, markdown, number

UNTOUCHED = "mixture"  # the system that gives it back
CALLED = {UNTOUCHED: MIXTURE, "spleeter": "Spleeter, 2 stems", "ratio-mask": "oracle ratio mask, 64 ms"}


def song_rows(record: Record, sources: list[str]) -> list[list[str]]:
    """A line for each system: SI-SDR and SDR of each source, seconds; the mixture first, oracles last."""
    ordered = sorted(record["rows"], key=lambda row: (row["what"] != UNTOUCHED, row["oracle"]))
    lines = []
    for row in ordered:
        what = CALLED.get(row["what"], row["what"]) + (" (knows the answer)" if row["oracle"] else "")
        seconds = row["seconds_per_audio_second"] if row["what"] != UNTOUCHED else None
        figures = [number(row["scores"][source][name]) for name in ("si_sdr", "sdr") for source in sources]
        lines.append([what, *figures, number(seconds)])
    return lines


def verdict(record: Record, sources: list[str]) -> str:
    """What the SI-SDR of the song says of each of audiofix's rows, and who is best without knowing the answer."""
    means = {
        row["what"]: sum(row["scores"][source]["si_sdr"] for source in sources) / len(sources)
        for row in record["rows"]
        if not row["oracle"]
    }
    nothing = means.get(UNTOUCHED)
    found = []
    for what, mean in means.items() if nothing is not None else ():
        if what.startswith("audiofix"):
            how = "worse" if mean < nothing else "better"
            found.append(f"By SI-SDR `{what}` is {how} than doing nothing here.")
    best = max(means, key=lambda what: means[what])
    found.append(
        "Nothing wins over the mixture itself." if best == UNTOUCHED else f"{CALLED.get(best, best)} wins."
    )
    return " ".join(found)


def missing(record: Record) -> str:
    """Who was asked for and is not among the rows, in a sentence; empty where all are."""
    there = {row["what"] for row in record["rows"]}
    absent = [CALLED.get(what, what) for what in record["settings"]["systems"] if what not in there]
    return f"Not installed where this was measured: {', '.join(absent)}. " if absent else ""


def song(files: Files) -> Iterator[Block]:
    """The section on an excerpt of MUSDB18, empty where it was not measured."""
    for name, record in files.items():
        sources = list(record["rows"][0]["scores"])
        yield (
            f"## A song\n\nThe one excerpt of MUSDB18 in the package stempeg ({record['track']}, "
            f"{record['seconds']:.1f} s, stereo, 44.1 kHz), separated into {' and '.join(sources)}. The shipped "
            "models know speech and pianos, not songs: the speech model was asked for the vocals, the piano model "
            "for the rest. "
            f"**{verdict(record, sources)}** Use audiofix on speech and pianos."
        )
        header = [f"{label} {source}" for label in ("SI-SDR", "SDR") for source in sources]
        yield markdown(("", *header, "s per s of audio"), song_rows(record, sources))
        yield (
            f"{missing(record)}SDR: BSS Eval v4, median over seconds; unlike SI-SDR it counts a wrong gain too, "
            "and the mixture is far too loud for vocals. Seconds are without loading. One excerpt says nothing of "
            "how sure this is."
        )
        command_line = command("musdb_excerpt", record["settings"])
        cores = f"{record['cores']} core{'s' * (record['cores'] != 1)}"
        yield f"- `{command_line}` ({name}.json): seed {record['seed']}, {cores}"
