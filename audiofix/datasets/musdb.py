"""MUSDB18 (Rafii et al. 2017): 150 songs, each with drums, bass, other, vocals; .stem.mp4, or wav (MUSDB18-HQ)."""

from __future__ import annotations

from pathlib import Path

from audiofix.datasets.base import MIXTURE, Clip, Track, refuse_no_folder
from audiofix.datasets.published import published
from audiofix.errors import InputError

STEMS = ("drums", "bass", "other", "vocals")  # streams 1 to 4 of a .stem.mp4; stream 0 is the mixture
SUBSETS = ("test", "train")
HQ = "musdb18hq"  # what torchaudio calls the folder


def tracks(path: Path, subset: str = "test") -> list[Track]:
    """The songs of a subset in the order of their names, whichever layout the folder has.

    `path` holds train/ and test/, or a folder musdb18hq that does. Raises InputError.
    """
    refuse_no_folder(path, " and ".join(SUBSETS))
    root = path / HQ if (path / HQ).is_dir() else path
    folder = root / subset
    if not folder.is_dir():
        raise InputError(
            f"{path} has no folder {subset}; give the folder of MUSDB18 that holds {' and '.join(SUBSETS)}"
        )
    packed = sorted(folder.glob("*.stem.mp4"))
    found = [_packed(file) for file in packed] or [_unpacked(folder / name) for name in _songs(root, subset)]
    if not found:
        raise InputError(f"{folder} has neither .stem.mp4 files nor folders of wav files; is it MUSDB18?")
    return found


def _songs(root: Path, subset: str) -> list[str]:
    """Names in the wav layout, by torchaudio's MUSDB_HQ; by ourselves where it cannot be had.

    It looks into a folder `musdb18hq` and no other. A song is a folder that holds no folder.
    """
    theirs = published("MUSDB_HQ") if root.name == HQ else None
    if theirs is not None:
        return list(theirs(root.parent, subset).names)
    folder = root / subset
    folders = [song for song in folder.rglob("*") if song.is_dir() and not song.name.startswith(".")]
    songs = [song for song in folders if not any(inner.is_dir() for inner in song.iterdir())]
    return sorted(str(song.relative_to(folder)) for song in songs)


def _packed(file: Path) -> Track:
    clips = {name: Clip(file, number) for number, name in enumerate(STEMS, start=1)}
    return Track(file.name.removesuffix(".stem.mp4"), clips, Clip(file, 0))


def _unpacked(song: Path) -> Track:
    clips = {name: Clip(song / f"{name}.wav") for name in STEMS}
    missing = [clip.path.name for clip in clips.values() if not clip.path.is_file()]
    if missing:
        raise InputError(f"{song} lacks {', '.join(missing)}; get a whole copy of the dataset")
    mixture = song / f"{MIXTURE}.wav"
    return Track(song.name, clips, Clip(mixture) if mixture.is_file() else None)
