"""Where samples are lost: as a user says it, as a file lists it, and as the recording shows it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from audiofix.errors import InputError, SettingError
from audiofix.faults.clicks import find_clicks
from audiofix.faults.dropouts import bridged, find_dropouts, runs

_FORMS = "write 1.10-1.30, 4.2s+50ms, 1200ms-1300ms or 4:02.5-4:02.7, start and end or start and duration"
_TIME = r"((?:\d+:){0,2}(?:\d+\.?\d*|\.\d+))\s*(ms|s)?"
_GAP = re.compile(rf"\s*{_TIME}\s*([-–+])\s*{_TIME}\s*")


@dataclass(frozen=True)
class FoundGap:
    """Samples that the recording itself shows to be lost.

    Attributes
    ----------
    start, stop
        First and one past the last lost sample.
    reason
        "digital silence", "click" or "not a number".
    """

    start: int
    stop: int
    reason: str


def parse_gap(text: str, sample_rate: int) -> tuple[int, int]:
    """First and one past the last sample of a gap that a user wrote down.

    Parameters
    ----------
    text
        start-end or start+duration. A time is a number of seconds, with or without `s`, of milliseconds with `ms`,
        or minutes:seconds or hours:minutes:seconds: 1.10-1.30, 4.2s+50ms, 4:02.5-4:02.7.
    sample_rate
        Hz, > 0.

    Returns
    -------
    tuple[int, int]
        Samples, rounded; the second is larger than the first.

    Raises
    ------
    SettingError
        Text of another form, negative times, an end that is not after its start, or less than a sample.
    """
    match = _GAP.fullmatch(text)
    if match is None:
        what = "has a negative time" if text.strip().startswith(("-", "–")) else "is not a gap"
        raise SettingError(f"gap {text.strip()!r} {what}; {_FORMS}")
    first, first_unit, sign, second, second_unit = match.groups()
    start, end = (_seconds(time, unit, text) for time, unit in ((first, first_unit), (second, second_unit)))
    return _gap_between(start, start + end if sign == "+" else end, sample_rate, f"gap {text.strip()!r}")


def _seconds(time: str, unit: str | None, text: str) -> float:
    """A time such as 4:02.5 in seconds. Raises SettingError for minutes or seconds from 60, or a colon with ms."""
    parts = [float(part) for part in time.split(":")]
    if len(parts) > 1 and (unit == "ms" or max(parts[1:]) >= 60):
        raise SettingError(
            f"gap {text.strip()!r} has the time {time}{unit or ''}, which is no clock time; {_FORMS}"
        )
    whole = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    return whole / 1000 if unit == "ms" else whole


def _gap_between(start: float, end: float, sample_rate: int, what: str) -> tuple[int, int]:
    """Seconds to samples. Raises SettingError that begins with `what` unless 0 <= start < end, a sample apart."""
    if start < 0:
        raise SettingError(f"{what} starts at {start:g} s; times count from 0, the beginning of the file")
    if end <= start:
        raise SettingError(
            f"{what} ends at {end:g} s, not after its start at {start:g} s; give the earlier first"
        )
    first, stop = round(start * sample_rate), round(end * sample_rate)
    if stop == first:
        raise SettingError(
            f"{what} holds no sample at {sample_rate} Hz; make it {1 / sample_rate:.2g} s or longer"
        )
    return first, stop


def read_gaps(path: Path, sample_rate: int) -> list[tuple[int, int]]:
    """Gaps that a file lists: CSV with start and end in seconds, or a label track of Audacity.

    CSV has two columns, separated by commas or semicolons (then a decimal comma is understood), and may have a
    header: words in both columns. A label track is tab-separated: start, end, label; its lines that begin with a
    backslash hold frequencies and are skipped.

    Parameters
    ----------
    path
        Text file, UTF-8.
    sample_rate
        Hz, > 0, of the recording.

    Returns
    -------
    list[tuple[int, int]]
        First and one past the last sample of each, in the file's order; may overlap. Never empty.

    Raises
    ------
    InputError
        A file that cannot be read or lists nothing, or a line that is no gap, such as a label for a point.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise InputError(
            f"{path} cannot be read as a list of gaps ({reason}); give a CSV of start,end in seconds or labels"
        ) from error
    labels = any("\t" in line for line in lines)
    rows = [
        (number, _fields(line, labels))
        for number, line in enumerate(lines, 1)
        if line.strip() and not (labels and line.startswith("\\"))
    ]
    if rows and not labels and _is_header(rows[0][1]):
        del rows[0]
    if not rows:
        raise InputError(f"{path} lists no gap; give lines of start and end in seconds, such as 1.10,1.30")
    return [_row_gap(fields, sample_rate, f"{path}, line {number}:", labels) for number, fields in rows]


def _fields(line: str, labels: bool) -> list[str]:
    if labels:
        return line.split("\t")
    return line.replace(",", ".").split(";") if ";" in line else line.split(",")


def _is_header(fields: Sequence[str]) -> bool:
    """Two words, and not one that stands for a number."""
    words = [field.strip().strip("\"'").lstrip("+-") for field in fields]
    numbers = ("nan", "inf", "infinity")
    return len(words) == 2 and all(word[:1].isalpha() and word.lower() not in numbers for word in words)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _row_gap(fields: Sequence[str], sample_rate: int, where: str, labels: bool) -> tuple[int, int]:
    times = [_number(field) for field in fields[:2]]
    right = len(fields) >= 2 if labels else len(fields) == 2
    if not right or len(times) < 2 or times[0] is None or times[1] is None:
        raise InputError(
            f"{where} {' | '.join(fields)!r} is no gap; give start and end in seconds, as in 1.10,1.30"
        )
    start, end = times[0], times[1]
    if labels and start == end:
        raise InputError(f"{where} a label for the point {start:g} s; stretch it over the lost samples")
    try:
        return _gap_between(start, end, sample_rate, f"{where} the gap")
    except SettingError as error:
        raise InputError(str(error)) from error


def merge_gaps(
    gaps: Sequence[tuple[int, int]], length: int, sample_rate: int | None = None
) -> list[tuple[int, int]]:
    """Gaps in order, those that overlap or touch made one.

    Parameters
    ----------
    gaps
        First and one past the last sample of each.
    length
        Samples in the file.
    sample_rate
        Hz; with it errors speak of seconds.

    Returns
    -------
    list[tuple[int, int]]
        As `gaps`, with at least one known sample between any two.

    Raises
    ------
    SettingError
        A gap that is empty or not within the file, or gaps that leave no sample.
    """
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(gaps):
        if not 0 <= start < stop <= length:
            unit, rate = ("sample", 1) if sample_rate is None else ("s", sample_rate)
            raise SettingError(
                f"the gap from {start / rate:g} to {stop / rate:g} {unit} is not within the file, which has "
                f"{length / rate:g}; give gaps inside it"
            )
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    if length and merged == [(0, length)]:
        raise SettingError(f"the gaps leave none of the file's {length} samples; something must be known")
    return merged


def find_gaps(samples: Tensor, sample_rate: int) -> list[FoundGap]:
    """Drop-outs, clicks and samples that are no numbers.

    Digital silence: 2 to 250 ms of one value in all channels, cut out of sound: not the beginning or end, and not
    a pause into which the sound fades. Click: up to 1 ms that neither the samples before nor those after predict
    (see `find_clicks`), with two samples more on each side; not looked for within 32 samples of the other kinds.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1; may hold infinities and not-a-number. A gap is lost in all channels.
    sample_rate
        Hz, > 0.

    Returns
    -------
    list[FoundGap]
        In order, none touching another; empty where nothing was found.
    """
    raw = samples.detach().cpu().double().numpy()
    if not raw.size:
        return []
    lost = ~np.isfinite(raw).all(axis=0)
    if lost.all():
        return [FoundGap(0, raw.shape[1], "not a number")]
    found = [FoundGap(start, stop, "not a number") for start, stop in runs(lost)]
    whole = np.stack([bridged(row, lost) for row in raw])
    silent = [gap for gap in find_dropouts(whole, sample_rate) if not lost[gap[0] : gap[1]].any()]
    found += [FoundGap(start, stop, "digital silence") for start, stop in silent]
    for start, stop in silent:
        lost[start:stop] = True
    found += [FoundGap(start, stop, "click") for start, stop in find_clicks(whole, sample_rate, lost)]
    return list(joined(sorted(found, key=lambda gap: gap.start)))


def joined(gaps: Sequence[FoundGap]) -> Iterator[FoundGap]:
    """Touching gaps made one, under the reason of the longest."""
    held: FoundGap | None = None
    for gap in gaps:
        if held is not None and gap.start <= held.stop:
            longest = max(held, gap, key=lambda one: one.stop - one.start)
            held = FoundGap(held.start, max(held.stop, gap.stop), longest.reason)
            continue
        if held is not None:
            yield held
        held = gap
    if held is not None:
        yield held
