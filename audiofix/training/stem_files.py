"""Windows of one stream of an MP4 with several, as MUSDB18's .stem.mp4 are. Needs PyAV."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiofix.errors import InputError


def stream_info(path: Path, stream: int) -> tuple[int, int, int]:
    """Rate in Hz, channels, and samples of a stream. Raises InputError."""
    with _opened(path) as container:
        found = _stream(path, container, stream)
        seconds = float(found.duration * found.time_base)
        return found.rate, found.channels, int(seconds * found.rate)


def read_stream(path: Path, stream: int, start: int, length: int) -> NDArray[np.float32]:
    """Samples [start, start + length) of a stream, (time, channel), fewer at its end. Raises InputError."""
    av = _av()
    with _opened(path) as container:
        found = _stream(path, container, stream)
        rate, base = found.rate, found.time_base
        # From a little before: the first frame after a seek lacks what overlaps with the one before it.
        container.seek(max(0, int((start / rate - 0.1) / base)), stream=found)
        convert = av.AudioResampler(format="fltp", layout=found.layout)
        wanted = np.zeros((length, found.channels), np.float32)
        end = 0
        for frame in container.decode(found):
            place = round(float(frame.pts * base) * rate) - start
            for piece in convert.resample(frame):
                samples = piece.to_ndarray().T
                low, high = max(place, 0), min(place + len(samples), length)
                if low < high:
                    wanted[low:high] = samples[low - place : high - place]
                    end = high
                place += len(samples)
            if place >= length:
                break
        return wanted[:end]


def _av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise InputError(
            "reading .stem.mp4 needs PyAV; pip install 'audiofix[stems]', or take MUSDB18-HQ, which is wav"
        ) from error
    module: ModuleType = av
    return module


def _opened(path: Path) -> Any:
    av = _av()
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}); get a whole copy of it") from error


def _stream(path: Path, container: Any, stream: int) -> Any:
    streams = container.streams.audio
    if stream >= len(streams):
        raise InputError(f"{path} has {len(streams)} streams of audio, not 5; it is no MUSDB18 .stem.mp4")
    return streams[stream]
