"""What `separate` refuses before it computes anything, each with what was given, what is possible, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from audiofix.errors import InputError, SettingError
from audiofix.types import Audio

MIN_SECONDS = 0.05
MAX_CHANNELS = 2


def check_input(
    audio: Audio,
    sources: Sequence[str],
    draws: int | None,
    seed: int,
    references: Mapping[str, Audio] | None,
    init: Mapping[str, Audio] | None = None,
) -> None:
    """Raise InputError for audio and references that cannot be worked on, SettingError for options."""
    if len(sources) < 2:
        raise SettingError(f"separation needs two sources or more, got {', '.join(sources) or 'none'}")
    if len(set(sources)) != len(sources):
        raise SettingError(f"sources must differ, got {', '.join(sources)}; call a second one speech-2")
    if draws is not None and draws < 1:
        raise SettingError(f"--draws must be 1 or more, got {draws}")
    if seed < 0:
        raise SettingError(f"--seed must be 0 or more, got {seed}")
    if audio.channels > MAX_CHANNELS:
        raise InputError(
            f"the mixture has {audio.channels} channels, mono and stereo are possible; mix it down or split it"
        )
    if audio.seconds < MIN_SECONDS:
        raise InputError(
            f"the mixture has {audio.length} samples, too short; at least {MIN_SECONDS} s are needed"
        )
    if not bool(torch.isfinite(audio.samples).all()):
        raise InputError("the mixture has NaN or infinite samples; repair or export it again")
    for source, clean in (references or {}).items():
        _check_like(audio, sources, "reference", source, clean)
        if not bool((clean.samples != clean.samples[:, :1]).any(dim=1).all()):
            raise InputError(
                f"reference {source} is silent, so it has no SI-SDR; give the clean source itself"
            )
    if init is None:
        return
    missing = [source for source in sources if source not in init]
    if missing:
        raise SettingError(f"init has no stem of {', '.join(missing)}; give one for each source")
    for source, stem in init.items():
        _check_like(audio, sources, "init", source, stem)


def _check_like(audio: Audio, sources: Sequence[str], what: str, source: str, stem: Audio) -> None:
    if source not in sources:
        raise SettingError(f"{what} for {source!r}, but the sources are {', '.join(sources)}")
    if stem.sample_rate != audio.sample_rate or stem.samples.shape != audio.samples.shape:
        raise InputError(
            f"{what} {source} has {stem.channels} channels, {stem.length} samples at "
            f"{stem.sample_rate} Hz; the mixture has {audio.channels}, {audio.length} at "
            f"{audio.sample_rate} Hz; cut or resample the {what}"
        )
    if not bool(torch.isfinite(stem.samples).all()):
        raise InputError(f"{what} {source} has NaN or infinite samples; repair or export it again")
