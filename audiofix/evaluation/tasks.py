"""Tasks made of clean sources by the operators that audiofix restores with; what was done is told exactly."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.damages import Cut, Fault, LostSamples, Noisy, Rounded, known_mask, operator_of
from audiofix.datasets.base import Material
from audiofix.errors import InputError, SettingError
from audiofix.evaluation.systems.base import KINDS, RESTORED, Task
from audiofix.numerics.metrics import snr
from audiofix.numerics.rng import keyed_generator
from audiofix.operators.lowpass import decimate
from audiofix.types import Audio

GAP_EVERY, GAP_MARGIN = 1.0, 0.5  # s: gaps are centred at 1, 2, 3 ... s, so far from the ends
AS_GIVEN = "as recorded"  # setting of a real damaged recording
BISECTIONS = 50


@dataclass(frozen=True)
class Damaging:
    """How a restoration's task is made: the default strengths, their range and unit, and the maker.

    `make` takes clean (channel, time), its rate, the strength and a generator; it gives the recording and the
    faults that are told.
    """

    values: tuple[float, ...]
    unit: str
    least: float
    most: float
    make: Callable[[Tensor, int, float, torch.Generator], tuple[Audio, tuple[Fault, ...]]]

    def label(self, value: float) -> str:
        """A strength as it stands in results: x4, 50 ms."""
        return f"x{value:g}" if self.unit == "x" else f"{value:g} {self.unit}"


def _upsampling(
    clean: Tensor, rate: int, factor: float, _: torch.Generator
) -> tuple[Audio, tuple[Fault, ...]]:
    """Low-passed and decimated: `audiofix.operators.lowpass`."""
    return Audio(decimate(clean, int(factor)), rate // int(factor)), ()


def _every_kth(
    clean: Tensor, rate: int, factor: float, _: torch.Generator
) -> tuple[Audio, tuple[Fault, ...]]:
    """One sample of so many, as Jayaram & Thickstun 2021 have it: what lies above the lower band folds into it."""
    return Audio(clean[:, :: int(factor)].clone(), rate // int(factor)), ()


def _inpainting(clean: Tensor, rate: int, ms: float, _: torch.Generator) -> tuple[Audio, tuple[Fault, ...]]:
    """Gaps around every whole second, silent in the recording; one in the middle of a short recording."""
    lost = LostSamples(tuple(gaps(clean.shape[-1], rate, ms / 1000)))
    return Audio(clean * known_mask(lost.spans, clean.shape[-1]), rate), (lost,)


def _declipping(
    clean: Tensor, rate: int, decibels: float, _: torch.Generator
) -> tuple[Audio, tuple[Fault, ...]]:
    """Clipped at the level that leaves this SDR, one level for all channels."""
    whole = clean.reshape(-1)
    low, high = 0.0, float(whole.abs().max())
    for _step in range(BISECTIONS):
        middle = (low + high) / 2
        below = float(snr(whole.clamp(-middle, middle), whole)) < decibels
        low, high = (middle, high) if below else (low, middle)
    level = float(torch.tensor(high))  # the float32 that the samples hold
    return _done(clean, rate, Cut(-level, level))


def _dequantising(
    clean: Tensor, rate: int, bits: float, _: torch.Generator
) -> tuple[Audio, tuple[Fault, ...]]:
    """Rounded to a uniform grid over full scale, silence on it."""
    return _done(clean, rate, Rounded(2.0 ** (1 - bits)))


def _denoising(
    clean: Tensor, rate: int, decibels: float, generator: torch.Generator
) -> tuple[Audio, tuple[Fault, ...]]:
    """White noise so far below the clean sound, its level told."""
    std = float(clean.square().mean().sqrt()) * 10 ** (-decibels / 20)
    return Audio(clean + std * torch.randn(clean.shape, generator=generator), rate), (
        Noisy(torch.tensor([std])),
    )


def _done(clean: Tensor, rate: int, fault: Fault) -> tuple[Audio, tuple[Fault, ...]]:
    operator = operator_of(fault, rate, clean.shape[-1])
    assert operator is not None
    return Audio(operator.forward(clean[None])[0], rate), (fault,)


DAMAGES: dict[str, Damaging] = {
    "upsample": Damaging((2, 4, 8), "x", 2, 64, _upsampling),
    "inpaint": Damaging((20, 50, 100), "ms", 1, 10_000, _inpainting),
    "declip": Damaging((3, 7, 15), "dB", 0.1, 60, _declipping),
    "dequantise": Damaging((4, 6, 8), "bits", 2, 16, _dequantising),
    "denoise": Damaging((5, 10, 20), "dB", -20, 60, _denoising),
}
WHOLE = ("upsample", "dequantise")  # whose strengths are whole numbers


def strengths(kind: str, wanted: Sequence[float] | None) -> tuple[float | None, ...]:
    """The strengths of a task, (None,) for separation. Raises SettingError."""
    if kind not in KINDS:
        raise SettingError(f"--task {kind!r} is none; choose one of {', '.join(KINDS)}")
    if kind not in DAMAGES:
        if wanted:
            raise SettingError(f"--values has no meaning for --task {kind}; leave it out")
        return (None,)
    damage = DAMAGES[kind]
    for value in wanted or ():
        if not damage.least <= value <= damage.most or (kind in WHOLE and value != int(value)):
            what = "a whole number" if kind in WHOLE else "a number"
            raise SettingError(
                f"--values {value:g} for --task {kind}; give {what} from {damage.least:g} to {damage.most:g} "
                f"({damage.unit})"
            )
    return tuple(wanted or damage.values)


def gaps(length: int, rate: int, seconds: float) -> list[tuple[int, int]]:
    """First and one past the last lost sample of each gap. Raises SettingError where none fits."""
    lost, centres = round(seconds * rate), []
    margin = GAP_MARGIN * rate + lost / 2
    centre = GAP_EVERY * rate
    while centre + margin <= length:
        centres.append(round(centre))
        centre += max(GAP_EVERY * rate, 2 * lost)
    if not centres and 3 * lost <= length:
        centres = [length // 2]
    if not centres or not lost:
        raise SettingError(
            f"a gap of {1000 * seconds:g} ms does not fit into {length / rate:.2f} s; give other --values"
        )
    return [(first := max(1, middle - lost // 2), first + lost) for middle in centres]


def separation(name: str, material: Material, seed: int) -> Task:
    """The mixture, and every source of it."""
    if len(material.clean) < 2:
        raise SettingError(
            f"{name} has one source ({', '.join(material.clean)}): nothing to separate; give another --task or "
            "--sources"
        )
    return Task(
        "separate",
        name,
        Audio(material.mixture, material.rate),
        dict(material.clean),
        material.rate,
        (),
        seed,
    )


def restoration(
    kind: str, name: str, material: Material, value: float | None, seed: int, low_pass: bool = True
) -> Task:
    """One source of the material, damaged so much; or as it was given, where the dataset has that.

    Upsampling works at the nearest lower rate that the factor divides (22,050 Hz by 4: 22,048 Hz). `low_pass`:
    whether what it takes every k-th sample of was low-passed first.
    Raises InputError for silence, SettingError for what does not fit the length.
    """
    (clean,) = material.clean.values()
    rate = material.rate
    if not bool(clean.any()):
        raise InputError(f"{name} is silent: nothing to restore")
    if material.given is not None:
        given = material.given
        if given.channels != len(clean):
            raise InputError(
                f"{name}: the recording has {given.channels} channels, the clean one {len(clean)}; give --mono"
            )
        clean = resample(clean, rate, rate, -(-given.length * rate // given.sample_rate))
        return Task(kind, name, given, {RESTORED: clean}, rate, (), seed)
    assert value is not None
    if kind == "upsample":
        lower = rate - rate % int(value)
        clean, rate = resample(clean, rate, lower), lower
    generator = keyed_generator(seed, zlib.crc32(name.encode()))
    make = DAMAGES[kind].make if low_pass or kind != "upsample" else _every_kth
    given, faults = make(clean, rate, value, generator)
    return Task(kind, name, given, {RESTORED: clean}, rate, faults, seed)
