"""How like its training data a WaveNet finds held-out clips, separated stems, and strangers; the card's least.

    python models/recipes/calibrate_likeness.py speech-wavenet piano-wavenet --others DIR

For each model: held-out clips of its source, and stems that the separator makes of mixtures of held-out clips at
0 dB. The least of a model is the second lowest stem of 24, so one good stem in 24 is warned of there. With
--others, a folder of wave files of other sounds (one kind a file, `build_strangers.py`), it is printed how many of
those stems would be warned of. `--write` puts the figure into the card.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from audiofix.hub.card import write_card
from audiofix.hub.registry import load_prior, resolve_model
from audiofix.likeness import LEAST, likeness
from audiofix.runtime.devices import has_native_bf16, pick_device
from audiofix.training.data import Folder

LENGTH, COUNT, PER_STRANGER = 40960, 24, 4


def clips(folder: Folder, count: int, generator: np.random.Generator) -> Tensor:
    """(count, time) windows at RMS 0.1; pauses are passed over."""
    found: list[Tensor] = []
    while len(found) < count:
        clip = folder.window(LENGTH, generator)
        rms = float(clip.square().mean()) ** 0.5
        if rms > 3e-3:
            found.append(clip * (0.1 / rms))
    return torch.stack(found)


def judged(prior, waves: Tensor) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Likeness of each wave, bits a sample, lowest first."""
    return np.sort([likeness(prior, wave, torch.Generator().manual_seed(0)) for wave in waves])


def main() -> None:
    """Measure, print, and write into the cards where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="WaveNets, in the order of the separator's sources")
    parser.add_argument("--separator", default="speech-piano")
    parser.add_argument("--corpora", type=Path, default=Path("corpora"))
    parser.add_argument("--others", type=Path, help="wave files at 16 kHz of other sounds")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    device = pick_device("cpu")
    bf16 = has_native_bf16(device)
    homes = [resolve_model(name) for name in options.models]
    priors = [load_prior(home, device, bf16=bf16) for _, home in homes]
    posterior = load_prior(options.separator, device, bf16=bf16)
    generator = np.random.default_rng(3)
    folders = [Folder([options.corpora / card.source / "valid"], 16000) for card, _ in homes]
    clean = torch.stack([clips(folder, COUNT, generator) for folder in folders], dim=1)

    def separated(sources: Tensor) -> Tensor:
        blank = torch.zeros(1, *sources.shape[1:])
        return torch.cat([posterior.denoise(blank, s.sum(dim=0)[None], math.inf) for s in sources])

    stems = separated(clean)
    noise = torch.randn(PER_STRANGER, LENGTH, generator=torch.Generator().manual_seed(1))
    strangers: dict[str, Tensor] = {"white noise": 0.1 * noise}
    for path in sorted(options.others.glob("*.wav")) if options.others else []:
        wave = torch.from_numpy(soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1))
        parts = wave[: len(wave) // LENGTH * LENGTH].reshape(-1, LENGTH)[:PER_STRANGER]
        strangers[path.stem] = parts * (0.1 / parts.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-4))
    for index, ((card, home), prior) in enumerate(zip(homes, priors, strict=True)):
        known, own = judged(prior, clean[:, index]), judged(prior, stems[:, index])
        least = round(float(own[1]), 2)
        print(f"{card.name}: clean {known[0]:.2f} … {np.median(known):.2f} … {known[-1]:.2f}, "
              f"stems {own[0]:.2f} … {np.median(own):.2f} … {own[-1]:.2f}, least {least:.2f}")  # fmt: skip
        for name, waves in strangers.items():
            mixed = clean[: len(waves)].clone()
            mixed[:, index] = waves
            seen = judged(prior, separated(mixed)[:, index])
            warned = f"{int((seen < least).sum())} of {len(seen)}"
            print(f"  {name:12s} stems {seen[0]:.2f} … {seen[-1]:.2f}: warned {warned}")
        if options.write:
            write_card(replace(card, validation={**card.validation, LEAST: least}), home)


if __name__ == "__main__":
    main()
