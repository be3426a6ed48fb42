"""MUSDB18 (Rafii et al. 2017): 150 songs, each with drums, bass, other, vocals; .stem.mp4, or wav (MUSDB18-HQ)."""

from __future__ import annotations

from pathlib import Path

from audiofix.datasets.base import MIXTURE, Clip, Track
from audiofix.errors import InputError

STEMS = ("drums", "bass", "other", "vocals")  # streams 1 to 4 of a .stem.mp4; stream 0 is the mixture
SUBSETS = ("test", "train")
HQ = "musdb18hq"  # what torchaudio calls the folder


def tracks(path: Path, subset: str = "test") -> list[Track]:
    """The songs of a subset in the order of their names, whichever layout the folder has.

    `path` holds train/ and test/, or a folder musdb18hq that does. Raises InputError.
    """
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
    """Names in the wav layout.

    As torchaudio's MUSDB_HQ lists them, which cannot be relied on: it wants a folder of one name, reads by
    TorchCodec and ffmpeg, and a torchaudio that does not fit torch's build cannot be imported at all.
    """
    return sorted(song.name for song in (root / subset).iterdir() if (song / f"{STEMS[0]}.wav").is_file())


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
