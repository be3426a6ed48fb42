"""What is given to `audiofix separate`: names, references and stems to begin with, read and checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiofix.cli import output
from audiofix.errors import InputError, SettingError

if TYPE_CHECKING:
    from audiofix.types import Audio

_NAME = re.compile(r"\w[\w.+-]*")
NO_AUDIO = {".json", ".png", ".txt"}  # that may lie beside stems under the same name


def stem_names(sources: Sequence[str]) -> list[str]:
    """Names of the stems: the sources', and speech, speech-2 where one is wanted twice."""
    total: Counter[str] = Counter()
    names = []
    for source in sources:
        total[source] += 1
        names.append(source if total[source] == 1 else f"{source}-{total[source]}")
    return names


def source_list(text: str) -> list[str]:
    """Names between commas. Raises SettingError."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not _NAME.fullmatch(name) or name == output.RESIDUAL:
            raise SettingError(
                f"--sources {text!r}: {name!r} cannot be a source; give names with commas between them, "
                "such as speech,piano"
            )
    return names


def reference_list(texts: Sequence[str], stems: Sequence[str]) -> dict[str, Path]:
    """SOURCE=FILE of each. Raises SettingError."""
    references: dict[str, Path] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise SettingError(
                f"--reference {text!r}: give a source and its clean file, such as speech=clean.wav"
            )
        if name not in stems:
            raise SettingError(
                f"--reference {text!r}: {name!r} is not separated; possible: {', '.join(stems)}"
            )
        if name in references:
            raise SettingError(
                f"--reference {text!r}: {name} has {references[name]} already; give one for each"
            )
        references[name] = Path(file)
    return references


def refuse_confusion(mixtures: Sequence[Path], references: Mapping[str, Path], parent: Path) -> None:
    """Raise SettingError where references or results of several mixtures would be mixed up."""
    if references and len(mixtures) > 1:
        raise SettingError(
            f"--reference is for one mixture and {len(mixtures)} are given; give one at a time"
        )
    taken: dict[Path, Path] = {}
    for mixture in mixtures:
        folder = output.folder_of(mixture, parent)
        if folder in taken:
            raise SettingError(
                f"{taken[folder]} and {mixture} would both go to {folder}; separate them apart"
            )
        taken[folder] = mixture


def stem_file(folder: Path, mixture: Path, source: str) -> Path:
    """The one file of a source in DIR/MIX, else in DIR. Raises InputError where there are none or more."""
    for home in (output.folder_of(mixture, folder), folder):
        named = (p for p in home.glob(f"{source}.*") if p.stem == source and p.is_file())
        found = sorted(p for p in named if p.suffix.lower() not in NO_AUDIO)
        if len(found) > 1:
            raise InputError(f"--init {home} holds {found[0].name} and {found[1].name}; leave one of them")
        if found:
            return found[0]
    raise InputError(
        f"--init {folder} holds no {source}.wav or the like; give a folder with a file for each source"
    )


def read_like(path: Path, mixture_path: Path, mixture: Audio, what_for: str) -> Audio:
    """A file that must have the mixture's rate, length and channels. Raises InputError."""
    from audiofix.audio.files import read_audio

    stem = read_audio(path)
    check_like(stem, path, mixture_path, mixture, what_for)
    return stem


def check_like(stem: Audio, path: Path, mixture_path: Path, mixture: Audio, what_for: str) -> None:
    """Raise InputError where a file has not the mixture's rate, length and channels."""
    for what in ("sample_rate", "length", "channels"):
        got, expected = getattr(stem, what), getattr(mixture, what)
        if got != expected:
            unit = {"sample_rate": "Hz", "length": "samples", "channels": "channel(s)"}[what]
            raise InputError(
                f"{what_for} {path} has {got} {unit}, the mixture {mixture_path} has {expected}; "
                "give the source as it is in the mixture"
            )


def read_reference(path: Path, mixture_path: Path, mixture: Audio) -> Audio:
    """A clean source that has an SI-SDR. Raises InputError."""
    from audiofix.numerics.metrics import si_sdr

    reference = read_like(path, mixture_path, mixture, "reference")
    try:
        si_sdr(mixture.samples, reference.samples)
    except InputError as error:  # found out now rather than after the sampling
        raise InputError(f"reference {path}: {error}") from error
    return reference
