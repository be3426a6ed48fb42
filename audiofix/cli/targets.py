"""Which files a command works on, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiofix.errors import InputError, OutputError, SettingError

if TYPE_CHECKING:
    from audiofix.types import Audio

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".caf", ".au", ".w64", ".rf64"}


def audio_files(paths: Sequence[Path]) -> list[Path]:
    """Files as given; of a folder those directly in it whose suffix is one of audio, by name.

    Raises InputError for a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise InputError(
                f"{path} holds no audio files ({' '.join(sorted(SUFFIXES))}); give another folder"
            )
        found += inside
    return list(dict.fromkeys(found))


def destinations(files: Sequence[Path], destination: Path) -> dict[Path, Path]:
    """A file for each: `destination` itself where it has a suffix of audio and there is one file, else inside it.

    Raises SettingError where two results would have one name.
    """
    if destination.suffix.lower() in SUFFIXES and not destination.is_dir():
        if len(files) > 1:
            raise SettingError(
                f"-o {destination} is one file and {len(files)} are to be written; give a folder"
            )
        return {files[0]: destination}
    places: dict[Path, Path] = {}
    taken: Mapping[Path, Path]
    for file in files:
        place = destination / file.name
        taken = {p.with_suffix(""): f for f, p in places.items()}
        if place.with_suffix("") in taken:
            raise SettingError(
                f"{taken[place.with_suffix('')]} and {file} would both become {place}; restore them apart"
            )
        places[file] = place
    return places


def check_before(place: Path, inputs: Sequence[Path], audio: Audio, overwrite: bool) -> None:
    """Refuse before computing what could not be written after it. Raises OutputError."""
    from audiofix.audio.files import bytes_needed, check_space

    for file in inputs:
        if os.path.realpath(file) == os.path.realpath(place):
            raise OutputError(f"{place} is the recording itself, which is never replaced; give another -o")
    taken = [p for p in place.parent.glob(f"{_escaped(place.stem)}.*") if p.suffix.lower() in SUFFIXES]
    if taken and not overwrite:
        raise OutputError(
            f"{taken[0]} exists already; add --overwrite to replace it, or choose another place with -o"
        )
    nearest = place.parent
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise OutputError(f"{nearest} is not a folder; choose another place with -o")
    if not os.access(nearest, os.W_OK):
        raise OutputError(f"{nearest} cannot be written to; choose another place with -o")
    check_space(nearest, bytes_needed(audio.channels, audio.length, "FLOAT"))


def _escaped(text: str) -> str:
    return "".join(f"[{c}]" if c in "[]*?" else c for c in text)
