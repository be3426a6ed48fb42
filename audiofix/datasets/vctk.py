"""VCTK 0.92 (Yamagishi et al. 2019) by the protocol of Jayaram & Thickstun 2021: four speakers, with pianos."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from audiofix.datasets.base import Clip, Track
from audiofix.datasets.folder import audio_files
from audiofix.errors import InputError, SettingError

SPEAKERS = ("p345", "p361", "p362", "p374")
CLIPS = 25  # of each speaker
RATE = 22050  # Hz
SECONDS = 3.0
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
    chosen = [_drawn(speaker, utterances[speaker], clips, seconds, generator) for speaker in SPEAKERS]
    found: list[Track] = []
    order: list[Path] = []
    for file in (file for four in zip(*chosen, strict=True) for file in four):
        stems = {"speech": Clip(file, place=0.5)}
        if pianos:
            order = order or [pianos[i] for i in generator.permutation(len(pianos))]
            stems["piano"] = Clip(order.pop(), place=float(generator.random()))
        found.append(Track(file.stem.removesuffix(f"_{mic}"), stems))
    return found


def _drawn(
    speaker: str, files: Sequence[Path], clips: int, seconds: float, generator: np.random.Generator
) -> list[Path]:
    """So many of a speaker's utterances that are long enough."""
    shuffled = (files[i] for i in generator.permutation(len(files)))
    long = list(itertools.islice((file for file in shuffled if _seconds(file) >= seconds), clips))
    if len(long) < clips:
        raise SettingError(
            f"{speaker} has {len(long)} utterances of {seconds:g} s or more; give --clips {len(long)}, or shorter "
            "--seconds"
        )
    return long


def _utterances(path: Path, mic: str) -> dict[str, list[Path]]:
    """Files of each test speaker that have a transcript, in order, as torchaudio's VCTK_092 lists them.

    That class is not used: see `audiofix.datasets.musdb`.
    """
    root = path / CORPUS if (path / CORPUS).is_dir() else path
    if not (root / AUDIO).is_dir():
        raise InputError(
            f"{path} holds no {CORPUS}/{AUDIO}; give the folder that the corpus was unpacked into"
        )
    files: dict[str, list[Path]] = {}
    for speaker in SPEAKERS:
        texts = sorted((root / TEXT / speaker).glob("*.txt"))
        named = [root / AUDIO / speaker / f"{text.stem}_{mic}.flac" for text in texts]
        files[speaker] = [file for file in named if file.is_file()]
    missing = [speaker for speaker, found in files.items() if not found]
    if missing:
        raise InputError(f"{path} has no recordings of {', '.join(missing)} by {mic}; unpack {CORPUS} again")
    return files


def _seconds(file: Path) -> float:
    try:
        return float(soundfile.info(file).duration)
    except soundfile.SoundFileError as error:
        raise InputError(f"{file} cannot be read as audio; get a whole copy of the file") from error
