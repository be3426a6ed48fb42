"""Known sets of recordings: what `vctk:PATH`, `musdb:PATH#vocals` and `folder:PATH` mean, and who is held out.

A set's test part is never listed, so nothing can be trained on it or chosen by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiofix.errors import InputError, SettingError

SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif")
HELD_OUT = 0.05  # share of speakers or files that only validate
# The 14 tracks of MUSDB18's train part that its own tools validate on (package musdb, configs/mus.yaml).
MUSDB_VALID = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)
STREAMS = ("mixture", "drums", "bass", "other", "vocals")  # in this order in a .stem.mp4
# Separation by PnF is measured on these speakers (Jayaram & Thickstun 2021): neither trained nor validated on.
VCTK_TEST = frozenset({"p345", "p361", "p362", "p374"})
MICROPHONES = ("mic1", "mic2")


@dataclass(frozen=True)
class Part:
    """A file, and the number of the stream in it where it holds several (.stem.mp4)."""

    path: Path
    stream: int | None = None


Clip = tuple[Part, ...]  # what is summed to one clip of a source


@dataclass(frozen=True)
class SetSpec:
    """A set as the user names it. `chosen`: stems of musdb, the microphone of vctk; empty otherwise."""

    kind: str
    root: Path
    chosen: tuple[str, ...] = ()


def is_set(text: str) -> bool:
    """Whether a text names a set rather than a plain folder."""
    return text.split(":", 1)[0] in KINDS and ":" in text


def parse_set(text: str) -> SetSpec:
    """`kind:PATH` or `kind:PATH#stem+stem`. Raises SettingError that lists what is possible."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in KINDS or not rest:
        raise SettingError(
            f"--data {text}: not a set; give vctk:PATH, musdb:PATH#vocals (or #drums+bass) or folder:PATH"
        )
    # Any name may stand in a folder's path.
    path, _, names = (rest, "", "") if kind == "folder" else rest.partition("#")
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split("+") if name.strip()))
    possible = {"vctk": MICROPHONES, "musdb": STREAMS}.get(kind, ())
    wrong = [name for name in chosen if name not in possible]
    if wrong or (kind == "musdb" and not chosen) or (kind == "vctk" and len(chosen) > 1):
        raise SettingError(
            f"{text}: after # one of {', '.join(possible)}"
            + (", or several with + between them" if kind == "musdb" else "")
        )
    return SetSpec(kind, Path(path).expanduser(), chosen)


def clips_of(text: str, part: str, split: bool = True) -> list[Clip]:
    """The clips of a set's "train" or "valid" part, in a fixed order.

    `split`: whether the parts of a `folder:` are told apart by the hash of each file's relative path; without it
    all of it is taken. Sets with a split of their own keep to it.

    Raises InputError where the layout is another one, or where nothing is found.
    """
    spec = parse_set(text)
    clips = KINDS[spec.kind](spec, part, split)
    if not clips:
        raise InputError(
            f"{text} holds nothing for {part}; give more recordings, or another set to validate on"
        )
    return clips


def held_out(names: Iterable[str], share: float = HELD_OUT) -> set[str]:
    """The names whose SHA-256 lies in the lowest `share`, whatever the others are; the lowest one if none does."""
    places = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64 for name in names}
    chosen = {name for name, place in places.items() if place < share}
    return chosen or ({min(places, key=places.__getitem__)} if places else set())


def _vctk(spec: SetSpec, part: str, _split: bool) -> list[Clip]:
    """VCTK 0.92: wav48_silence_trimmed/p225/p225_001_mic1.flac. Whole speakers are held out."""
    home = _inside(spec.root, ("", "VCTK-Corpus-0.92"), "wav48_silence_trimmed")
    speakers = {p.name for p in home.iterdir() if p.is_dir()} - VCTK_TEST
    wanted = _side(speakers, held_out(speakers), part)
    microphone = spec.chosen[0] if spec.chosen else MICROPHONES[0]
    files = (f for name in wanted for f in sorted((home / name).glob(f"{name}_*_{microphone}.flac")))
    return [(Part(file),) for file in files]


def _musdb(spec: SetSpec, part: str, _split: bool) -> list[Clip]:
    """MUSDB18-HQ: train/TRACK/vocals.wav; MUSDB18: train/TRACK.stem.mp4. The test folder is not looked at."""
    home = _inside(spec.root, ("", "musdb18hq", "musdb18"), "train")
    mp4 = {p.name.removesuffix(".stem.mp4"): p for p in home.glob("*.stem.mp4")}
    names = {p.name for p in home.iterdir() if p.is_dir()} | set(mp4)
    # A part of the set, such as a sample of it, may lack all 14.
    clips = []
    for name in _side(names, names & MUSDB_VALID or held_out(names), part):
        if (home / name).is_dir():
            parts = tuple(Part(home / name / f"{stem}.wav") for stem in spec.chosen)
        else:
            parts = tuple(Part(mp4[name], STREAMS.index(stem)) for stem in spec.chosen)
        missing = [str(p.path) for p in parts if not p.path.is_file()]
        if missing:
            raise InputError(f"{missing[0]} is missing; unpack MUSDB18 anew, or take the track's folder away")
        clips.append(parts)
    return clips


def _folder(spec: SetSpec, part: str, split: bool) -> list[Clip]:
    """Every audio file below a folder."""
    if not spec.root.is_dir():
        raise InputError(f"{spec.root} is not a folder; give folder:PATH with a folder of audio files")
    files = {
        p.relative_to(spec.root).as_posix(): p for p in spec.root.rglob("*") if p.suffix.lower() in SUFFIXES
    }
    if not files:
        raise InputError(f"{spec.root} holds no audio ({', '.join(SUFFIXES)}); give another folder")
    names = _side(files, held_out(files), part) if split else sorted(files)
    return [(Part(files[name]),) for name in names]


KINDS = {"vctk": _vctk, "musdb": _musdb, "folder": _folder}


def _side(names: Collection[str], valid: set[str], part: str) -> Sequence[str]:
    """The names that train, or those that validate, sorted."""
    return sorted(valid if part == "valid" else set(names) - valid)


def _inside(root: Path, above: Sequence[str], folder: str) -> Path:
    """`folder` in the root, or in the folder that the set's archive unpacks to. Raises InputError."""
    if not root.is_dir():
        raise InputError(f"{root} {'is no folder' if root.exists() else 'does not exist'}; check the name")
    for home in above:
        if (root / home / folder).is_dir():
            return root / home / folder
    raise InputError(f"{root} has no folder {folder}; give the folder that the set was unpacked to")


def told_of(texts: Iterable[str]) -> tuple[dict[str, str], ...]:
    """What a model's card says of sets: source and licence of each."""
    known = {
        "vctk": (
            "CSTR VCTK Corpus 0.92, without p345, p361, p362, p374 and the validation speakers",
            "CC-BY-4.0",
        ),
        "musdb": (
            "MUSDB18, train part without the validation tracks",
            "academic use only, each track its own",
        ),
    }
    specs = dict.fromkeys((spec.kind, spec.root.name) for spec in map(parse_set, texts))
    found = [known.get(kind, (f"recordings in a folder {name}", "unstated")) for kind, name in specs]
    return tuple({"source": source, "licence": licence} for source, licence in dict.fromkeys(found))
