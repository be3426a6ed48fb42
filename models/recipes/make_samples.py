"""Cut samples/{speech,piano,mix}.wav from the held-out splits of the corpora.

Speech: Carlo (Asterisk core sounds it, CC-BY-3.0), a speaker in no training set, prompt `vm-review`.
Piano: The Entertainer (Mutopia, public domain), a piece in no training set, rendered from the Salamander Grand
Piano (A. Holm, CC-BY-3.0).

    python models/recipes/make_samples.py --corpora corpora --out samples
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile

RATE, SECONDS = 16000, 4.0
SPEECH_FILE, SPEECH_SPLIT = "vm-review.g722", "test_spk"
PIANO_FILE, PIANO_START = "test_file/salamander_001.wav", 85.0
RMS = 0.08  # leaves the sum's peaks below full scale


def find_prompt(corpus: Path) -> tuple[Path, int]:
    """Where the prompt lies in the speech corpus: file and first sample."""
    with (corpus / "manifest.tsv").open() as manifest:
        for row in csv.reader(manifest, delimiter="\t"):
            if row[0] == SPEECH_SPLIT and row[4].endswith("/" + SPEECH_FILE):
                return corpus / row[1], int(row[5])
    raise SystemExit(f"{corpus}/manifest.tsv has no {SPEECH_FILE}; build the speech corpus first")


def clip(path: Path, start: int) -> np.ndarray:
    """Four seconds at the common RMS."""
    audio, rate = soundfile.read(path, int(RATE * SECONDS), start)
    if rate != RATE or len(audio) != int(RATE * SECONDS):
        raise SystemExit(f"{path}: expected {SECONDS} s at {RATE} Hz from sample {start}")
    return audio * (RMS / np.sqrt(np.mean(audio**2)))


def main() -> None:
    """Write the three files as 16-bit PCM; the mixture is the exact sum of the other two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=Path, default=Path("corpora"))
    parser.add_argument("--out", type=Path, default=Path("samples"))
    options = parser.parse_args()
    sources = {
        "speech": clip(*find_prompt(options.corpora / "speech")),
        "piano": clip(options.corpora / "piano" / PIANO_FILE, int(PIANO_START * RATE)),
    }
    steps = {name: np.round(audio * 32768).astype(np.int32) for name, audio in sources.items()}
    steps["mix"] = steps["speech"] + steps["piano"]
    options.out.mkdir(parents=True, exist_ok=True)
    for name, values in steps.items():
        if np.abs(values).max() > 32767:
            raise SystemExit(f"{name} clips; lower RMS")
        soundfile.write(options.out / f"{name}.wav", values.astype(np.int16), RATE, "PCM_16")
        print(f"{name}.wav: {SECONDS} s, peak {np.abs(values).max() / 32768:.2f}")


if __name__ == "__main__":
    main()
