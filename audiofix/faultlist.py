"""What can be wrong with a recording, as users write it: `lowpass:4000 | clip:auto | gap:1.1-1.3`."""

from __future__ import annotations

from dataclasses import dataclass

from audiofix.errors import SettingError

AUTO = "auto"
# Kind: what its argument is, for errors and help.
KINDS = {
    "lowpass": "Hz or auto",
    "gap": "start-end or start+length in seconds, or auto",
    "clip": "level from 0 to 1, or auto",
    "quantise": "bits or auto",
    "noise": "dB below the sound, or auto",
}


@dataclass(frozen=True)
class Wanted:
    """One fault as asked for: its kind, and its argument as text."""

    kind: str
    argument: str = AUTO


def parse_chain(text: str) -> list[Wanted]:
    """Faults between bars, in the order in which they happened. Raises SettingError for what is none."""
    found = [_parse_one(part.strip(), text) for part in text.split("|")]
    for kind in KINDS:
        if kind != "gap" and sum(one.kind == kind for one in found) > 1:
            raise SettingError(f"--ops {text!r}: {kind} is there twice; give it once")
    return found


def _parse_one(part: str, text: str) -> Wanted:
    kind, colon, argument = (piece.strip() for piece in part.partition(":"))
    if kind not in KINDS:
        possible = ", ".join(f"{name}:({what})" for name, what in KINDS.items())
        raise SettingError(f"--ops {text!r}: {part!r} is no fault that is known; possible: {possible}")
    if colon and not argument:
        raise SettingError(f"--ops {text!r}: {kind} lacks its argument: {KINDS[kind]}")
    return Wanted(kind, argument or AUTO)
