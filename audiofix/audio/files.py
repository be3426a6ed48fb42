"""Audio files in and out, through libsndfile (MP4: `mp4.py`): same container, same sample format, same tags."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from audiofix.audio import mp4
from audiofix.audio.disk import atomic, check_output, check_space, write_bytes_atomically
from audiofix.errors import InputError, OutputError
from audiofix.types import Audio

__all__ = [
    "atomic",
    "bytes_needed",
    "check_output",
    "check_space",
    "output_format",
    "peak_of",
    "quantise",
    "read_audio",
    "write_audio",
    "write_bytes_atomically",
]

_SUFFIXES = {"WAVEX": ".wav", "RF64": ".wav", "IRCAM": ".sf", "SVX": ".iff", "MAT4": ".mat", "MAT5": ".mat",
             "MP4": ".m4a"}  # fmt: skip
_COMMON = ("WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU", "W64", "MP4")
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "ALAC_16": 16, "ALAC_24": 24}
_BEYOND_FULL_SCALE = {"FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_III", "AAC"}
# libsndfile 1.2 garbles this ALAC where the sound does not compress; SD2 spreads over two files.
_UNSAFE = {"ALAC_20", "ALAC_24", "ALAC_32", "SD2"}
_ANY_SIZE = {"RF64", "W64", "CAF", "FLAC", "OGG", "MP3", "MP4"}
_MOST_BYTES = 2**32 - 2**20  # other containers count in 32 bits; the margin is for header and tags
_BLOCK = 1 << 18  # samples at a time: memory stays flat, and libsndfile's Vorbis fails on huge writes
_NO_PEAK_CHUNK = 0x1050  # SFC_SET_ADD_PEAK_CHUNK; that chunk holds the time of day


def read_audio(path: Path, finite: bool = True) -> Audio:
    """Read a whole file, any number of channels, at its own sample rate.

    Samples are exact up to 24 bits; 32-bit integers and doubles are rounded to float32. `finite`: refuse samples
    that are not; without it they are handed on.

    Raises
    ------
    InputError
        Missing, a folder, empty, no audio, damaged, no samples, or samples that are not finite.
    """
    path = Path(path)
    _refuse_unreadable(path)
    if mp4.is_mp4(path):
        return mp4.read(path)
    try:
        with soundfile.SoundFile(path) as file:
            samples = _read_all(path, file, finite)
            tags = {name: text for name, text in file.copy_metadata().items() if text}
            return Audio(samples, file.samplerate, file.subtype, file.format, tags)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a headerless .raw
        reason = getattr(error, "error_string", "") or "not a format that can be recognised"
        readable = soundfile.available_formats()
        suffixes = " ".join(_suffix(container) for container in _COMMON if container in (*readable, "MP4"))
        raise InputError(
            f"{path} cannot be read as audio ({reason.strip().rstrip('.')}); possible are {suffixes}: "
            "get a whole copy of the file, or convert it to wav first"
        ) from error


def write_audio(path: Path, audio: Audio) -> None:
    """Write a file whole or not at all: container, sample format and tags as `audio` says.

    Integers are written without dither and as `quantise` rounds them, so they read back exactly. A WAV too
    long for its 32-bit header becomes RF64. Tags are left out where the container has no place for them.

    Raises
    ------
    OutputError
        No permission, no space, samples that are not finite or would be clipped, a format that
        libsndfile cannot write.
    """
    path = Path(path)
    if not audio.samples.isfinite().all():
        raise OutputError(f"{path} was not written: the result is not finite (NaN); use a smaller step size")
    if not _fits(audio.subtype, peak_of(audio.samples, audio.subtype)):
        raise OutputError(
            f"{path} was not written: peak {audio.samples.abs().max():.4g} would be clipped by "
            f"{audio.subtype}; write FLOAT instead"
        )
    container = audio.container
    if _too_big(container, audio.subtype, audio.channels * audio.length):
        if container not in ("WAV", "WAVEX"):
            raise OutputError(f"{path} was not written: {container} holds 4 GB at most; write WAV instead")
        container = "RF64"
    if not _safe(container, audio.subtype):
        raise OutputError(
            f"{path} was not written: {container} {audio.subtype} would be damaged; write WAV FLOAT instead"
        )
    with atomic(path) as part:
        try:
            if container == mp4.CONTAINER:
                written = mp4.write(part, audio)
            else:
                rate, channels = audio.sample_rate, audio.channels
                with soundfile.SoundFile(part, "w", rate, channels, audio.subtype, None, container) as file:
                    _write_all(file, audio)
                written = soundfile.info(part).frames
        except (soundfile.SoundFileError, ValueError, TypeError) as error:
            check_space(path.parent, bytes_needed(audio.channels, audio.length, audio.subtype))
            reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
            raise OutputError(
                f"cannot write {path} as {container} {audio.subtype}, {audio.channels} channels, "
                f"{audio.sample_rate} Hz ({reason}); write WAV FLOAT, or choose another output folder"
            ) from error
        if written < audio.length:
            raise OutputError(
                f"{path} was not written: only {written} of {audio.length} samples reached the disk; "
                "check it, or choose another output folder"
            )


def output_format(like: Audio, peak: float) -> tuple[str, str, str]:
    """Container, subtype and suffix for results that should look like the input file.

    The input's own format, unless it would change the samples. Integers that would clip become WAV FLOAT,
    never scaled. A container that cannot hold the rate, length, channels or size becomes WAV (above
    4 GB: RF64); integers stay integers there, and lossy codes become FLOAT.

    Parameters
    ----------
    like
        Has the result's format, channels, length and sample rate; its sample values are not looked at.
    peak
        Largest magnitude among the results, >= 0; `peak_of` gives the one that leaves room for -1.
    """
    container, subtype = like.container, like.subtype
    wav = "RF64" if _too_big("WAV", "FLOAT", like.channels * like.length) else "WAV"
    if not _fits(subtype, peak):
        return wav, "FLOAT", ".wav"
    choices = [(wav, subtype)] if subtype in _BITS else []
    if _safe(container, subtype) and not _too_big(container, subtype, like.channels * like.length):
        choices.insert(0, (container, subtype))
    for container, subtype in choices:
        if _keeps(container, subtype, like.sample_rate, like.channels):
            return container, subtype, ".opus" if subtype == "OPUS" else _suffix(container)
    return wav, "FLOAT", ".wav"


def quantise(samples: Tensor, subtype: str) -> Tensor:
    """Round to the grid of an integer subtype, any shape; other subtypes leave the samples as they are.

    With stems rounded first, a residual computed from them lies on the grid too, and the files add up exactly
    (to 24 bits; float32 cannot hold all sums of 32-bit integers). Nothing is clipped.
    """
    if subtype not in _BITS:
        return samples
    steps = 2.0 ** (_BITS[subtype] - 1)  # a power of two, so only the rounding itself rounds
    return (samples * steps).round() / steps


def peak_of(samples: Tensor, subtype: str) -> float:
    """Largest magnitude, >= 0, where a negative sample counts one integer step less.

    Integers reach from -1 to one step below +1: a recording that touches -1 still fits its own format.
    """
    if not samples.numel():
        return 0.0
    low, high = samples.aminmax()
    return max(float(high), -float(low) - _step(subtype), 0.0)


def bytes_needed(channels: int, length: int, subtype: str) -> int:
    """Disk space for the samples, in bytes, without compression."""
    width = {"FLOAT": 32, "DOUBLE": 64}.get(subtype, _BITS.get(subtype, 16)) // 8
    return channels * length * width


def _refuse_unreadable(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give an audio file")
        if not path.exists():
            raise InputError(f"{path} does not exist; check the name")
        if not path.is_file():
            raise InputError(f"{path} is a device or pipe; save it as a file first")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its permissions") from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); get a whole copy of the file")


def _read_all(path: Path, file: soundfile.SoundFile, finite: bool) -> Tensor:
    if not file.frames:
        raise InputError(f"{path} holds no samples; give a recording that is not empty")
    samples = torch.empty(file.channels, file.frames)
    bad, first = 0, (0, 0)
    start = 0
    while len(block := file.read(_BLOCK // file.channels + 1, dtype="float32", always_2d=True)):
        wrong = np.argwhere(~np.isfinite(block))
        if len(wrong) and not bad:
            first = (start + int(wrong[0, 0]), int(wrong[0, 1]) + 1)
        bad += len(wrong)
        samples[:, start : start + len(block)] = torch.from_numpy(block.T)
        start += len(block)
    if start < file.frames:
        raise InputError(f"{path} ends after {start} of {file.frames} samples; get a whole copy of the file")
    if bad and finite:
        place, channel = first
        raise InputError(
            f"{path} holds {bad} NaN or infinite samples, the first at sample {place} "
            f"({place / file.samplerate:.3f} s) of channel {channel}; silence them in an audio editor first"
        )
    return samples


def prepare_file(file: soundfile.SoundFile, tags: Mapping[str, str]) -> None:
    """What has to be done before the first sample is written."""
    # Without this a float file differs at each writing.
    soundfile._snd.sf_command(file._file, _NO_PEAK_CHUNK, soundfile._ffi.NULL, 0)
    for name, text in tags.items():
        try:
            setattr(file, name, text)
        except soundfile.SoundFileError:  # this container has no place for this tag
            continue


def _write_all(file: soundfile.SoundFile, audio: Audio) -> None:
    prepare_file(file, audio.tags)
    size = _BLOCK // audio.channels + 1
    for start in range(0, audio.length, size):
        file.write(_stored(audio.samples[:, start : start + size], audio.subtype))


def _stored(samples: Tensor, subtype: str) -> np.ndarray[Any, Any]:
    """(channel, time) to libsndfile's (time, channel): integers in the high bits of int32, or float32."""
    block = samples.detach().float().cpu().T.contiguous()
    if subtype not in _BITS:
        return block.numpy()
    bits = _BITS[subtype]
    return (block * 2.0 ** (bits - 1)).round().to(torch.int32).mul(1 << (32 - bits)).numpy()


def _keeps(container: str, subtype: str, sample_rate: int, channels: int) -> bool:
    """Whether libsndfile, really tried, writes this and reads it back at the same rate and length."""
    tone = 0.9 * torch.sin(torch.arange(1009.0))  # a prime length, so that padding to blocks shows
    samples = quantise(tone, subtype).repeat(channels, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "written")
        try:
            if container == mp4.CONTAINER:
                mp4.write(path, Audio(samples, sample_rate, subtype, container))
                read = mp4.read(path)
                same = read.sample_rate == sample_rate and read.subtype == subtype
                return same and _as_good(read.samples, samples, subtype)
            with soundfile.SoundFile(path, "w", sample_rate, channels, subtype, None, container) as file:
                file.write(_stored(samples, subtype))
            path = path.rename(Path(folder, "moved"))  # a format of two files does not survive this
            with soundfile.SoundFile(path) as file:
                same = (file.samplerate, file.channels, file.subtype) == (sample_rate, channels, subtype)
                back = torch.from_numpy(file.read(dtype="float32", always_2d=True)).T
        except (soundfile.SoundFileError, ValueError, TypeError):
            return False
    return same and _as_good(back, samples, subtype)


def _as_good(back: Tensor, samples: Tensor, subtype: str) -> bool:
    return back.shape == samples.shape and (subtype not in _BITS or torch.equal(back, samples))


def _safe(container: str, subtype: str) -> bool:
    return container == mp4.CONTAINER or not _UNSAFE & {container, subtype}


def _step(subtype: str) -> float:
    return 2.0 ** (1 - _BITS.get(subtype, 16))  # the lossy integer codes hold 16 bits at most


def _fits(subtype: str, peak: float) -> bool:
    return subtype in _BEYOND_FULL_SCALE or peak < 1.0 - _step(subtype) / 2  # from there on it rounds to +1


def _too_big(container: str, subtype: str, samples: int) -> bool:
    return container not in _ANY_SIZE and bytes_needed(1, samples, subtype) > _MOST_BYTES


def _suffix(container: str) -> str:
    return _SUFFIXES.get(container, f".{container.lower()}")
