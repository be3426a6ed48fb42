"""Streams of a .stem.mp4, Native Instruments' format: the mixture, then its stems, each its own AAC stream."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import torch

from audiofix.errors import InputError
from audiofix.types import Audio

INSTALL = "pip install 'audiofix[evaluate]'"


def read_stream(path: Path, stream: int) -> Audio:
    """One audio stream, counted from 0, by PyAV, which brings its decoder; else by stempeg, which calls ffmpeg.

    Raises InputError where neither is there, for a file that cannot be decoded, or a stream that it has not.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; check the name")
    if importlib.util.find_spec("av") is not None:
        return _by_av(path, stream)
    if importlib.util.find_spec("stempeg") is not None and shutil.which("ffmpeg"):
        return _by_stempeg(path, stream)
    raise InputError(
        f"{path} holds AAC, which takes a decoder: {INSTALL}; or convert the dataset to wav, one folder a track"
    )


def _by_av(path: Path, stream: int) -> Audio:
    import av

    try:
        with av.open(str(path)) as container:
            streams = container.streams.audio
            if stream >= len(streams):
                raise InputError(
                    f"{path} has {len(streams)} audio streams, no number {stream}; it is no stem file"
                )
            blocks = [frame.to_ndarray() for frame in container.decode(streams[stream]) if frame.samples]
            rate = streams[stream].rate
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path} cannot be decoded ({error}); get a whole copy of the file") from error
    if not blocks:
        raise InputError(f"{path} holds no samples in stream {stream}; get a whole copy of the file")
    samples = torch.from_numpy(np.concatenate(blocks, axis=1)).float()  # AAC decodes to planar float
    return Audio(samples, int(rate), "PCM_16")


def _by_stempeg(path: Path, stream: int) -> Audio:
    import stempeg

    samples, rate = stempeg.read_stems(str(path), stem_id=stream)
    return Audio(torch.from_numpy(samples.T.copy()).float(), int(rate), "PCM_16")
