"""Which files a command works on, and where their results go."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiofix.batch.plan import SUFFIXES
from audiofix.errors import InputError, OutputError, SettingError

if TYPE_CHECKING:
    from audiofix.types import Audio


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


def check_before(
    place: Path,
    given: Sequence[Path],
    audio: Audio,
    overwrite: bool,
    more: Sequence[str] = (),
    alone: bool = True,
) -> None:
    """Refuse before computing what could not be written after it.

    given: files of this run that are never replaced; more: ends of names that are written beside the result, such
    as ".png"; alone: False among many files, where to list the folder for each would take ever longer, so that
    draws of other runs are not seen. Raises OutputError.
    """
    from audiofix.audio.files import bytes_needed, check_space

    taken = _taken(place, more) if alone else _probed(place, more)
    there = {os.path.realpath(file) for file in taken}
    for file in given:
        if os.path.realpath(file) in there:
            raise OutputError(
                f"{file} is read by this run and never replaced, and a result would get its name; give another -o"
            )
    folder = next((file for file in taken if file.is_dir()), None)
    if folder is not None:
        raise OutputError(f"{folder} is a folder, not a file; choose another place with -o")
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


def _taken(place: Path, more: Sequence[str]) -> list[Path]:
    """Files that results could replace: the result in any format of sound, its draws, its report and `more`."""
    suffixes = "|".join(re.escape(suffix) for suffix in sorted(SUFFIXES | {place.suffix.lower()}))
    ends = "|".join(re.escape(end) for end in (".report.json", *more))
    name = re.compile(rf"{re.escape(place.stem)}(?i:(?:\.draw\d+)?(?:{suffixes})|{ends})")
    try:
        found = [file for file in place.parent.iterdir() if name.fullmatch(file.name)]
        return sorted(found, key=lambda file: (file.suffix.lower() not in SUFFIXES, file.name))
    except OSError:  # no such folder yet, or none that may be looked at: what follows says so
        return []


def _probed(place: Path, more: Sequence[str]) -> list[Path]:
    ends = [*sorted(SUFFIXES | {place.suffix}), ".report.json", *more]
    return [file for file in (place.with_name(place.stem + end) for end in ends) if os.path.lexists(file)]
