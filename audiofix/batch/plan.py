"""Which files a run works on, what each is called, whose share it is, and in what order."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from audiofix.errors import InputError, SettingError

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".caf", ".au", ".w64", ".rf64"}
SUFFIXES |= {".m4a", ".m4b"}  # MP4, which PyAV reads and writes
_MAGIC = re.compile(r"[*?[]")
_READERS = 8  # threads that read headers: on network disks each waits for an answer


@dataclass(frozen=True)
class Item:
    """One file of a run.

    name: its path below the folder that was given, with `/`: where its results go, and what manifests call it.
    seconds: of audio, 0 where the header cannot be read. refused: why nothing can be done with it.
    """

    name: str
    path: Path
    seconds: float = 0.0
    refused: str | None = None


def is_pattern(path: Path) -> bool:
    """Whether a path is a glob that the shell left alone; a file of that very name is a file."""
    return bool(_MAGIC.search(str(path))) and not os.path.lexists(path)


def gather(paths: Sequence[Path], recursive: bool, destination: Path) -> list[Item]:
    """Files as given, those directly in folders, or at any depth, and what patterns match; by name, each once.

    Hidden files and what lies in `destination` are left out; links to folders are not followed. Raises InputError
    for a folder or pattern without files, SettingError where results would lie among the recordings.
    """
    found: dict[str, Item] = {}
    out = os.path.realpath(destination)
    for root, files in ((root, list(files)) for root, files in _groups(paths, recursive, out)):
        if root is not None and os.path.realpath(root) == out:
            raise SettingError(f"-o {destination} is the folder of the recordings; give another one")
        for file in files:
            name = file.name if root is None else file.relative_to(root).as_posix()
            other = found.setdefault(name, Item(name, file))
            if os.path.abspath(other.path) != os.path.abspath(file):
                raise SettingError(
                    f"{other.path} and {file} would both become {destination / name}; give one folder that holds "
                    "both, with --recursive, or one after the other with an -o of its own"
                )
    return [found[name] for name in sorted(found)]


def apart(items: Sequence[Item], destination: Path, folders: bool) -> list[Item]:
    """The same, but those are refused whose results would get in the way of others.

    Results go by the name without its suffix. folders: each is a folder, which nothing else may lie in.
    """
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(_result(item), item)
    above = {str(p): item for item in items for p in PurePosixPath(item.name).parents} if folders else {}
    inputs = {os.path.abspath(item.path) for item in items}
    checked = []
    for item in items:
        result, refused = _result(item), None
        if first[result] is not item:
            refused = (
                f"{item.path} would become {destination / result} as {first[result].path} does; rename one"
            )
        elif result in above:
            refused = (
                f"{item.path} would become the folder {destination / result}, which holds the results of "
                f"{above[result].path}; rename one"
            )
        elif os.path.abspath(destination / item.name) in inputs:
            refused = f"{destination / item.name} is read by this run and never replaced; give another -o"
        checked.append(replace(item, refused=refused))
    return checked


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) of "i/n", i from 1 to n. Raises SettingError."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    i, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= i <= n:
        raise SettingError(f"--shard {text}: give I/N with I from 1 to N, such as 1/8 for the first of eight")
    return i, n


def share(items: Iterable[Item], shard: tuple[int, int]) -> list[Item]:
    """The items of shard (i, n): by a hash of the name, so that a file stays in its shard whatever is added."""
    i, n = shard
    return [item for item in items if int(key_of(item.name)[:15], 16) % n == i - 1]


def arranged(items: Sequence[Item]) -> list[Item]:
    """With their lengths, longest first: like lengths are neighbours, and no worker begins a long file last."""
    with ThreadPoolExecutor(_READERS) as pool:
        lengths = list(pool.map(_seconds, items))
    timed = [replace(item, seconds=seconds) for item, seconds in zip(items, lengths, strict=True)]
    return sorted(timed, key=lambda item: (-item.seconds, item.name))


def key_of(name: str) -> str:
    """A short name without folders for an item: 24 hex digits."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _groups(paths: Sequence[Path], recursive: bool, out: str) -> Iterator[tuple[Path | None, Iterable[Path]]]:
    """For each path, the folder that names begin below (None: plain names) and its files."""
    for path in paths:
        if path.is_dir():
            files = sorted(_inside(path, recursive, out))
            if not files:
                deeper = "" if recursive else " directly in it; add --recursive for those below"
                raise InputError(
                    f"{path} is a folder that holds no audio files ({' '.join(sorted(SUFFIXES))}){deeper}; "
                    "give another folder"
                )
            yield path, files
        elif is_pattern(path):
            whole = path.parts
            first = next(i for i, part in enumerate(whole) if _MAGIC.search(part))
            root = Path(*whole[:first])
            matched = [Path(found) for found in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
            files = [file for file in matched if file.is_file() and _wanted(file)]
            for folder in (found for found in matched if found.is_dir() and _MAGIC.search(whole[-1])):
                files += sorted(_inside(folder, recursive, out))
            files = [file for file in files if out not in map(str, Path(os.path.realpath(file)).parents)]
            if not files:
                raise InputError(f"{path} matches no audio files ({' '.join(sorted(SUFFIXES))}); check it")
            yield root, files
        else:
            yield None, [path]


def _inside(folder: Path, recursive: bool, out: str) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        yield from (here / name for name in files if _wanted(here / name))
        folders[:] = [
            name for name in folders if not name.startswith(".") and os.path.realpath(here / name) != out
        ]
        if not recursive:
            return


def _wanted(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def _result(item: Item) -> str:
    return str(PurePosixPath(item.name).with_suffix(""))


def _seconds(item: Item) -> float:
    import soundfile

    try:
        return float(soundfile.info(item.path).duration)
    except (OSError, TypeError, ValueError, RuntimeError, ZeroDivisionError):
        return 0.0  # what is wrong with it is said when its turn comes
