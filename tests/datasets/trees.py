"""Miniature datasets in the layouts of the real ones, of tones and noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

STEMS = ("drums", "bass", "other", "vocals")


def sound(number: int, seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """(time, channel) float32: a tone and noise that no other number has, peak below 0.2."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(number).standard_normal((len(time), channels)).clip(-4, 4)
    tone = np.sin(2 * np.pi * (110 + 57 * number) * time)[:, None] + np.zeros((1, channels))
    return (0.1 * tone + 0.02 * noise).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path


def folder_tree(
    root: Path, tracks: int = 2, stems: tuple[str, ...] = ("speech", "piano"), seconds: float = 0.5
) -> Path:
    """TRACK/STEM.wav, mono, 16 kHz."""
    for number in range(tracks):
        for index, stem in enumerate(stems):
            write(root / f"track {number}" / f"{stem}.wav", sound(7 * number + index, seconds, 16000), 16000)
    return root


def musdb_wav(root: Path, subset: str = "test", songs: int = 2, seconds: float = 0.25) -> Path:
    """MUSDB18-HQ: SUBSET/SONG/{mixture,drums,bass,other,vocals}.wav, stereo, 44.1 kHz."""
    for number in range(songs):
        folder = root / subset / f"Artist - Song {number}"
        stems = [sound(10 * number + k, seconds, 44100, 2) for k in range(4)]
        for name, samples in zip(STEMS, stems, strict=True):
            write(folder / f"{name}.wav", samples, 44100)
        write(folder / "mixture.wav", sum(stems), 44100)
    return root


def musdb_packed(root: Path, subset: str = "test", songs: int = 1, seconds: float = 0.25) -> Path:
    """MUSDB18: SUBSET/SONG.stem.mp4 of five AAC streams, written by PyAV."""
    import av

    (root / subset).mkdir(parents=True)
    for number in range(songs):
        stems = [sound(10 * number + k, seconds, 44100, 2) for k in range(4)]
        with av.open(str(root / subset / f"Artist - Song {number}.stem.mp4"), "w", format="mp4") as file:
            streams = [file.add_stream("aac", rate=44100, layout="stereo", bit_rate=256000) for _ in range(5)]
            for stream, samples in zip(streams, [sum(stems), *stems], strict=True):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", "stereo")
                frame.sample_rate = 44100
                for packet in [*stream.encode(frame), *stream.encode(None)]:
                    file.mux(packet)
    return root


def vctk(root: Path, clips: int = 3, seconds: float = 0.5) -> Path:
    """VCTK-Corpus-0.92: txt, speaker-info, and flac at 48 kHz of both microphones; one utterance is short."""
    corpus = root / "VCTK-Corpus-0.92"
    for speaker_number, speaker in enumerate(("p225", "p345", "p361", "p362", "p374")):
        for clip in range(1, clips + 2):
            name = f"{speaker}_{clip:03d}"
            text = corpus / "txt" / speaker / f"{name}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("Please call Stella.\n", encoding="utf-8")
            length = 0.1 if clip > clips else seconds
            for mic in ("mic1", "mic2"):
                wave = sound(20 * speaker_number + clip + 1000 * (mic == "mic2"), length, 48000)
                write(corpus / "wav48_silence_trimmed" / speaker / f"{name}_{mic}.flac", wave, 48000)
    (corpus / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS\np225  23  F  English\n", encoding="utf-8"
    )
    return root


def pianos(root: Path, files: int = 2, seconds: float = 1.0) -> Path:
    """Recordings at another rate, stereo."""
    for number in range(files):
        write(root / f"piano {number}.wav", sound(500 + number, seconds, 32000, 2), 32000)
    return root
