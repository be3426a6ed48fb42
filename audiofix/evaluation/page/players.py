"""Players for the best and the worst tracks, their sound inside the page: short, and as small as it must be."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audiofix.evaluation.page.markup import folded, number, section, tag, text
from audiofix.evaluation.page.results import Results, Row, mean_score

KEPT = 2  # best tracks, and worst ones, of each setting
SECONDS = 10.0  # of a track, from its middle
LOSSLESS = 400_000  # bytes of a FLAC up to which it stays one; beyond it MP3 takes its place
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class Clip:
    """A sound as it stands in the page: its data, and what was done to it."""

    kind: str
    data: bytes
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """A sound of a track: what it is, which source, its score, and the file, relative to the folder."""

    label: str
    source: str
    score: float | None
    path: str
    oracle: bool = False


def encoded(path: Path, most_seconds: float = SECONDS) -> Clip:
    """The middle of a file as FLAC of 16 bits, or as MP3 where that would be large. Raises soundfile's errors."""
    with soundfile.SoundFile(path) as file:
        rate, frames = file.samplerate, file.frames
        length = min(frames, round(most_seconds * rate))
        file.seek((frames - length) // 2)
        samples = file.read(length, dtype="float32", always_2d=True)
    remarks = [] if length == frames else [f"{most_seconds:g} of {frames / rate:.0f} s"]
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1:
        samples = samples / peak
        remarks.append(f"{-20 * np.log10(peak):.1f} dB, as it would clip")
    data = _written(samples, rate, "FLAC", "PCM_16")
    if len(data) <= LOSSLESS or rate not in MP3_RATES or samples.shape[1] > 2:
        return Clip("audio/flac", data, tuple(remarks))
    return Clip("audio/mpeg", _written(samples, rate, "MP3", "MPEG_LAYER_III"), (*remarks, "MP3"))


def ranked(results: Results, setting: str) -> tuple[list[str], list[str]]:
    """The best and the worst tracks of the leading system that can be heard, best and worst first; apart."""
    leader = results.leader(setting)
    values = results.values(leader, setting, results.metric) if leader else {}
    audible = {
        row["track"] for row in _rows(results, setting) if row["system"] == leader and row.get("files")
    }
    order = sorted((track for track in values if track in audible), key=lambda track: values[track])
    if results.metrics[results.metric].more_is_better if results.metric else False:
        order.reverse()
    best = order[: min(KEPT, (len(order) + 1) // 2)]
    worst = order[::-1][: min(KEPT, len(order) - len(best))]
    return best, worst


def sounds_of(results: Results, setting: str, track: str) -> list[Heard]:
    """What was recorded, then for each source the truth and what each system made of it."""
    rows = [row for row in _rows(results, setting) if row["track"] == track and row.get("files")]
    files = {name: path for row in rows for name, path in row["files"].items()}
    found = [Heard("recorded", "", None, files["given"])] if "given" in files else []
    sources = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    for source in sources:
        if f"clean/{source}" in files:
            found.append(Heard("the truth", source, None, files[f"clean/{source}"]))
        for row in rows:
            if source in row["files"]:
                score = mean_score({source: row["scores"].get(source, {})}, results.metric)
                path, oracle = row["files"][source], bool(row.get("oracle"))
                found.append(Heard(row["system"], source, score, path, oracle))
    return found


def players(results: Results, most_bytes: int) -> str:
    """The section of all settings. Sounds beyond `most_bytes` of the page are named, not held."""
    budget, parts = Budget(most_bytes), []
    for setting in results.settings:
        best, worst = ranked(results, setting)
        leader = results.leader(setting)
        for name, tracks in (("best", best), ("worst", worst)):
            for place, track in enumerate(tracks, 1):
                rank = f"{_nth(place)}{name} of {leader}"
                parts.append(_track(results, setting, track, rank, budget, shown=place == 1))
    if not parts:
        return ""
    unit = results.metrics[results.metric]
    label = f"{unit.label}, {unit.unit}" if unit.unit else unit.label
    remark = f"Figures: {label}. At most {SECONDS:g} s of each track, from its middle."
    left = ""
    if budget.left_out:
        left = (
            f" {budget.left_out} sounds are left out, so that the page stays below {most_bytes / 1e6:.0f} MB; "
            f"they are in {results.folder.name}/audio."
        )
    return section("Listen", tag("p", text(remark + left), class_="note"), *parts)


@dataclass
class Budget:
    """Bytes of sound that the page may still take, and how many sounds found no place."""

    bytes_left: int
    left_out: int = 0

    def take(self, path: Path) -> Clip | str:
        """The sound, or why it is not there."""
        try:
            clip = encoded(path)
        except (OSError, soundfile.SoundFileError):
            return "its file is not there, or damaged"
        size = -(-len(clip.data) // 3) * 4
        if size > self.bytes_left:
            self.left_out += 1
            return "left out for its size"
        self.bytes_left -= size
        return clip


def _track(results: Results, setting: str, track: str, rank: str, budget: Budget, shown: bool) -> str:
    value = results.values(results.leader(setting) or "", setting, results.metric).get(track)
    heading = " · ".join(part for part in (track, setting, f"{rank}, {number(value)}") if part)
    heard = sounds_of(results, setting, track)
    groups: dict[str, list[Heard]] = {}
    for one in heard:
        groups.setdefault(one.source, []).append(one)
    parts = []
    for source, sounds in groups.items():
        lines = [_player(results.folder, one, track, budget) for one in sounds]
        named = tag("h4", text(source)) if source and len(groups) > 2 else ""
        parts.append(named + tag("div", *lines, class_="players"))
    return folded(heading, *parts, shown=shown)


def _player(folder: Path, one: Heard, track: str, budget: Budget) -> str:
    inside = (folder / one.path).resolve().is_relative_to(folder.resolve())
    clip = budget.take(folder / one.path) if inside else "its file is not in the folder"
    label = tag("b", text(one.label)) + (" " + tag("small", text("saw the answer")) if one.oracle else "")
    score = tag("span", text(number(one.score)), class_="value") if one.score is not None else tag("span")
    if isinstance(clip, str):
        return tag("div", tag("span", label), score, tag("em", text(clip)), class_="player")
    source = f"data:{clip.kind};base64,{base64.b64encode(clip.data).decode()}"
    name = " ".join(part for part in (track, one.label, one.source) if part)
    audio = tag("audio", controls=True, preload="metadata", src=source, aria_label=name)
    remarks = tag("small", text(", ".join(clip.remarks))) if clip.remarks else ""
    return tag("div", tag("span", label, remarks), score, audio, class_="player")


def _rows(results: Results, setting: str) -> Sequence[Row]:
    return [row for row in results.rows if row["setting"] == setting and "error" not in row]


def _nth(place: int) -> str:
    names: Mapping[int, str] = {1: "", 2: "second ", 3: "third "}
    return names.get(place, f"{place}th ")


def _written(samples: np.ndarray, rate: int, container: str, subtype: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=container, subtype=subtype)
    return out.getvalue()
