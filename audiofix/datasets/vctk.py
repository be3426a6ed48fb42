"""VCTK 0.92 (Yamagishi et al. 2019) by the protocol of Jayaram & Thickstun 2021: four speakers, with pianos."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from audiofix.datasets.base import Clip, Track, refuse_no_folder
from audiofix.datasets.folder import audio_files
from audiofix.datasets.published import published
from audiofix.errors import InputError, SettingError

SPEAKERS = ("p345", "p361", "p362", "p374")
CLIPS = 25  # of each speaker
RATE = 22050  # Hz
SECONDS = 3.0
FACTORS = "4,8,16"  # of super-resolution
CORPUS = "VCTK-Corpus-0.92"
AUDIO, TEXT = "wav48_silence_trimmed", "txt"


def tracks(
    path: Path,
    piano: Path | None = None,
    *,
    seed: int = 0,
    clips: int = CLIPS,
    seconds: float = SECONDS,
    mic: str = "mic1",
) -> list[Track]:
    """`clips` utterances of each test speaker, at least so long, each with a place in a piano recording.

    The speakers take turns. Which utterances, which recordings and where in them is drawn from the seed; a piano
    file comes again once all were taken. Raises InputError, SettingError.
    """
    generator = np.random.default_rng(seed)
    utterances = _utterances(path, mic)
    pianos = [file for file in audio_files(piano) if _seconds(file) >= seconds] if piano else []
    if piano and not pianos:
        raise InputError(
            f"{piano} holds no recording of {seconds:g} s or more; give a folder of piano recordings"
        )
    chosen = [_drawn(utterances[speaker], clips, seconds, generator) for speaker in SPEAKERS]
    counts = dict(zip(SPEAKERS, map(len, chosen), strict=True))
    if (least := min(counts.values())) < clips:
        listed = ", ".join(f"{speaker} {count}" for speaker, count in counts.items() if count < clips)
        remedy = f"--clips {least}, or shorter --seconds" if least else "shorter --seconds"
        raise SettingError(f"too few utterances of {seconds:g} s or more: {listed}; give {remedy}")
    found: list[Track] = []
    order: list[Path] = []
    for file in (file for four in zip(*chosen, strict=True) for file in four):
        stems = {"speech": Clip(file, place=0.5)}
        if pianos:
            order = order or [pianos[i] for i in generator.permutation(len(pianos))]
            stems["piano"] = Clip(order.pop(), place=float(generator.random()))
        found.append(Track(file.stem.removesuffix(f"_{mic}"), stems))
    return found


def _drawn(files: Sequence[Path], clips: int, seconds: float, generator: np.random.Generator) -> list[Path]:
    """So many of a speaker's utterances that are long enough, or all of them."""
    shuffled = (files[i] for i in generator.permutation(len(files)))
    return list(itertools.islice((file for file in shuffled if _seconds(file) >= seconds), clips))


def _utterances(path: Path, mic: str) -> dict[str, list[Path]]:
    """Files of each test speaker that have a transcript, in order. Raises InputError."""
    refuse_no_folder(path, f"{AUDIO} and {TEXT}")
    root = path / CORPUS if (path / CORPUS).is_dir() else path
    for folder in (AUDIO, TEXT):
        if not (root / folder).is_dir():
            raise InputError(
                f"{path} holds no {CORPUS}/{folder}; give the folder that the corpus was unpacked into"
            )
    files: dict[str, list[Path]] = {speaker: [] for speaker in SPEAKERS}
    for speaker, number in _listed(root, mic):
        file = root / AUDIO / speaker / f"{speaker}_{number}_{mic}.flac"
        if speaker in files and file.is_file():
            files[speaker].append(file)
    missing = [speaker for speaker, found in files.items() if not found]
    if missing:
        raise InputError(f"{path} has no recordings of {', '.join(missing)} by {mic}; unpack {CORPUS} again")
    return files


def _listed(root: Path, mic: str) -> list[tuple[str, str]]:
    """Speaker and number of what has a transcript, by torchaudio's VCTK_092; by ourselves where it cannot be had.

    It looks into a folder VCTK-Corpus-0.92 and no other, and lists all 110 speakers.
    """
    theirs = published("VCTK_092") if root.name == CORPUS else None
    if theirs is not None:
        with contextlib.suppress(OSError):  # a file of a desktop's among the folders of transcripts
            listed = getattr(theirs(str(root.parent), mic_id=mic), "_sample_ids", None)
            if listed:  # it has no other list
                return [(str(speaker), str(number)) for speaker, number in listed]
    texts = (sorted((root / TEXT / speaker).glob(f"{speaker}_*.txt")) for speaker in SPEAKERS)
    return [
        (speaker, text.stem.removeprefix(f"{speaker}_"))
        for speaker, of_one in zip(SPEAKERS, texts, strict=True)
        for text in of_one
    ]


def _seconds(file: Path) -> float:
    try:
        return float(soundfile.info(file).duration)
    except soundfile.SoundFileError as error:
        raise InputError(f"{file} cannot be read as audio; get a whole copy of the file") from error
