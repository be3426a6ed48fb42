"""Which output of a system answers to which source of a task: by name, never by the truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.errors import SettingError
from audiofix.types import Audio

VOICES = ("speech", "vocals", "voice", "vocal", "singing", "speaker", "dialogue")
DRUMS = ("drums", "percussion", "percussive")


def parts(source: str) -> list[str]:
    """Names of the stems that a source is the sum of: "drums+bass" is two."""
    return [name.strip().lower() for name in source.split("+")]


def the_other(sources: Collection[str], names: Sequence[str], system: str, what: str) -> tuple[str, str]:
    """Of two sources, the one that has but such names, then the other. Raises SettingError for all else."""
    known = [source for source in sources if set(parts(source)) <= set(names)]
    if len(sources) != 2 or len(known) != 1:
        raise SettingError(
            f"{system} tells {what} from the rest, and the sources are {', '.join(sources)}; give it mixtures of "
            f"two of which one is named {', '.join(names[:3])} or such"
        )
    (rest,) = set(sources) - set(known)
    return known[0], rest


def voice_and_rest(sources: Collection[str], system: str) -> tuple[str, str]:
    """Of two sources the one that is a voice by its name, then the other. Raises SettingError for all else."""
    return the_other(sources, VOICES, system, "a voice")


def stems_of(stems: Collection[str], sources: Collection[str], system: str) -> dict[str, tuple[str, ...]]:
    """For each source the stems of a system that add up to it.

    Those of its name, or names; "vocals" for any voice; and for one source of another name all stems that no other
    source has: of drums, bass, other, vocals a piano beside speech gets the first three. Raises SettingError where
    more than one source is of another name, or no stem is left for it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for source in sources:
        names = [name if name in stems or name not in VOICES else "vocals" for name in parts(source)]
        taken = {stem for some in found.values() for stem in some}
        if set(names) <= set(stems) - taken:
            found[source] = tuple(names)
    free = tuple(stem for stem in stems if not any(stem in some for some in found.values()))
    left = [source for source in sources if source not in found]
    if len(left) > 1 or (left and not free):
        raise SettingError(
            f"{system} gives {', '.join(stems)}, and the sources are {', '.join(sources)}; at most one source may "
            "be none of those, and then it gets what no other has"
        )
    return {source: found.get(source, free) for source in sources}


def heard(given: Audio, rate: int, channels: int | None = None) -> Tensor:
    """(channel, time) of a recording at a system's rate and number of channels: a mean, or copies of it."""
    return as_channels(resample(given.samples, given.sample_rate, rate), channels or given.channels)


def as_channels(samples: Tensor, channels: int) -> Tensor:
    """(channel, time) to so many channels: as it is, or copies of the mean."""
    if len(samples) == channels:
        return samples
    return samples.mean(dim=0, keepdim=True).expand(channels, -1)


def answered(samples: Tensor, rate: int, like: Tensor, to_rate: int) -> Tensor:
    """(channel, time) at a system's rate to the rate and shape of the truth, float32."""
    found = resample(as_channels(samples, len(like)), rate, to_rate, like.shape[1])
    return found.float().contiguous()
