"""One signal for many draws: the one whose spectrogram is, in decibels, the mean of theirs.

Of all signals a draw of the posterior is the likeliest to sound real, and the mean of draws errs least sample by
sample but fades where their phases disagree. In between lies what errs least in log-spectral distance: the mean
over draws of the logarithm of each bin's power is what minimises its expected square.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW, HOP = 2048, 512  # those of `numerics.metrics.log_spectral_distance`
ROUNDS = 30
QUIETEST = 1e-10  # power of a bin of which there is no telling how quiet it is


def typical(draws: Sequence[Tensor], rounds: int = ROUNDS) -> Tensor:
    """(..., time) of the draws' mean log-magnitudes, with phases that fit them, from those of the first draw on.

    Frames overlap, so not every spectrogram is one of a signal: magnitudes are put in and the signal's own phases
    taken, in turns (Griffin & Lim 1984); each turn brings the signal's spectrogram nearer to what is wanted.
    draws: one or more, each (..., time); one comes back as it is. Outside the recording is silence.
    """
    first, *others = draws
    if not others:
        return first
    logarithm = torch.zeros(())
    for draw in draws:
        logarithm = logarithm + (_spectrum(draw).abs().square() + QUIETEST).log()
    wanted = (0.5 * logarithm / len(draws)).exp()
    wave = first
    for _ in range(1 + rounds):
        wave = _wave(torch.polar(wanted, _spectrum(wave).angle()), first)
    return wave


def _window(like: Tensor) -> Tensor:
    return torch.hann_window(WINDOW, dtype=like.dtype, device=like.device)


def _spectrum(wave: Tensor) -> Tensor:
    rows = wave.reshape(-1, wave.shape[-1])
    return torch.stft(rows, WINDOW, HOP, window=_window(wave), pad_mode="constant", return_complex=True)


def _wave(spectrum: Tensor, like: Tensor) -> Tensor:
    rows = torch.istft(spectrum, WINDOW, HOP, window=_window(like), length=like.shape[-1])
    return rows.reshape(like.shape)
