"""What a command leaves on disk: checked before computing, adding up exactly, complete or not there at all."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.errors import OutputError

if TYPE_CHECKING:
    from torch import Tensor

    from audiofix.types import Audio

REPORT = "report.json"
RESIDUAL = "residual"
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # file managers leave these in any folder they show
AUDIBLE = 1e-5  # -100 dB below the mixture's peak: less than this is rounding, not content


@dataclass(frozen=True)
class Files:
    """Audio by path within the folder of results; `stems`, `draws` and `residual` say which is which."""

    audio: dict[str, Audio]
    stems: dict[str, str]
    draws: list[dict[str, str]]
    residual: str | None
    left_out: float
    """Peak of a residual that was not asked for: what stems and mixture differ by."""


def folder_of(mixture: Path, parent: Path) -> Path:
    """Where the results of one mixture go: a folder of the recording's name."""
    name = mixture.stem if mixture.stem.strip(".") else mixture.name
    return parent / name


def check_before(folder: Path, inputs: Iterable[Path], size: int, overwrite: bool) -> None:
    """Refuse before computing what could not be written after it; leaves nothing behind.

    `inputs` are files that must not be replaced, `size` bytes needed at most. Raises OutputError.
    """
    from audiofix.audio.files import check_output, check_space

    place = Path(os.path.realpath(folder))
    _check_taken(folder, overwrite)
    for file in inputs:
        if place in Path(os.path.realpath(file)).parents:
            raise OutputError(
                f"{file} lies in {folder}, which would be replaced; choose another folder with -o"
            )
    # The new results are first written beside their place: it is the parent that must take them.
    nearest = place.parent
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise OutputError(f"{nearest} is not a folder; choose another folder with -o")
    check_output([nearest], overwrite)
    check_space(folder, size)


def adding_up(
    mixture: Audio,
    stems: Mapping[str, Audio],
    residual: Audio,
    draws: Sequence[Mapping[str, Audio]],
    want_residual: bool | None,
) -> Files:
    """Round stems to what the files hold, so that the files of each draw and the residual sum to the mixture.

    Format: the mixture's own, or float where that would clip or cannot be written. Exact for integer formats up
    to 24 bits, to float32 rounding for the others, as good as the codec for lossy ones.
    """
    from audiofix.audio.files import output_format, peak_of

    sets = [{name: stem.samples for name, stem in one.items()} for one in (stems, *draws)]
    peak = max(peak_of(samples, mixture.subtype) for one in sets for samples in one.values())
    container, subtype, suffix = output_format(mixture, peak)
    while True:
        on_grid, rest, left_out = rounded(mixture.samples, sets, residual.samples, subtype, want_residual)
        every = [samples for one in on_grid for samples in one.values()] + ([] if rest is None else [rest])
        fitting = output_format(mixture, max(peak_of(samples, subtype) for samples in every))
        if subtype in (fitting[1], "FLOAT"):
            break  # float holds everything: without this, a peak that only rounding lifts would go back and forth
        container, subtype, suffix = fitting  # rounding or the residual went over full scale: float holds it

    def audio(samples: Tensor) -> Audio:
        return replace(mixture, samples=samples, container=container, subtype=subtype)

    files = {f"{name}{suffix}": audio(samples) for name, samples in on_grid[0].items()}
    named_draws = [
        {name: f"draws/{name}.{k}{suffix}" for name in one} for k, one in enumerate(on_grid[1:], 1)
    ]
    for one, named in zip(on_grid[1:], named_draws, strict=True):
        files |= {named[name]: audio(samples) for name, samples in one.items()}
    if rest is not None:
        files[f"{RESIDUAL}{suffix}"] = audio(rest)
    stem_files = {name: f"{name}{suffix}" for name in stems}
    return Files(
        files, stem_files, named_draws, f"{RESIDUAL}{suffix}" if rest is not None else None, left_out
    )


def rounded(
    mixture: Tensor,
    sets: Sequence[dict[str, Tensor]],
    residual: Tensor,
    subtype: str,
    want_residual: bool | None,
) -> tuple[list[dict[str, Tensor]], Tensor | None, float]:
    """Stems and draws on the grid of `subtype`, the residual if it is to be written, else its peak."""
    from audiofix.audio.files import quantise

    whole = mixture.double()
    sets = [{name: quantise(samples, subtype) for name, samples in one.items()} for one in sets]
    rest = quantise(residual, subtype)
    matters = _peak(rest) > AUDIBLE * _peak(mixture)
    if want_residual or (want_residual is None and matters):
        rest = (whole - sum(samples.double() for samples in sets[0].values())).float()
        return [sets[0], *(_closed(one, whole - rest.double()) for one in sets[1:])], rest, 0.0
    held = whole - rest.double() if matters else whole
    return [_closed(one, held) for one in sets], None, _peak(rest) if matters else 0.0


def _closed(stems: dict[str, Tensor], total: Tensor) -> dict[str, Tensor]:
    """The same stems, but for the last one, which takes the rounding remainder of `total` (float64)."""
    *others, last = stems
    remainder = total - sum(stems[name].double() for name in others)
    return {**stems, last: remainder.float()}


def _peak(samples: Tensor) -> float:
    return float(samples.abs().max())


def measure_sum(folder: Path, files: Iterable[str], mixture: Audio) -> dict[str, float | None]:
    """Read files back and compare their sum with the mixture: largest error, and its power in dB of the mixture's.

    The dB value is None when there is no error at all.
    """
    from audiofix.audio.files import read_audio

    total = sum(read_audio(folder / file).samples.double() for file in files)
    error = mixture.samples.double() - total
    power, whole = float(error.square().sum()), float(mixture.samples.double().square().sum())
    decibels = 10 * math.log10(power / whole) if power > 0 and whole > 0 else None
    return {"largest_error": float(error.abs().max()), "error_db": decibels}


def publish(folder: Path, fill: Callable[[Path], None], overwrite: bool) -> None:
    """Let `fill` write into a temporary folder, then move that to its place; on any failure nothing is left.

    With `overwrite` the earlier results stay whole until the new ones are complete.
    Raises OutputError when the disk says no.
    """
    from audiofix.audio.disk import refusal

    place = Path(os.path.realpath(folder))
    missing = [parent for parent in place.parents if not parent.exists()]
    part = place.parent / f".audiofix-{secrets.token_hex(6)}.part"
    try:
        part.mkdir(parents=True)
        fill(part)
        _check_taken(folder, overwrite)  # again: someone else may have been here while we computed
        _swap_in(part, place)
    except OSError as error:
        raise refusal(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            for parent in missing:  # those that hold the results refuse to go
                parent.rmdir()


def earlier_files(place: Path, given: Iterable[Path]) -> list[Path]:
    """What the report beside a restored file says was written with it, and is still there but not `given`."""
    try:
        report = place.parent / f"{place.stem}.report.json"
        listed = json.loads(report.read_text(encoding="utf-8"))["output"]["files"].values()
        names = {Path(str(name)).name for name in listed}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    used = {os.path.realpath(file) for file in given}
    found = [place.parent / name for name in sorted(names) if name.startswith(f"{place.stem}.")]
    return [file for file in found if file.is_file() and os.path.realpath(file) not in used]


def dump_json(value: Any, indent: int | None = None) -> str:
    """JSON that every reader takes: numbers that are not finite become null, paths and devices text."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, str | int) else str(value)


def _check_taken(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds something, unless it is all from an earlier run and may be replaced."""
    try:
        if not os.path.lexists(folder):
            return
        held = [
            p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()
        ]
        if not folder.is_dir():
            raise OutputError(f"{folder} is not a folder; move it, or choose another folder with -o")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be looked at ({error.strerror}); choose another with -o"
        ) from error
    if not held:
        return
    if not overwrite:
        raise OutputError(
            f"{folder} exists already; add --overwrite to replace it, or choose another with -o"
        )
    foreign = sorted(name for name in set(held) - _written_before(folder) if Path(name).name not in _LITTER)
    if foreign:
        raise OutputError(
            f"{folder} holds {foreign[0]}, which no earlier run wrote, and is not replaced; "
            "move that file, or choose another folder with -o"
        )


def _written_before(folder: Path) -> set[str]:
    """Files that the report in a folder says were written with it."""
    try:
        files = json.loads((folder / REPORT).read_text(encoding="utf-8"))["output"]["files"]
        return {REPORT, *(str(name) for name in files)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _swap_in(part: Path, place: Path) -> None:
    """Move `part` to `place`; what was there comes back if that fails."""
    if not place.exists():
        os.replace(part, place)
        return
    old = part.with_suffix(".old.part")
    os.replace(place, old)
    try:
        os.replace(part, place)
    except BaseException:
        os.replace(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
