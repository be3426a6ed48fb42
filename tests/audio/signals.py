"""Recordings made up for tests, and the formats to write them in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

RATE = 16_000
LOSSLESS = [
    ("WAV", "PCM_U8", "wav"),
    ("WAV", "PCM_16", "wav"),
    ("WAV", "PCM_24", "wav"),
    ("WAV", "PCM_32", "wav"),
    ("WAV", "FLOAT", "wav"),
    ("WAV", "DOUBLE", "wav"),
    ("WAVEX", "PCM_24", "wav"),
    ("RF64", "PCM_16", "wav"),
    ("FLAC", "PCM_S8", "flac"),
    ("FLAC", "PCM_16", "flac"),
    ("FLAC", "PCM_24", "flac"),
    ("AIFF", "PCM_S8", "aiff"),
    ("AIFF", "PCM_16", "aiff"),
    ("AIFF", "PCM_24", "aiff"),
    ("AIFF", "FLOAT", "aiff"),
    ("CAF", "ALAC_16", "caf"),
]
LOSSY = [("OGG", "VORBIS", "ogg"), ("OGG", "OPUS", "opus"), ("MP3", "MPEG_LAYER_III", "mp3")]
INTEGERS = ["PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32"]
TAGS = {"title": "Étude", "artist": "Nobody", "date": "1999", "comment": "first take"}


def noise(channels: int = 2, length: int = 3001, peak: float = 0.999) -> Tensor:
    """Noise over the whole range, including -1 and the highest sample."""
    generator = torch.Generator().manual_seed(0)
    samples = (torch.rand(channels, length, generator=generator) * 2 - 1) * peak
    samples[0, 0], samples[0, 1] = -1.0, peak
    return samples


def tone(length: int = 16_000, peak: float = 0.5) -> Tensor:
    return peak * torch.sin(torch.arange(length) * (2 * torch.pi * 440 / RATE))[None]


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*"))
