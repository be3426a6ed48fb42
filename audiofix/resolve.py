"""From faults as users name them to faults with numbers; what is `auto` is measured, with the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded
from audiofix.errors import SettingError
from audiofix.faultlist import AUTO, Wanted
from audiofix.faults.gaps import merge_gaps, parse_gap
from audiofix.faults.look import Look, look_at
from audiofix.types import Audio

if TYPE_CHECKING:
    from torch import Tensor

LISTED = 10  # found gaps that are printed one by one


@dataclass(frozen=True)
class Resolved:
    """Faults in their order, and a line of evidence for each that was measured."""

    faults: list[Fault] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and one past the last sample of each gap."""
        return [span for fault in self.faults if isinstance(fault, LostSamples) for span in fault.spans]


def resolve(
    wanted: Sequence[Wanted],
    audio: Audio,
    spans: Sequence[tuple[int, int]] = (),
    profile: Tensor | None = None,
    look: Look | None = None,
) -> Resolved:
    """Faults of a recording as asked for.

    `spans` are gaps that are known otherwise, from a list; `profile` the noise's, from a recording of it alone;
    `look` finds what is auto where the samples of `audio` are not in memory.
    Gaps count as one fault, at the place of the first. Raises SettingError for what does not fit, or where auto
    finds nothing.
    """
    look = look or look_at(audio.samples, audio.sample_rate)
    lost, found, evidence = list(spans), list[Fault](), list[str]()
    for one in wanted:
        if one.kind == "gap":
            lost += _gaps(one, look, evidence)
    for one in wanted:
        if one.kind != "gap":
            found.append(_MEASURED[one.kind](one, look, evidence, profile))
        elif not any(isinstance(fault, LostSamples) for fault in found) and lost:
            found.append(LostSamples(tuple(merge_gaps(lost, audio.length, audio.sample_rate))))
    if lost and not any(one.kind == "gap" for one in wanted):
        found.append(LostSamples(tuple(merge_gaps(lost, audio.length, audio.sample_rate))))
    return Resolved(found, evidence)


def examine(audio: Audio, look: Look | None = None) -> tuple[list[Wanted], Resolved]:
    """Look for every fault: the chain that is proposed, and it resolved, with the evidence.

    In the order in which they usually come about: noise in the room, a low-pass, a clip, rounding, gaps. Noise is
    only reported where nothing else was found: gaps and clips tell little about it. `look`: as in `resolve`.
    """
    wanted, resolved = list[Wanted](), Resolved()
    for kind in ("lowpass", "clip", "quantise", "gap", "noise"):
        if kind == "noise" and wanted:
            continue
        try:
            one = resolve([Wanted(kind)], audio, look=look)
        except SettingError:
            continue
        if one.faults:
            wanted.append(Wanted(kind))
            resolved.faults.extend(one.faults)
            resolved.evidence.extend(one.evidence)
    return wanted, resolved


def _gaps(one: Wanted, look: Look, evidence: list[str]) -> list[tuple[int, int]]:
    rate = look.sample_rate
    if one.argument != AUTO:
        return [parse_gap(one.argument, rate)]
    found = look.gaps()
    for gap in found[:LISTED]:
        evidence.append(f"gap {gap.start / rate:.4f}-{gap.stop / rate:.4f} s: {gap.reason}")
    if len(found) > LISTED:
        evidence.append(f"and {len(found) - LISTED} more gaps")
    if not found:
        evidence.append("no gap found")
    return [(gap.start, gap.stop) for gap in found]


def _band(one: Wanted, look: Look, evidence: list[str], _profile: Tensor | None) -> Fault:
    if one.argument != AUTO:
        hertz = _number(one, "Hz")
        if not 0 < hertz < look.sample_rate / 2:
            raise SettingError(
                f"{one.said} does not lie between 0 and {look.sample_rate / 2:g} Hz, half the file's rate"
            )
        return LostBand(hertz)
    found = look.cutoff()
    if found is None:
        raise SettingError(
            f"no roll-off was found: the file has its full band; if one is missing say where: {one.example}"
        )
    evidence.append(f"roll-off at {found.hertz:.0f} Hz: {found.drop_db:.0f} dB less above it")
    return LostBand(found.hertz)


def _clip(one: Wanted, look: Look, evidence: list[str], _profile: Tensor | None) -> Fault:
    if one.argument != AUTO:
        level = _number(one, "a level from 0 to 1")
        peak = look.peak()
        if level <= 0:
            raise SettingError(f"{one.said} is no level of clipping; give one above 0")
        if level > peak:
            raise SettingError(
                f"{one.said}: nothing in the file reaches it (peak {peak:.4g}); give a lower one"
            )
        return Cut(-level, level)
    found = look.clipping()
    if found is None:
        plateau = look.plateau()
        if plateau is not None:
            example = replace(one, argument=f"{plateau:.2g}").said
            raise SettingError(
                f"samples pile up above {plateau:.2g} but are not cut off there, as after clipping and then a "
                f"codec or another rate; look at the peaks, and where they are flat give {example}"
            )
        raise SettingError(
            f"no clipping was found: no level is hit by many samples in a row; say where: {one.example}"
        )
    levels = " and ".join(f"{v:.4g}" for v in (found.low, found.high) if math.isfinite(v))
    evidence.append(f"clipped at {levels}: {found.count} samples, {100 * found.share:.2g} %")
    return Cut(found.low, found.high)


def _depth(one: Wanted, look: Look, evidence: list[str], _profile: Tensor | None) -> Fault:
    if one.argument != AUTO:
        bits = _number(one, "bits, 2 to 16")
        if not 2 <= bits <= 16 or bits != int(bits):
            raise SettingError(f"{one.said} is no number of bits; give a whole number, 2 to 16")
        return Rounded(2.0 ** (1 - bits))
    found = look.depth()
    if found is None:
        raise SettingError(
            f"no coarse grid was found: the samples are finer than 12 bits; say how many there were: {one.example}"
        )
    evidence.append(f"all samples lie on a grid of {found.bits} bits (step {found.step:.4g})")
    return Rounded(found.step, found.offset)


def _noise(one: Wanted, look: Look, evidence: list[str], profile: Tensor | None) -> Fault:
    if profile is not None:
        return Noisy(profile.clamp(min=1e-6))
    if one.argument != AUTO:
        below = _number(one, "dB below the sound")
        if not -20 <= below <= 120:
            raise SettingError(f"{one.said} is no dB below the sound; give -20 to 120")
        # What is recorded is sound and noise: the noise is that much below the sound alone.
        return Noisy(torch.tensor([(look.power() / (1 + 10 ** (below / 10))) ** 0.5]))
    found = look.noise()
    if found is None:
        raise SettingError(f"no noise floor worth the name was found; say how loud it is: {one.example}")
    evidence.append(
        f"noise of {20 * math.log10(found.std):.1f} dB re full scale, {found.db_below:.1f} dB below the sound"
    )
    return Noisy(found.profile.clamp(min=1e-6))


_MEASURED = {"lowpass": _band, "clip": _clip, "quantise": _depth, "noise": _noise}


def _number(one: Wanted, what: str) -> float:
    try:
        value = float(one.argument.lower().removesuffix("hz").removesuffix("db").strip())
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingError(f"{one.said} is no number; give {what}, or auto")
    return value
