"""In which format a result is written, and what a user has to know of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiofix.resolve import Resolved
    from audiofix.types import Audio

ALIASES = {".m4b": ".m4a", ".aif": ".aiff", ".aifc": ".aiff", ".oga": ".ogg", ".wave": ".wav"}


def format_aimed_at(restored: Audio, resolved: Resolved) -> Audio:
    """The format that is aimed at: the recording's, but 16 bits at least where rounding was undone."""
    rounded = any(fault.kind == "quantise" for fault in resolved.faults)
    few = rounded and restored.subtype in ("PCM_U8", "PCM_S8")
    return dataclasses.replace(restored, subtype="PCM_16") if few else restored


def name_as_wanted(stem: str, place: Path, suffix: str) -> str:
    """A suffix that was wanted stays, as long as it says what is inside."""
    wanted = place.suffix.lower()
    return stem + (place.suffix if ALIASES.get(wanted, wanted) == suffix else suffix)


def format_notes(
    audio: Audio, restored: Audio, written: tuple[str, str], place: Path, file: Path, peak: float
) -> list[str]:
    """What a user has to know of the format that was written; `peak` of the result."""
    container, subtype = written
    notes, came = [], f"{audio.container} {audio.subtype}"
    if written != (audio.container, audio.subtype):
        notes.append(
            f"written as {container} {subtype}: {came} cannot hold the result (peak "
            f"{peak:.3g}, {restored.sample_rate} Hz)"
        )
    elif file.suffix != place.suffix:
        notes.append(f"written as {file.name}, not {place.name}: results keep the recording's format, {came}")
    if not subtype.startswith(("PCM_", "ALAC_", "FLOAT", "DOUBLE")):
        notes.append(
            f"{container} {subtype} codes samples anew, those that were kept too; convert the recording to wav "
            "first to keep them bit for bit"
        )
    return notes
