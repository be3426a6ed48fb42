"""The section on all restoring commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.benchmarks.sections.common import Block, Files, Row, markdown, number, provenance

RESTORED = {
    "upsample": ("Upsampling, log-spectral distance", "×{:g}"),
    "inpaint": ("Gaps, SNR in them", "{:g} ms"),
    "declip": ("Clipping, SDR over the clipped samples", "{:g} dB"),
    "dequantise": ("Rounding, SNR", "{:g} bits"),
    "denoise": ("White noise, SNR", "{:g} dB"),
}
# Columns that say how a run went, not how good it was.
ASIDE = re.compile(r"task|domain|value|clips|.* s|.* calls|.* recognised")


def restored_rows(rows: list[Row], task: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of one task's table: what was measured, by domain and value."""
    mine = [row for row in rows if row["task"] == task]
    figures = [name for name in dict.fromkeys(n for row in mine for n in row) if not ASIDE.fullmatch(name)]
    ours = [name.removesuffix(" calls") for name in mine[0] if name.endswith(" calls")]
    header = ["", *figures, *(f"{name}: calls" for name in ours), *(f"{name}: s per s" for name in ours)]
    lines = []
    for row in mine:
        cells = [number(row.get(name)) for name in figures]
        cells += [number(row.get(f"{name} calls"), 0) for name in ours]
        cells += [number(row.get(f"{name} s")) for name in ours]
        lines.append([f"{row['domain']}, {RESTORED[task][1].format(row['value'])}", *cells])
    return header, lines


def restoring(files: Files) -> Iterator[Block]:
    """The section on the restoring commands beside classical methods, empty where nothing was measured."""
    if not files:
        return
    yield (
        "## Restoring\n\nEach clip as a file through `audiofix upsample`, `inpaint`, `declip`, `dequantise`, "
        "`denoise`; the prior is recognised from the sound. What happened to the clip is told exactly, to "
        "the classical methods too. Log-spectral distance: less is better; the others are dB."
    )
    rows = [row for record in files.values() for row in record["rows"]]
    for task, (heading, _) in RESTORED.items():
        if any(row["task"] == task for row in rows):
            yield f"### {heading}"
            yield markdown(*restored_rows(rows, task))
    yield provenance(files)
