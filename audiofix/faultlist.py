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

_EXAMPLES = {"lowpass": "4000", "gap": "1.1-1.3", "clip": "0.8", "quantise": "8", "noise": "20"}


@dataclass(frozen=True)
class Wanted:
    """One fault as asked for: its kind, its argument as text, and the option that said so; None: --ops."""

    kind: str
    argument: str = AUTO
    option: str | None = None

    @property
    def said(self) -> str:
        """As the user wrote it: --cutoff 9000 or lowpass:9000."""
        return self._with(self.argument)

    @property
    def example(self) -> str:
        """What could be written instead of auto: --cutoff 4000 or lowpass:4000."""
        return self._with(_EXAMPLES[self.kind])

    def _with(self, argument: str) -> str:
        return f"{self.option} {argument}" if self.option else f"{self.kind}:{argument}"


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
