"""AAC and ALAC in MP4 (.m4a), in and out, through PyAV: exact length, tags; an extra that can be left out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from audiofix.errors import InputError
from audiofix.types import Audio

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

CONTAINER = "MP4"
_MISSING = "takes a package that is not installed: pip install 'audiofix[m4a]', or convert to wav or flac"
# Codec and its sample format, and bits of a sample (0: floating point).
_CODECS = {"AAC": ("aac", "fltp", 0), "ALAC_16": ("alac", "s16p", 16), "ALAC_24": ("alac", "s32p", 24)}
# Layouts that both encoders take, by number of channels.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1"}
_MOST_BITS = 128_000  # a second and channel of AAC: transparent for its encoder
_BITS_A_SAMPLE = 4  # of AAC at lower rates; its frames hold 6 at most
_TICK = Fraction(1, 1000)  # s: many programs count the length of an edit in no finer steps
# Tags that the container has a place for. soundfile's names where it knows them.
_NAMES = {"track": "tracknumber"} | {
    name: name
    for name in (
        "title", "artist", "album", "comment", "copyright", "date", "genre", "album_artist", "composer", "disc",
        "grouping", "lyrics", "description", "compilation",
    )
}  # fmt: skip


def is_mp4(path: Path) -> bool:
    """Whether a file begins as MP4 does, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def read(path: Path) -> Audio:
    """Read the audio of an MP4 whole: the encoder's delay and padding are cut off as the file says.

    Raises InputError where PyAV is missing, there is no audio, or it cannot be decoded to its end.
    """
    av = _library()
    if av is None:
        raise InputError(f"{path} is MP4, which {_MISSING}")
    try:
        with av.open(str(path)) as file:
            stream = file.streams.best("audio")
            if stream is None:
                raise InputError(f"{path} holds no audio; give a recording")
            samples, rate = _decoded(path, file, stream)
            tags = {ours: file.metadata[name] for name, ours in _NAMES.items() if file.metadata.get(name)}
            return Audio(samples, rate, _subtype(stream.codec_context), CONTAINER, tags)
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path} cannot be read as audio ({error.strerror}); get a whole copy of it, or convert it to wav"
        ) from error


def write(path: Path, audio: Audio) -> int:
    """Write AAC, ALAC_16 or ALAC_24, whatever the path's suffix; returns how many samples the file says to have.

    Integers have to lie on the grid of their subtype and within it. Raises ValueError where PyAV is missing or for
    what the encoder does not take, OSError where the disk says no.
    """
    av = _library()
    if av is None:
        raise ValueError(f"it {_MISSING}")
    if audio.subtype not in _CODECS or audio.channels not in _LAYOUTS:
        raise ValueError(f"MP4 takes {', '.join(_CODECS)} and 1 to {len(_LAYOUTS)} channels")
    codec, form, bits = _CODECS[audio.subtype]
    rate, layout = audio.sample_rate, _LAYOUTS[audio.channels]
    if codec == "aac" and rate not in av.codec.Codec("aac", "w").audio_rates:
        raise ValueError(f"AAC has no rate of {rate} Hz")
    try:
        # The edit that cuts off the encoder's delay counts in this scale: by default in ms, which is no sample.
        with av.open(str(path), "w", format="ipod", options={"movie_timescale": str(rate)}) as file:
            stream = file.add_stream(codec, rate=rate, layout=layout)
            coder = stream.codec_context
            coder.format, coder.time_base = form, Fraction(1, rate)
            if codec == "aac":
                coder.bit_rate = audio.channels * min(_MOST_BITS, _BITS_A_SAMPLE * rate)
            for name, ours in _NAMES.items():
                if ours in audio.tags:
                    file.metadata[name] = audio.tags[ours]
            coder.open()
            for start in range(0, audio.length, coder.frame_size):
                block = _stored(audio.samples[:, start : start + coder.frame_size], bits)
                frame = av.AudioFrame.from_ndarray(block, format=form, layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, start, coder.time_base
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        with av.open(str(path)) as file:
            return int(file.streams.audio[0].duration or 0)
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise ValueError(error.strerror) from error


def _library() -> Any:
    """PyAV, None where it is not installed."""
    try:
        import av
    except ImportError:
        return None
    return av


def _decoded(path: Path, file: Any, stream: Any) -> tuple[Tensor, int]:
    """(channel, time) of a stream and its rate in Hz: every frame at its time, from 0 to the end."""
    frames: list[tuple[Fraction, NDArray[Any]]] = []
    rate, end, whole = 0, Fraction(0), Fraction(0)
    for packet in file.demux(stream):
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * stream.time_base
        for frame in packet.decode():
            rate = frame.sample_rate
            block = frame.to_ndarray()
            planar = block.shape[0] == stream.codec_context.layout.nb_channels
            block = block if planar else block.reshape(-1, stream.codec_context.layout.nb_channels).T
            place = frame.pts * frame.time_base
            frames.append((place, block))
            whole = place + Fraction(block.shape[1], rate)
    if not frames:
        raise InputError(f"{path} holds no samples; give a recording that is not empty")
    length = round(_end(whole, end, stream.duration and stream.duration * stream.time_base) * rate)
    samples = torch.zeros(frames[0][1].shape[0], length)
    for place, block in frames:
        start = round(place * rate)
        part = torch.from_numpy(_floats(block))[:, max(0, -start) : max(0, length - start)]
        samples[:, max(0, start) : max(0, start) + part.shape[1]] = part
    if stream.duration and length < round((stream.duration * stream.time_base - 2 * _TICK) * rate):
        raise InputError(
            f"{path} ends after {length} of {round(stream.duration * stream.time_base * rate)} samples; get a "
            "whole copy of the file"
        )
    return samples, rate


def _end(decoded: Fraction, packets: Fraction, edit: Fraction | None) -> Fraction:
    """Where a recording ends, s: padding of the last frame is what comes after it.

    A last packet that is shorter than what it decodes to says so to the sample. Else the edit list does, where it
    cuts off more than its own rounding.
    """
    end = min(decoded, packets)
    if end == decoded and edit is not None and end - edit > _TICK:
        return edit
    return end


def _subtype(coder: Any) -> str:
    """AAC or ALAC_16, ALAC_24, ALAC_32; the codec's name for others, which are read but not written."""
    if coder.name != "alac":
        return str(coder.name).upper()
    bits = coder.extradata[17]  # ALAC's magic cookie: 12 bytes of header, frame length, version, sample size
    return "ALAC_16" if bits == 16 else "ALAC_24" if bits <= 24 else f"ALAC_{bits}"


def _floats(block: NDArray[Any]) -> NDArray[np.float32]:
    if block.dtype.kind == "i":
        return (block / 2.0 ** (8 * block.dtype.itemsize - 1)).astype(np.float32)
    return block.astype(np.float32, copy=False)


def _stored(samples: Tensor, bits: int) -> NDArray[Any]:
    """(channel, time) to the codec's: float32, or integers in the high bits."""
    block = samples.detach().float().cpu().contiguous()
    if not bits:
        return block.numpy()
    whole = (block.double() * 2.0 ** (bits - 1)).round()
    if bits == 16:
        return whole.to(torch.int16).numpy()
    return (whole.to(torch.int64) << (32 - bits)).to(torch.int32).numpy()
