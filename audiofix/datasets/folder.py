"""Any folder: TRACK/STEM.wav, or loose recordings, or a table of files."""

from __future__ import annotations

import csv
from pathlib import Path

import soundfile

from audiofix.datasets.base import MIXTURE, Clip, Track
from audiofix.errors import InputError

MIXTURES = (MIXTURE, "mix")
LOOSE = "clean"  # the stem of a recording that lies by itself
SEPARATORS = (",", ";", "\t")
NAME, GIVEN = "track", "given"  # columns of a table that are no stems
_MORE = {".aif", ".m4a", ".oga", ".opus", ".w64", ".rf64"}


def tracks(path: Path) -> list[Track]:
    """Tracks in the order of their names.

    A folder: each folder in it, however deep, that holds audio files is a track; its files are the stems, and
    `mixture` or `mix` is what was recorded. Where there are none, each file in `path` is a track of one stem,
    `clean`. A .csv: one row a track. Columns `track` (a name), `mixture` (recorded), `given` (a damaged recording
    of the one stem), and one for each stem; cells are paths, relative to the table, and stand between
    commas, semicolons or tabs. Raises InputError.
    """
    if path.is_file():
        if path.suffix.lower() in _known():
            raise InputError(f"{path} is one recording; give the folder that holds it, or a .csv")
        return _table(path)
    files = audio_files(path)
    folders = sorted({file.parent for file in files} - {path})
    found = [_track(folder, path) for folder in folders]
    found = found or [Track(file.stem, {LOOSE: Clip(file)}) for file in files]
    if not found:
        raise InputError(f"{path} holds no audio files; give a folder of TRACK/STEM.wav, or a .csv")
    if len({track.name for track in found}) < len(found):
        raise InputError(f"{path} has recordings that differ in their suffix only; leave one of each")
    return found


def audio_files(folder: Path) -> list[Path]:
    """Every audio file below a folder, hidden ones left out, sorted. Raises InputError where it does not exist."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; check the name")
    known = _known()
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in known and not file.name.startswith(".") and file.is_file()
    )


def _known() -> set[str]:
    return {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"} | _MORE


def _track(folder: Path, root: Path) -> Track:
    name = folder.relative_to(root).as_posix()
    clips: dict[str, Clip] = {}
    for file in audio_files(folder):
        if file.parent == folder:
            if file.stem in clips:
                raise InputError(f"{folder} has two files named {file.stem}; leave one")
            clips[file.stem] = Clip(file)
    mixture = next((clips.pop(mix) for mix in MIXTURES if mix in clips), None)
    return Track(name, clips, mixture)


def _table(path: Path) -> list[Track]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            heading = file.readline()
            file.seek(0)
            # Spreadsheets put semicolons where a comma is a decimal point.
            rows = list(csv.DictReader(file, delimiter=max(SEPARATORS, key=heading.count)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as a table ({error}); give a .csv in UTF-8, or a folder"
        ) from error
    found = []
    for number, row in enumerate(rows, start=2):
        clips = {
            str(column).strip(): _cell(path, number, cell)
            for column, cell in row.items()
            if column != NAME and isinstance(cell, str) and cell.strip()
        }
        mixture = next((clips.pop(mix) for mix in MIXTURES if mix in clips), None)
        given = clips.pop(GIVEN, None)
        if not clips and mixture is None:
            raise InputError(
                f"{path}, line {number}: no clean recording; give a column of paths for each stem"
            )
        name = row.get(NAME) or (given or mixture or next(iter(clips.values()))).path.stem
        found.append(Track(name, clips, mixture, given))
    if not found:
        raise InputError(f"{path} has no rows below its heading; give one for each track")
    if len({track.name for track in found}) < len(found):
        raise InputError(f"{path} has a track's name twice; give a column {NAME} with a name for each")
    return found


def _cell(table: Path, line: int, cell: str) -> Clip:
    file = table.parent / cell.strip()
    if not file.is_file():
        raise InputError(f"{table}, line {line}: {cell} does not exist; paths are relative to the table")
    return Clip(file)
