"""Miniature VCTK and MUSDB18 trees in their true layouts: names, rates, channels and containers as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

SPEAKERS = ("p225", "p226", "p227", "p228", "p345", "p362", "s5")
STEMS = ("mixture", "drums", "bass", "other", "vocals")
TRACKS = ("A Classic Education - NightOwl", "ANiMAL - Hello", "ANiMAL - Rockshow", "Meaxic - Take A Step")


def tone(hertz: float, seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """(time, channel): a tone, in the second channel at half its amplitude."""
    wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave / (1 + channel) for channel in range(channels)], axis=1)


def make_vctk(root: Path, seconds: float = 0.5, each: int = 2) -> Path:
    """VCTK-Corpus-0.92 with both microphones; a speaker's tone is higher than the one before."""
    for place, speaker in enumerate(SPEAKERS):
        folder = root / "VCTK-Corpus-0.92" / "wav48_silence_trimmed" / speaker
        folder.mkdir(parents=True)
        for number in range(1, each + 1):
            for microphone in ("mic1", "mic2"):
                wave = tone(200 + 100 * place, seconds, 48000)
                soundfile.write(folder / f"{speaker}_{number:03}_{microphone}.flac", wave, 48000)
    (root / "VCTK-Corpus-0.92" / "wav48_silence_trimmed" / "log.txt").write_text("as in the archive")
    return root


def make_musdb(root: Path, seconds: float = 0.5) -> Path:
    """musdb18hq: train and test, five stereo wavs a track; each stem has a tone of its own."""
    for part, tracks in (("train", TRACKS), ("test", ("Al James - Schoolboy Facination",))):
        for track in tracks:
            folder = root / part / track
            folder.mkdir(parents=True)
            waves = {stem: tone(300 * (i + 1), seconds, 44100, 2) for i, stem in enumerate(STEMS[1:])}
            for stem, wave in {"mixture": sum(waves.values()), **waves}.items():
                soundfile.write(folder / f"{stem}.wav", wave, 44100)
    return root
