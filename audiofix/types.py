"""The shapes and records that every layer shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from audiofix.errors import InputError

Sources = Tensor
"""(batch, source, time) clean signals, float, full scale +-1."""

Wave = Tensor
"""(batch, time) one source of `Sources`."""

ScoreFn = Callable[[Tensor, float], Tensor]
"""A score, uphill: x and sigma (full-scale amplitude, > 0) to the gradient of log p_sigma, same shape."""


@dataclass(frozen=True, eq=False)
class Audio:
    """A recording in memory, with what is needed to write it back as it came.

    Attributes
    ----------
    samples
        (channel, time), floating point, full scale +-1 but not clipped to it.
    sample_rate
        Hz, > 0.
    subtype
        How a file stores one sample, as libsndfile names it: PCM_16, PCM_24, FLOAT, VORBIS, ...
    container
        File format, as libsndfile names it: WAV, FLAC, OGG, AIFF, ...
    tags
        Title, artist and so on under the names that soundfile gives them; empty when there are none.

    Raises
    ------
    InputError
        Samples that are not two-dimensional floating point, or a rate that is not positive.
    """

    samples: Tensor
    sample_rate: int
    subtype: str = "FLOAT"
    container: str = "WAV"
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or not self.samples.is_floating_point():
            raise InputError(
                f"samples are {self.samples.dtype} of shape {tuple(self.samples.shape)}; audio is floating "
                "point of shape (channel, time): convert with .float(), add the channel with samples[None]"
            )
        if self.sample_rate <= 0:
            raise InputError(f"sample rate is {self.sample_rate}; give a positive number of Hz")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.samples.shape[0]

    @property
    def length(self) -> int:
        """Samples in each channel."""
        return self.samples.shape[1]

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.length / self.sample_rate
