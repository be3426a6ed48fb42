"""The pictures of the pages on restoring: a shipped sample, damaged, through each command with --plot.

python docs/pictures.py            docs/plots/{upsample,inpaint,declip,dequantise,denoise,restore}.png
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from PIL import Image

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "samples" / "speech.wav"
Wave = np.ndarray


def _gaps(x: Wave) -> Wave:
    x = x.copy()
    for start, stop in ((1.0, 1.03), (2.2, 2.25)):
        x[int(16000 * start) : int(16000 * stop)] = 0
    return x


def _clipped(x: Wave) -> Wave:
    level = 0.25 * np.abs(x).max()
    return np.clip(x, -level, level)


def _noisy(x: Wave) -> Wave:
    noise = np.random.default_rng(0).standard_normal(len(x))
    return x + 10 ** (-10 / 20) * np.sqrt(np.mean(x**2)) * noise


def _low(x: Wave) -> Wave:
    return scipy.signal.sosfiltfilt(scipy.signal.cheby2(16, 80, 2200, output="sos", fs=16000), x)


# Command with its options, and how the sample is damaged: at 16 kHz, but for what is upsampled.
PAGES: dict[str, tuple[list[str], Callable[[Wave], Wave], int]] = {
    "upsample": (["upsample", "--to", "16000"], lambda x: scipy.signal.resample_poly(x, 1, 2), 8000),
    "inpaint": (["inpaint", "--auto-gaps"], _gaps, 16000),
    "declip": (["declip"], _clipped, 16000),
    "dequantise": (["dequantise", "--bits", "6"], lambda x: np.round(32 * x) / 32, 16000),
    "denoise": (["denoise"], _noisy, 16000),
    "restore": (["restore", "--ops", "lowpass:2000 | clip:auto"], lambda x: _clipped(_low(x)), 16000),
}


def main() -> None:
    """Damage, restore, keep the picture."""
    clean, rate = soundfile.read(SAMPLE)
    (HERE / "plots").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (words, damage, kept) in PAGES.items():
            path = Path(folder, f"{name}.wav")
            soundfile.write(path, damage(clean), kept, subtype="FLOAT")
            reference = ["--reference", str(SAMPLE)] if rate == 16000 else []
            command, *options = words
            run = [sys.executable, "-m", "audiofix", command, str(path), *options, "--plot", *reference]
            print(
                f"$ audiofix {command} {path.name} {' '.join(options)} --plot --reference speech.wav",
                flush=True,
            )
            subprocess.run([*run, "-o", str(Path(folder, "out"))], check=True)
            # A tenth of the size, and no different to the eye.
            picture = Image.open(Path(folder, "out", f"{name}.png")).convert("RGB").resize((800, 640))
            picture.quantize(64).save(HERE / "plots" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
