"""The level at which a prior expects its sources."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiofix.errors import InputError

_FRAME_SECONDS = 0.02
_ACTIVE_DB = -50.0  # relative to the loudest frame: pauses and their noise do not count
_SILENT_RMS = 1e-6  # -120 dB full scale, below the noise of any converter


def working_level(samples: Tensor, sample_rate: int, target_rms: float = 0.1) -> float:
    """Gain that brings the active part of a recording to a given RMS.

    Multiply by it before restoring and divide the results by it. Active are the frames of 20 ms that are
    louder than -50 dB relative to the loudest one, power averaged over channels.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1, finite.
    sample_rate
        Hz.
    target_rms
        RMS wanted, full scale = 1, > 0.

    Returns
    -------
    float
        > 0.

    Raises
    ------
    InputError
        Silence: no frame above -120 dB full scale, or no samples.
    """
    energy = frame_energies(samples, frame_length(sample_rate))
    return gain_of(energy, sample_rate, len(samples), samples.shape[1], target_rms)


class Level:
    """`working_level` of a recording that is heard piece by piece, at `sample_rate` Hz."""

    def __init__(self, sample_rate: int) -> None:
        self.rate, self.time, self.channels = sample_rate, 0, 0
        self._energies: list[Tensor] = []
        self._rest: Tensor | None = None  # of a frame that is not whole yet

    def hear(self, wave: Tensor) -> None:
        """Go on with (channel, time)."""
        frame = frame_length(self.rate)
        self.time, self.channels = self.time + wave.shape[1], len(wave)
        rest = wave if self._rest is None else torch.cat([self._rest, wave], dim=1)
        whole = rest.shape[1] // frame * frame
        self._energies.append(frame_energies(rest[:, :whole], frame))
        self._rest = rest[:, whole:].clone()

    def gain(self, target_rms: float = 0.1) -> float:
        """The gain for all that was heard. Raises InputError for silence."""
        last = [] if self._rest is None else [frame_energies(self._rest, frame_length(self.rate))]
        energy = torch.cat([*self._energies, *last])
        return gain_of(energy, self.rate, self.channels, self.time, target_rms)


def frame_length(sample_rate: int) -> int:
    """Samples in a frame of 20 ms."""
    return max(1, round(_FRAME_SECONDS * sample_rate))


def frame_energies(samples: Tensor, frame: int) -> Tensor:
    """Energy of each frame of (channel, time), summed over channels, float64; the last frame may be short."""
    whole = pad(samples.detach(), (0, -samples.shape[1] % frame))
    return whole.reshape(len(samples), -1, frame).double().square().sum(dim=(0, 2))


def gain_of(energy: Tensor, sample_rate: int, channels: int, time: int, target_rms: float) -> float:
    """`working_level` from the energies of all frames. Raises InputError for silence."""
    if len(energy):
        frame = frame_length(sample_rate)
        counts = energy.new_full(energy.shape, float(frame))
        counts[-1] = time - frame * (len(counts) - 1)
        power = energy / (counts * channels)
        if power.max() > _SILENT_RMS**2:
            active = power > power.max() * 10 ** (_ACTIVE_DB / 10)
            rms = math.sqrt(float(energy[active].sum() / (counts[active].sum() * channels)))
            return target_rms / rms
    raise InputError(
        "the recording is silence (nothing above -120 dB full scale); choose another file, channel or part"
    )
