"""Figures of a result against the truth, named as in the field; museval, pesq and pystoi measure their own."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.damages import Cut, LostSamples, known_mask
from audiofix.errors import InputError
from audiofix.evaluation.systems.base import Task
from audiofix.numerics.metrics import FRAME, log_spectral_distance, psnr, si_sdr, snr

LIMIT = 100.0  # dB: one perfect or one silent stem must not make a mean infinite
BSS_WINDOW = 1.0  # s, and hop: frames of BSS Eval as museval and the SiSEC campaigns have them
SPOKEN = ("speech", "vocals", "voice", "clean")  # names of sources that PESQ and STOI are for
PESQ_RATE = 16000

Scores = dict[str, float | None]


@dataclass(frozen=True)
class Metric:
    """What a figure is called, its unit, and whether more of it is better."""

    label: str
    unit: str
    more_is_better: bool = True
    median: bool = False  # reported as the median over tracks, as its community does, else as the mean


METRICS: dict[str, Metric] = {
    "si_sdr": Metric("SI-SDR", "dB"),
    "si_sdr_improvement": Metric("SI-SDR gain", "dB"),
    "sdr": Metric("SDR", "dB", median=True),
    "isr": Metric("ISR", "dB", median=True),
    "sir": Metric("SIR", "dB", median=True),
    "sar": Metric("SAR", "dB", median=True),
    "snr": Metric("SNR", "dB"),
    "snr_damaged": Metric("SNR, damaged part", "dB"),
    "psnr": Metric("PSNR", "dB"),
    "lsd": Metric("LSD", "", more_is_better=False),
    "pesq": Metric("PESQ", "MOS"),
    "stoi": Metric("STOI", ""),
}
BSS = ("sdr", "isr", "sir", "sar")
OPTIONAL = {"pesq": "pesq", "stoi": "pystoi"}  # metric: package
DEFAULT = {
    True: ("si_sdr", "si_sdr_improvement", *BSS, "snr", "lsd", *OPTIONAL),  # separation
    False: ("snr", "snr_damaged", "psnr", "si_sdr", "lsd", *OPTIONAL),
}


def available(wanted: Collection[str]) -> tuple[list[str], list[str]]:
    """Those metrics that can be had here, and the packages that the others lack."""
    missing = [
        package
        for name, package in OPTIONAL.items()
        if name in wanted and importlib.util.find_spec(package) is None
    ]
    return [name for name in wanted if OPTIONAL.get(name) not in missing], missing


def score(
    task: Task, estimates: Mapping[str, Tensor], metrics: Collection[str], spoken: Collection[str] = ()
) -> dict[str, Scores]:
    """Figures of each source; None where one is not defined, such as SI-SDR of a silent source.

    `estimates` has the names and (channel, time) shapes of `task.clean`. `spoken` are the sources that PESQ and
    STOI are measured of. Figures in dB are held within +-100. Raises InputError for estimates of other shapes.
    """
    for name, clean in task.clean.items():
        got = estimates.get(name)
        if got is None or got.shape != clean.shape:
            shape = "nothing" if got is None else f"shape {tuple(got.shape)}"
            raise InputError(
                f"{task.track}: {shape} came back for {name}, which has shape {tuple(clean.shape)}"
            )
        if not bool(got.isfinite().all()):
            raise InputError(f"{task.track}: what came back for {name} is not finite")
    found: dict[str, Scores] = {
        name: _single(estimates[name], clean, task, metrics, name in spoken)
        for name, clean in task.clean.items()
    }
    wanted = [name for name in BSS if name in metrics]
    if wanted and task.kind == "separate":
        for name, frames in bss_eval(task.clean, estimates, task.rate).items():
            found[name] |= {metric: frames[metric] for metric in wanted}
    return {
        name: {metric: _held(metric, values[metric]) for metric in METRICS if metric in values}
        for name, values in found.items()
    }


def improved(scores: Mapping[str, Scores], before: Mapping[str, Scores]) -> dict[str, Scores]:
    """Scores with the improvement of SI-SDR over `before` after it."""
    result = {}
    for name, values in scores.items():
        after, first = values.get("si_sdr"), before[name].get("si_sdr")
        gain = None if after is None or first is None else after - first
        result[name] = {"si_sdr": after, "si_sdr_improvement": gain, **values}
    return result


def untouched(task: Task) -> dict[str, Tensor]:
    """What a user has without any system, in the shapes of `task.clean`: the mixture, or the damaged recording.

    Upsampling's is resampled, band-limited.
    """
    given = task.given
    return {
        name: resample(given.samples.float(), given.sample_rate, task.rate, clean.shape[-1]).expand_as(clean)
        for name, clean in task.clean.items()
    }


def bss_eval(clean: Mapping[str, Tensor], estimates: Mapping[str, Tensor], rate: int) -> dict[str, Scores]:
    """BSS Eval v4 (Stöter et al. 2018) by museval: the medians over frames of one second, of each source.

    Frames in which a source or an estimate is silent count for nothing, as there.
    """
    import museval

    references = np.stack([wave.T.double().numpy() for wave in clean.values()])
    found = np.stack([estimates[name].T.double().numpy() for name in clean])
    window = min(round(BSS_WINDOW * rate), references.shape[1])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # it divides by zero where an estimate is perfect or silent
        try:
            sdr, isr, sir, sar = museval.evaluate(references, found, win=window, hop=window)
        except (ValueError, np.linalg.LinAlgError):  # a source that is silent from end to end
            return {name: dict.fromkeys(BSS) for name in clean}
        return {
            name: {
                metric: _median(values[index])
                for metric, values in zip(BSS, (sdr, isr, sir, sar), strict=True)
            }
            for index, name in enumerate(clean)
        }


def damaged_part(task: Task) -> Tensor | None:
    """(channel, time) True where samples were lost or clipped; None where all are damaged alike."""
    (clean,) = task.clean.values()
    for fault in task.faults:
        if isinstance(fault, LostSamples):
            return (~known_mask(fault.spans, clean.shape[-1])).expand_as(clean)
        if isinstance(fault, Cut):
            return (clean <= fault.low) | (clean >= fault.high)
    return None


def _single(x: Tensor, clean: Tensor, task: Task, metrics: Collection[str], spoken: bool) -> Scores:
    """Figures of one source, means over channels."""
    channelwise: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "si_sdr": si_sdr, "snr": snr, "psnr": psnr, "lsd": log_spectral_distance,
    }  # fmt: skip
    values: Scores = {}
    for name, metric in channelwise.items():
        if name in metrics:
            values[name] = _over_channels(metric, x, clean)
    if "snr_damaged" in metrics and (where := damaged_part(task)) is not None:
        values["snr_damaged"] = _over_channels(snr, x[where][None], clean[where][None])
    if spoken:
        for name, measure in (("pesq", _pesq), ("stoi", _stoi)):
            if name in metrics:
                values[name] = measure(x, clean, task.rate)
    return values


def _over_channels(metric: Callable[[Tensor, Tensor], Tensor], x: Tensor, clean: Tensor) -> float | None:
    """Mean over those channels for which the figure is defined."""
    found = []
    for estimate, reference in zip(x, clean, strict=True):
        if not bool(reference.any()) or (metric is log_spectral_distance and len(reference) <= FRAME // 2):
            continue
        value = float(metric(estimate, reference))
        # The SI-SDR of silence is 0 / 0: nothing of the source came back.
        found.append(-LIMIT if math.isnan(value) else max(-LIMIT, min(LIMIT, value)))
    return sum(found) / len(found) if found else None


def _pesq(x: Tensor, clean: Tensor, rate: int) -> float | None:
    """Wide-band PESQ (ITU-T P.862.2) at 16 kHz of the mean over channels; None where it finds no utterance."""
    import pesq

    degraded, reference = (
        resample(w.mean(dim=0, keepdim=True), rate, PESQ_RATE)[0].numpy() for w in (x, clean)
    )
    try:
        return float(pesq.pesq(PESQ_RATE, reference, degraded, "wb"))
    except (pesq.PesqError, ValueError):
        return None


def _stoi(x: Tensor, clean: Tensor, rate: int) -> float | None:
    """STOI (Taal et al. 2011) of the mean over channels; None where too little is loud enough."""
    import pystoi

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # it warns, and gives 1e-5, where it cannot tell
        try:
            return float(pystoi.stoi(clean.mean(dim=0).numpy(), x.mean(dim=0).numpy(), rate))
        except (RuntimeWarning, ValueError):
            return None


def _median(frames: np.ndarray[Any, Any]) -> float | None:
    known = frames[~np.isnan(frames)]
    return float(np.median(known)) if len(known) else None


def _held(metric: str, value: float | None) -> float | None:
    if value is None or math.isnan(value):
        return None
    if METRICS[metric].unit != "dB":
        return value if math.isfinite(value) else None
    return max(-LIMIT, min(LIMIT, value))
