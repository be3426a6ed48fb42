"""Results on disk: one line a track and system, complete or not there; audio beside them; what is kept of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from audiofix.audio.disk import refusal, write_bytes_atomically
from audiofix.audio.files import peak_of, write_audio
from audiofix.errors import InputError
from audiofix.evaluation.systems.base import Task
from audiofix.types import Audio

RESULTS, SUMMARY, TABLE, AUDIO = "results.jsonl", "summary.json", "table.csv", "audio"
KEPT = 2  # best tracks, and worst ones, of each system and setting whose audio is kept

Row = dict[str, Any]
Key = tuple[str, str, str]


def key_of(row: Mapping[str, Any]) -> Key:
    """What there is one row of: track, setting, system."""
    return row["track"], row["setting"], row["system"]


def read_rows(folder: Path, pattern: str = "results*.jsonl") -> list[Row]:
    """The rows of all shards, or of the files named so: one of each key.

    Of copies in several files one is taken that is no failure, of a shard rather than of the whole; what one of
    them still names of audio that was removed by way of another is left out.
    A line that was cut off is left out. Raises InputError for one that is no result.
    """
    found: dict[Key, Row] = {}
    copied: set[Key] = set()
    # results.jsonl holds copies of what the shards had when they were put together: theirs are newer.
    for file in sorted(folder.glob(pattern), key=lambda file: (file.name != RESULTS, file.name)):
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                key = key_of(row)
            except (ValueError, KeyError, TypeError) as error:
                if number < len(lines):
                    raise InputError(
                        f"{file}, line {number} is no result; remove the line, or evaluate into another folder"
                    ) from error
                continue
            copied |= {key} & found.keys()
            if "error" not in row or "error" in found.get(key, row):  # what failed was tried again
                found[key] = row
    return [_with_what_is_there(folder, row) if key in copied else row for key, row in found.items()]


def _with_what_is_there(folder: Path, row: Row) -> Row:
    """A row without the paths of audio that is gone."""
    named = row.get("files") or {}
    there = {name: path for name, path in named.items() if (folder / path).is_file()}
    return row if len(there) == len(named) else {**row, "files": there}


def append_rows(file: Path, rows: Iterable[Row]) -> None:
    """Add whole lines at the end, and see that they reach the disk. Raises OutputError."""
    text = "".join(line_of(row) for row in rows)
    try:
        with file.open("a", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise refusal(file, error) from error


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    """Replace a file of results, whole or not at all."""
    write_bytes_atomically(file, "".join(map(line_of, rows)).encode())


def ours(folder: Path) -> list[Path]:
    """What an evaluation leaves in its folder, whether it is there or not."""
    return [folder / SUMMARY, folder / TABLE, folder / AUDIO, *folder.glob("results*.jsonl")]


def clear(folder: Path) -> None:
    """Remove the results of an evaluation and the audio that they name, and nothing else."""
    with contextlib.suppress(InputError):  # unreadable results are thrown away; their audio stays
        _remove_audio(folder, read_rows(folder))
    for file in ours(folder):
        if not file.is_dir():
            file.unlink(missing_ok=True)


def clear_shard(folder: Path, name: str, tracks: Collection[str]) -> None:
    """Remove a shard's file, what results.jsonl has of its tracks and these, and their audio; no other shard's."""
    mine = {*tracks, *(row["track"] for row in read_rows(folder, name))}
    _remove_audio(folder, [row for row in read_rows(folder) if row["track"] in mine])
    (folder / name).unlink(missing_ok=True)
    left = [row for row in read_rows(folder, RESULTS) if row["track"] not in mine]
    if left:
        write_rows(folder / RESULTS, left)
    else:
        (folder / RESULTS).unlink(missing_ok=True)


def _remove_audio(folder: Path, rows: Iterable[Row]) -> None:
    """What rows name in the folder of audio, and nothing elsewhere."""
    for path in {folder / path for row in rows for path in row.get("files", {}).values()}:
        if (folder / AUDIO).resolve() in path.resolve().parents:
            path.unlink(missing_ok=True)
            _remove_empty(path.parent, folder)


def line_of(row: Row) -> str:
    """A row as JSON, which knows no infinity."""
    return json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n"


def file_name(*parts: str) -> str:
    """A path below the folder of audio, folder by folder; other for other parts.

    What a file system may not take becomes _, and a checksum tells what became alike apart.
    """
    return "/".join(_safe(piece) for part in parts if part for piece in part.split("/"))


def _safe(piece: str) -> str:
    safe = re.sub(r"[^\w.+ ()&',-]", "_", piece).strip(". ")
    return safe if safe == piece else f"{safe}-{zlib.crc32(piece.encode()):08x}"


def write_clean(folder: Path, task: Task, setting: str) -> dict[str, str]:
    """Write what was recorded and the truth; their paths in the folder as `given` and `clean/SOURCE`."""
    sounds = {"given": task.given}
    sounds |= {f"clean/{name}": Audio(wave, task.rate) for name, wave in task.clean.items()}
    return _write(folder, sounds, ("truth", task.track, setting))


def write_result(
    folder: Path, task: Task, setting: str, system: str, found: Mapping[str, Tensor]
) -> dict[str, str]:
    """Write what a system made; the paths in the folder under the names of the sources."""
    sounds = {name: Audio(found[name].float(), task.rate) for name in task.clean}
    return _write(folder, sounds, (system, task.track, setting))


def _write(folder: Path, sounds: Mapping[str, Audio], place: tuple[str, ...]) -> dict[str, str]:
    paths = {}
    for name, audio in sounds.items():
        fits = peak_of(audio.samples, "PCM_16") < 0.999
        suffix, container, subtype = ("flac", "FLAC", "PCM_16") if fits else ("wav", "WAV", "FLOAT")
        paths[name] = f"{AUDIO}/{file_name(*place, name)}.{suffix}"
        write_audio(folder / paths[name], replace(audio, container=container, subtype=subtype, tags={}))
    return paths


def worth_keeping(rows: Sequence[Row], metric: str) -> set[Key]:
    """Of each system and setting the tracks with the best and the worst mean of a metric over sources."""
    kept: set[Key] = set()
    ranked: dict[tuple[str, str], list[tuple[float, Key]]] = {}
    for row in rows:
        values = [one[metric] for one in row["scores"].values() if one.get(metric) is not None]
        if values:
            group = ranked.setdefault((row["system"], row["setting"]), [])
            group.append((sum(values) / len(values), key_of(row)))
    for group in ranked.values():
        group.sort()
        kept |= {key for _, key in [*group[:KEPT], *group[-KEPT:]]}
    return kept


def prune_audio(folder: Path, rows: Sequence[Row], metric: str) -> list[Row]:
    """Remove the audio of those rows that are not worth keeping; the rows, without the paths of what is gone.

    Rows whose audio was removed earlier need not be given: the best and worst of what is left are those of all.
    """
    kept = worth_keeping(rows, metric)
    result = [{**row, "files": row.get("files", {}) if key_of(row) in kept else {}} for row in rows]
    needed = {path for row in result for path in row["files"].values()}
    for path in {path for row in rows for path in row.get("files", {}).values()} - needed:
        (folder / path).unlink(missing_ok=True)
        _remove_empty((folder / path).parent, folder)
    return result


def _remove_empty(place: Path, top: Path) -> None:
    while place != top and place.is_dir() and not any(place.iterdir()):
        place.rmdir()
        place = place.parent
