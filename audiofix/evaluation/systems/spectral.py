"""Separation of spectra without training: harmonic and percussive parts, non-negative factors. By librosa.

Both know nothing of voices or pianos, so what goes to which source is a rule: sounds of steady pitch are the
instrument, all else is the voice, or the drums. NMF comes twice: by that rule, and as an oracle told which of its
components belongs to which source, which says what the factors could do at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.evaluation.systems.base import Task
from audiofix.evaluation.systems.roles import DRUMS, VOICES, parts, the_other

COMPONENTS, ROUNDS = 32, 200
SECONDS = 0.064  # of a window, rounded to a power of two; hop a quarter
TINY = 1e-10

Magnitudes = NDArray[np.floating]  # (bin, frame), >= 0


def unsteady_and_steady(sources: Collection[str], system: str) -> tuple[str, str]:
    """Of two sources the one without steady pitch, voice or drums, then the other. Raises SettingError."""
    drums = any(set(parts(source)) <= set(DRUMS) for source in sources)
    names = DRUMS if drums else VOICES
    return the_other(sources, names, system, "a voice or drums")


def frame_of(rate: int) -> int:
    """Samples of a window: 1024 at 16 kHz."""
    return int(2 ** round(np.log2(SECONDS * rate)))


def spectrum(channel: Tensor, rate: int) -> NDArray[np.complexfloating]:
    """(time,) to (bin, frame)."""
    import librosa

    frame = frame_of(rate)
    found: NDArray[np.complexfloating] = librosa.stft(channel.numpy(), n_fft=frame, hop_length=frame // 4)
    return found


def waves(
    mixture: NDArray[np.complexfloating], powers: list[Magnitudes], rate: int, length: int
) -> list[Tensor]:
    """The mixture's spectrum divided in the ratio of the powers: (time,) for each; they add up to the mixture."""
    import librosa

    total = np.sum(powers, axis=0) + len(powers) * TINY
    hop = frame_of(rate) // 4
    divided = [mixture * ((power + TINY) / total) for power in powers]
    return [torch.from_numpy(librosa.istft(part, hop_length=hop, length=length)) for part in divided]


def factors(magnitudes: Magnitudes, seed: int) -> tuple[Magnitudes, Magnitudes]:
    """Templates (bin, component) and their gains (component, frame), whose product is near the magnitudes.

    Non-negative factorisation for the Kullback-Leibler divergence (Lee & Seung 2001), from random numbers.
    """
    import librosa
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    how = NMF(
        COMPONENTS,
        init="random",
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=ROUNDS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the rounds are a setting
        found: tuple[Magnitudes, Magnitudes] = librosa.decompose.decompose(magnitudes, transformer=how)
    return found


def restlessness(gains: Magnitudes) -> Magnitudes:
    """Change of each component's gain from frame to frame, relative to its sum: (component,), 0 to 2."""
    changes: Magnitudes = np.abs(np.diff(gains, axis=1)).sum(axis=1) / (gains.sum(axis=1) + TINY)
    return changes


@dataclass(frozen=True)
class Hpss:
    """Median filters along time and frequency (Fitzgerald 2010; Driedger, Müller & Disch 2014, margin 1).

    The harmonic part is the instrument, and the percussive part the voice, or the drums where there are any.
    """

    name: str = "hpss"
    kinds: frozenset[str] = frozenset({"separate"})
    oracle: bool = False

    def check(self, _kind: str, names: Sequence[str]) -> None:
        """Raises SettingError for sources that it cannot tell apart."""
        unsteady_and_steady(names, self.name)

    def run(self, task: Task) -> dict[str, Tensor]:
        """Two sources. Raises SettingError for others."""
        import librosa

        unsteady, steady = unsteady_and_steady(list(task.clean), self.name)
        samples, rate = task.given.samples.float(), task.rate
        frame = frame_of(rate)
        found = {
            name: torch.from_numpy(np.ascontiguousarray(part))
            for name, part in zip(
                (steady, unsteady),
                librosa.effects.hpss(samples.numpy(), n_fft=frame, hop_length=frame // 4),
                strict=True,
            )
        }
        return {name: found[name] for name in task.clean}


@dataclass(frozen=True)
class Nmf:
    """Factors of the mixture's magnitudes (Smaragdis & Brown 2003), their shares as a mask; channel by channel.

    Of 32 components the half whose gains change least from frame to frame is the instrument, whose notes go on;
    the other half is the voice or the drums.
    As an oracle: each component goes to the source that fills more of its cells.
    """

    name: str = "nmf"
    kinds: frozenset[str] = frozenset({"separate"})
    oracle: bool = False

    def check(self, _kind: str, names: Sequence[str]) -> None:
        """Raises SettingError for sources that it cannot tell apart."""
        if not self.oracle:
            unsteady_and_steady(names, self.name)

    def run(self, task: Task) -> dict[str, Tensor]:
        """Two sources, as an oracle any. Raises SettingError for others."""
        names = list(task.clean)
        if not self.oracle:
            unsteady, steady = unsteady_and_steady(names, self.name)
            names = [steady, unsteady]
        channels = []
        for index, channel in enumerate(task.given.samples.float()):
            mixture = spectrum(channel, task.rate)
            templates, gains = factors(np.abs(mixture), task.seed)
            if self.oracle:
                truth = [np.abs(spectrum(task.clean[name][index].float(), task.rate)) for name in names]
                places = nearest(templates, gains, truth)
            else:
                places = (np.argsort(np.argsort(restlessness(gains))) >= COMPONENTS // 2).astype(int)
            powers = [(templates[:, places == i] @ gains[places == i]) ** 2 for i in range(len(names))]
            channels.append(waves(mixture, powers, task.rate, len(channel)))
        found = dict(zip(names, [torch.stack(each) for each in zip(*channels, strict=True)], strict=True))
        return {name: found[name] for name in task.clean}


def nearest(templates: Magnitudes, gains: Magnitudes, truth: list[Magnitudes]) -> NDArray[np.intp]:
    """For each component the source with the largest product with it, (component,)."""
    products = [np.einsum("bk,kt,bt->k", templates, gains, part, optimize=True) for part in truth]
    found: NDArray[np.intp] = np.argmax(products, axis=0)
    return found


def nmf_oracle() -> Nmf:
    """NMF told which component belongs where."""
    return Nmf("nmf-oracle", oracle=True)


def nmf() -> Nmf:
    """NMF that knows nothing but the sources' names."""
    return Nmf()


def hpss() -> Hpss:
    """Harmonic and percussive parts."""
    return Hpss()
