"""A track of a dataset: named sounds on disk that are read one track at a time, and what is made of them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiofix.audio.files import read_audio
from audiofix.audio.resample import resample
from audiofix.datasets.stems import read_stream
from audiofix.errors import InputError, SettingError
from audiofix.types import Audio

MIXTURE = "mixture"  # as a stem: the whole track


@dataclass(frozen=True)
class Clip:
    """One sound on disk: a file, or a stream of a .stem.mp4.

    `place` says where a part lies that is cut out of it: 0 at its beginning, 0.5 in the centre, 1 at its end.
    """

    path: Path
    stream: int | None = None
    place: float = 0.5

    def read(self) -> Audio:
        """The whole sound. Raises InputError."""
        return read_audio(self.path) if self.stream is None else read_stream(self.path, self.stream)


@dataclass(frozen=True)
class Track:
    """A piece of a dataset. `mixture` is None where it is the sum; `given` is a real damaged recording of it."""

    name: str
    stems: Mapping[str, Clip] = field(default_factory=dict)
    mixture: Clip | None = None
    given: Clip | None = None


@dataclass(frozen=True)
class Group:
    """A source to find: stems of the dataset that count as one, and the kind of model that is asked for it."""

    stems: tuple[str, ...]
    source: str

    @property
    def name(self) -> str:
        """Of the source in tasks and results."""
        return "+".join(self.stems)


@dataclass(frozen=True)
class Preparation:
    """What is done to every sound before anything is made of it, in this order.

    Attributes
    ----------
    rate
        Hz to resample to; None: as it came.
    mono
        Whether channels are averaged.
    peak
        Whether each sound is divided by its largest magnitude.
    seconds
        What is cut out of it, at the clip's place; None: all. A shorter sound stays whole.
    """

    rate: int | None = None
    mono: bool = False
    peak: bool = False
    seconds: float | None = None

    def __call__(self, clip: Clip) -> Audio:
        """Read a clip and prepare it."""
        audio = clip.read()
        samples, rate = audio.samples, self.rate or audio.sample_rate
        if self.mono:
            samples = samples.mean(dim=0, keepdim=True)
        samples = resample(samples, audio.sample_rate, rate)
        if self.peak:
            samples = samples / samples.abs().max().clamp(min=1e-9)
        length = samples.shape[-1] if self.seconds is None else round(self.seconds * rate)
        first = max(0, int(clip.place * (samples.shape[-1] - length)))
        return replace(audio, samples=samples[:, first : first + length], sample_rate=rate)


@dataclass(frozen=True, eq=False)
class Material:
    """One track in memory: sources by name, (channel, time) of one shape, and what was recorded."""

    clean: dict[str, Tensor]
    mixture: Tensor
    rate: int
    given: Audio | None = None

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.mixture.shape[-1] / self.rate


def load(track: Track, groups: Sequence[Group], prepare: Preparation) -> Material:
    """Read what the groups need of a track.

    Shorter sounds get silence at their end, mono ones the others' channels. The dataset's own mixture is what was
    recorded where the groups take every stem of the track once; else it is the sum of the groups.
    Raises InputError for rates or channels that do not fit, SettingError for a stem that the track has not.
    """
    check([track], groups)
    used = [stem for group in groups for stem in group.stems]
    whole = sorted(used) == sorted(track.stems) and track.mixture is not None and not prepare.peak
    names = [*dict.fromkeys(used), *([MIXTURE] if whole else [])]
    on_disk = {**track.stems, **({MIXTURE: track.mixture} if track.mixture else {})}
    clips = {name: prepare(on_disk[name]) for name in names}
    given = prepare(track.given) if track.given else None
    alike = _alike(track.name, clips)
    clean = {group.name: _sum([alike[stem] for stem in group.stems]) for group in groups}
    mixture = alike[MIXTURE] if whole else _sum(list(clean.values()))
    return Material(clean, mixture, next(iter(clips.values())).sample_rate, given)


def check(tracks: Sequence[Track], groups: Sequence[Group]) -> None:
    """Raise SettingError where a group takes a stem that a track has not."""
    for track in tracks:
        for stem in (stem for group in groups for stem in group.stems):
            if stem not in track.stems and not (stem == MIXTURE and track.mixture):
                listed = ", ".join(sorted(track.stems)) or MIXTURE
                raise SettingError(
                    f"{track.name} has no stem {stem!r}; it has {listed}: give --sources of these"
                )


def identity(tracks: Sequence[Track]) -> dict[str, str]:
    """By the name of each track a checksum of what it is made of: names and sizes of its files, wherever they lie.

    The same on each machine that has a copy of the dataset; another for other files of the same names.
    """
    return {track.name: f"{zlib.crc32(repr(_made_of(track)).encode()):08x}" for track in tracks}


def _made_of(track: Track) -> list[tuple[object, ...]]:
    clips = {**track.stems, MIXTURE: track.mixture, "given": track.given}
    return [
        (stem, clip.path.name, _size(clip.path), clip.stream, round(clip.place, 6))
        for stem, clip in sorted(clips.items())
        if clip is not None
    ]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # found out, and said, when it is read
        return None


def _alike(track: str, clips: Mapping[str, Audio]) -> dict[str, Tensor]:
    rates = {clip.sample_rate for clip in clips.values()}
    channels = {clip.channels for clip in clips.values()}
    if len(rates) > 1:
        each = ", ".join(f"{name} {clip.sample_rate}" for name, clip in clips.items())
        raise InputError(
            f"{track}: the stems have different rates ({each} Hz); give --rate to bring them to one"
        )
    if len(channels - {1}) > 1:
        raise InputError(f"{track}: the stems have {sorted(channels)} channels; give --mono to average them")
    length = max(clip.length for clip in clips.values())
    return {
        name: pad(clip.samples, (0, length - clip.length)).expand(max(channels), -1)
        for name, clip in clips.items()
    }


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return parts[0].clone() if len(parts) == 1 else torch.stack(list(parts)).sum(dim=0)


def refuse_no_folder(path: Path, unpacked: str) -> None:
    """Raise InputError for a path that is no folder; `unpacked`: what is in it."""
    if path.is_file():
        raise InputError(f"{path} is a file; unpack it, and give the folder that then holds {unpacked}")
    if not path.is_dir():
        raise InputError(f"{path} does not exist; check the name")


def parse_groups(text: str) -> list[Group]:
    """`speech=vocals,piano=drums+bass+other`, or `vocals,drums`. Raises SettingError.

    Left of = is the source of a model, right of it the stems; without = both are the same.
    """
    groups = []
    for part in text.split(","):
        source, equals, stems = (piece.strip() for piece in part.partition("="))
        names = tuple(name.strip() for name in (stems if equals else source).split("+"))
        if not all(names) or not source:
            raise SettingError(
                f"--sources {text!r}: {part.strip()!r} cannot be read; give SOURCE=STEM+STEM or STEM, with commas "
                "between them, such as speech=vocals,piano=drums+bass+other"
            )
        groups.append(Group(names, source if equals else "+".join(names)))
    if len({group.name for group in groups}) < len(groups):
        raise SettingError(f"--sources {text!r} names the same stems twice; give each once")
    return groups
