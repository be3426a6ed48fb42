"""Results on disk: whole or not at all, and refused before the computing rather than after it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from audiofix.errors import OutputError

_NAMED = 3  # files listed by name in one message; the rest is counted


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Lend a temporary file in the target's folder, and move it over the target when the block ends well.

    On any failure, Ctrl-C included, the temporary file is removed and an existing target stays as it was.
    Missing folders are made. A symbolic link is followed: the file that it names is replaced.

    Raises
    ------
    OutputError
        The target cannot be written: no permission, no space, not a regular file.
    """
    path = Path(os.path.realpath(path))
    part = _part(path.parent)
    try:
        _refuse_special(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(part)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # network and delayed-allocation disks report "full" only here
        os.replace(part, path)
    except OSError as error:
        raise refusal(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def all_or_none(folder: Path, stale: Callable[[], Iterable[Path]] = tuple) -> Iterator[Path]:
    """Lend a temporary folder inside `folder`, and move all files in it there when the block ends well.

    Then those of `stale`, files that earlier results left, are removed as well. On any failure, Ctrl-C included,
    all is as it was: nothing new, nothing replaced, nothing removed. Missing folders are made, symbolic links to
    files followed.

    Raises
    ------
    OutputError
        The disk says no; what the block raises names the place where the file would have come.
    """
    place = Path(os.path.realpath(folder))
    missing = [parent for parent in (place, *place.parents) if not parent.exists()]
    part = _part(place)
    try:
        part.mkdir(parents=True)
        yield part
        targets = {file: Path(os.path.realpath(place / file.name)) for file in sorted(part.iterdir())}
        _swap(
            targets, [file for file in stale() if Path(os.path.realpath(file)) not in targets.values()], part
        )
    except OutputError as error:
        raise OutputError(str(error).replace(str(part), str(folder))) from error
    except OSError as error:
        raise refusal(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            for parent in missing:  # those that hold results refuse to go
                parent.rmdir()


def _swap(targets: Mapping[Path, Path], stale: Iterable[Path], part: Path) -> None:
    """Move files to their targets, and what was there and what is stale into `part`; back again if that fails."""
    old = part / "old"
    old.mkdir()
    kept: dict[Path, Path] = {}
    new: list[Path] = []
    try:
        for target in (*targets.values(), *stale):
            _refuse_special(target)
            if target.exists():
                kept[target] = old / str(len(kept))
                shutil.move(target, kept[target])
        for file, target in targets.items():
            new.append(target)
            shutil.move(file, target)
    except BaseException:
        for target in new:
            target.unlink(missing_ok=True)
        for target, saved in kept.items():
            if saved.exists():
                shutil.move(saved, target)
        raise


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write a small file, such as a report, whole or not at all; raises OutputError as `atomic` does."""
    with atomic(path) as part:
        part.write_bytes(data)


def check_output(targets: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before any computing, targets that could not be written after it.

    Each folder is tried by making a file in it and removing that again. Missing folders are made; they stay
    only when every target is fine. A target that is an existing folder is tried as a folder.

    Parameters
    ----------
    targets
        Files to be written, or folders to be filled.
    overwrite
        Whether existing files may be replaced.

    Raises
    ------
    OutputError
        A target is named twice, exists (without `overwrite`), is not a regular file, or cannot be created.
    """
    targets = [Path(target) for target in targets]
    twice = [name for name, count in Counter(os.path.abspath(t) for t in targets).items() if count > 1]
    if twice:
        raise OutputError(
            f"more than one result would be written to {_names(twice)}; rename an input, "
            "or give each its own output folder"
        )
    files = [target for target in targets if not _is_folder(target)]
    there = [file for file in files if _exists(file)]
    for file in there:
        _refuse_special(file)
    if there and not overwrite:
        raise OutputError(
            f"{_names(there)} already there; add --overwrite to replace, or choose another output"
        )
    made: list[Path] = []
    try:
        for folder in dict.fromkeys([t if _is_folder(t) else t.parent for t in targets]):
            _try_folder(folder, made)
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def check_space(folder: Path, size: int) -> None:
    """Refuse, before any computing, a disk with less free space than the results need.

    Parameters
    ----------
    folder
        Where they go; need not exist yet.
    size
        Bytes needed in all.

    Raises
    ------
    OutputError
        Less than `size` is free.
    """
    place = Path(os.path.abspath(folder))
    while not _exists(place):
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < size:
        raise OutputError(
            f"results need {_amount(size)} and {place} has {_amount(free)} free; "
            "free some space or choose another output folder"
        )


def refusal(path: Path, error: OSError) -> OutputError:
    """Say why a path cannot be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"no space left to write {path}; free some space or choose another output folder")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"no permission to write {path}; choose another output folder or change its mode")
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {path} ({reason}); choose another output folder or name")


def _try_folder(folder: Path, made: list[Path]) -> None:
    try:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            made.append(place)
        with tempfile.TemporaryFile(dir=folder) as probe:  # nameless: nothing is left if we are killed here
            probe.write(b"\0")
            probe.flush()
    except OSError as error:
        raise refusal(folder, error) from error


def _part(folder: Path) -> Path:
    return folder / f".audiofix-{secrets.token_hex(6)}.part"


def _create(part: Path) -> None:
    # Not tempfile: its files are private to the user, and the result must have the usual mode.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise refusal(path, error) from error
    return True


def _is_folder(path: Path) -> bool:
    return _exists(path) and path.is_dir()


def _refuse_special(path: Path) -> None:
    if _exists(path) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or pipe"
        raise OutputError(f"{path} is {kind}, not a file; give the name of a file")


def _names(paths: Iterable[Path | str]) -> str:
    names = [str(path) for path in paths]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _amount(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
