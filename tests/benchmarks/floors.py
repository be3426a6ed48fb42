"""How bright and quiet the fixed clips are beside held-out ones: `python -m tests.benchmarks.floors speech DIR`.

Levels of bands, dB: 10 log10 of a 2048-point Hann spectrum's power at RMS 0.1, as in the log-spectral distance.
The mean over bins and frames, and the 5th percentile, which is the floor in pauses; medians over clips.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

BANDS = ((2000, 4000), (4000, 6000), (6000, 7500), (7500, 8000))
WINDOW, HOP = 2048, 512


def levels(path: Path) -> list[tuple[float, float]]:
    """Mean and 5th percentile of each band."""
    samples, rate = soundfile.read(path, always_2d=True)
    mono = samples[:, 0] * 0.1 / np.sqrt(np.mean(samples[:, 0] ** 2))
    frames = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = 10 * np.log10(np.abs(np.fft.rfft(frames)) ** 2 + 1e-8)
    cut = [power[:, round(low * WINDOW / rate) : round(high * WINDOW / rate)] for low, high in BANDS]
    return [(float(band.mean()), float(np.percentile(band, 5))) for band in cut]


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("domain", choices=["speech", "piano"])
    parser.add_argument("folder", type=Path, help="held-out recordings: corpora/speech/valid")
    parser.add_argument("--clips", type=int, default=64)
    options = parser.parse_args()
    fixed = sorted((Path(__file__).parent / "eval" / options.domain).glob("*.flac"))
    held = sorted(file for file in options.folder.rglob("*") if file.suffix in (".wav", ".flac"))
    held = held[:: max(1, len(held) // options.clips)]
    for name, files in (("fixed", fixed), ("held out", held)):
        middle = np.median([levels(file) for file in files], axis=0)
        cells = [f"{mean:6.1f} {floor:6.1f}" for mean, floor in middle]
        print(f"{name:9} " + " | ".join(cells))


if __name__ == "__main__":
    main()
