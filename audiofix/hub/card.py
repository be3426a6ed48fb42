"""Model cards: what a shipped prior is, where it came from and which files it consists of.

A model is a folder with a `card.toml` and safetensors weights. The card is checked whole, on reading and on
writing. This module is the only one that converts noise levels from quantiser steps to amplitude.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from audiofix.errors import ModelError
from audiofix.hub.toml import dump_toml
from audiofix.numerics.fills import KINDS

CARD_FILE = "card.toml"
CONDITIONINGS = ("sigma", "per-level", "none")
# The last two of a quantiser with `levels` levels: 2/levels; the distance of levels that reach from -1 to 1.
SIGMA_UNITS = ("amplitude", "quantiser-steps", "level-spacings")
SMOOTHING_AXES = ("linear", "mu-law")


@dataclass(frozen=True)
class ModelCard:
    """One model's metadata.

    `sigmas` are decreasing and always full-scale amplitude in memory; a file may state them in steps of a
    quantiser with `levels` levels (`sigma_units`). Conditioning "sigma": one network, the ends of `sigmas` bound
    a continuous range. "per-level": one weights file for each of `sigmas`. "none": one network that knows no
    noise, and no `sigmas`. `files` maps file names to sha256.
    `fill_orders`: of the two autoregressive fills that an inpainter is shown; None: the usual ones.
    `fill_kind`: of which kind those are (`numerics/fills.py`); None: the usual one.
    `trusted_rise_db`: what an envelope raises a draw by beyond it counts half; None: all of it counts.
    `eased_db`: what it lowers the loudest levels that it tells by; None: nothing.
    `shown`: the separator whose estimate, with the mixture, conditions the network; None where nothing does.
    `smoothing_axis`: the axis that the noise of `sigmas` was on; where it is mu-law, they are companded amplitude.
    """

    name: str
    family: str
    source: str
    sample_rate: int
    sigmas: tuple[float, ...]
    network: dict[str, Any]
    licence: str
    trained_on: tuple[dict[str, str], ...]
    files: dict[str, str] = field(default_factory=dict)
    conditioning: str = "sigma"
    sigma_units: str = "amplitude"
    levels: int | None = None
    smoothing_axis: str = "linear"
    shown: str | None = None
    fill_orders: tuple[int, ...] | None = None
    fill_kind: str | None = None
    trusted_rise_db: float | None = None
    eased_db: float | None = None
    command: str = ""
    hours: float = 0.0
    audio_seconds: float = 0.0
    validation: dict[str, Any] = field(default_factory=dict)
    version: str = "1"

    @property
    def axis_note(self) -> str | None:
        """What another axis than linear amplitude means for its use; None for the linear one."""
        if self.smoothing_axis == "linear":
            return None
        return (
            "sigmas are amplitude on the mu-law axis u; the score of linear amplitude follows by the change of "
            "variables. For what is known sample by sample (inpaint, declip, dequantise), by chains along u; "
            "refused where sounds add or are filtered (separate, upsample, denoise): linear in amplitude, not in u"
        )

    @property
    def weights(self) -> dict[float, str]:
        """Noise level to the file with its weights; but for conditioning "per-level" one entry stands for all."""
        if self.conditioning != "per-level":
            return {next(iter(self.sigmas), math.inf): next(iter(self.files))}
        stated = self.to_dict()["sigmas"]
        return {sigma: level_file(s) for sigma, s in zip(self.sigmas, stated, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """The card as its file has it: noise levels in the file's units, absent keys left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        step = _step(values)
        # Dividing what was multiplied leaves a last digit that nobody stated.
        values["sigmas"] = [s if step == 1 else float(f"{s / step:.12g}") for s in self.sigmas]
        values["trained_on"] = [dict(t) for t in self.trained_on]
        if self.fill_orders is not None:
            values["fill_orders"] = list(self.fill_orders)
        return {k: v for k, v in values.items() if v is not None and not (k == "sigmas" and not v)}


def is_name(text: str) -> bool:
    """Whether a model can be called so: lower-case letters, digits, '-', '_' or '.'."""
    return bool(_NAME.fullmatch(text))


def level_file(sigma: float) -> str:
    """Name of the weights file of one noise level, in the units of the card's file."""
    return f"sigma_{sigma:g}.safetensors"


def read_card(path: Path) -> ModelCard:
    """Read and check a card. `path` is the file or its folder. Raises ModelError with file, key and remedy."""
    file = Path(path)
    if file.is_dir():
        file = file / CARD_FILE
    try:
        values = tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        remedy = "give a model's folder"
        raise bad_model(file, "file", "a readable model card", error.strerror, remedy) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise bad_model(file, "file", "TOML text in UTF-8", str(error), _REMEDY) from error
    check_values(values, file)
    step = _step(values)
    values["sigmas"] = tuple(float(s) * step for s in values.get("sigmas", ()))
    values["trained_on"] = tuple(values["trained_on"])
    if "fill_orders" in values:
        values["fill_orders"] = tuple(values["fill_orders"])
    return ModelCard(**values)


def write_card(card: ModelCard, path: Path) -> None:
    """Check a card and write it: beside its place first, then moved there. `path` is the file or its folder."""
    file = path / CARD_FILE if path.is_dir() else path
    values = card.to_dict()
    check_values(values, file)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(dump_toml(values), encoding="utf-8")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def bad_model(file: Path, key: str, expected: str, got: object, remedy: str) -> ModelError:
    """The one pattern of messages about models: file, key, expected, got, what to do."""
    return ModelError(f"{file}: {key}: expected {expected}, got {got}; {remedy}")


def check_values(values: Mapping[str, Any], file: Path) -> None:
    """Check a card's table as its file has it, key by key, then keys against each other. Raises ModelError."""
    for key in values:
        if key not in _RULES:
            close = difflib.get_close_matches(key, _RULES, 1)
            hint = f"did you mean {close[0]}?" if close else f"possible keys: {', '.join(_RULES)}"
            raise bad_model(file, key, "a key of a model card", "an unknown key", hint)
    for key, (expected, good) in _RULES.items():
        if key not in values:
            if key in _REQUIRED and not (key == "sigmas" and values.get("conditioning") == "none"):
                raise bad_model(file, key, expected, "nothing", "add the key, or export the model again")
        elif not good(values[key]):
            raise bad_model(file, key, expected, _short(values[key]), _REMEDY)
    _check_together(values, file)


def _check_together(values: Mapping[str, Any], file: Path) -> None:
    sigmas, files = values.get("sigmas", ()), set(values["files"])
    units = values.get("sigma_units", "amplitude")
    if units != "amplitude" and values.get("levels", 1) < 2:
        expected = f"the quantiser's number of levels, two or more, since sigma_units is {units}"
        raise bad_model(file, "levels", expected, values.get("levels", "nothing"), "add or correct the key")
    if values.get("conditioning", "sigma") != "per-level":
        if values.get("conditioning") == "none" and sigmas:
            expected = "no noise levels with conditioning none"
            raise bad_model(
                file, "sigmas", expected, _short(sigmas), "leave out the key, or correct the other"
            )
        if values.get("conditioning") != "none" and len(sigmas) < 2:
            expected = "at least two noise levels, the ends of the range"
            raise bad_model(file, "sigmas", expected, _short(sigmas), _REMEDY)
        if len(files) != 1:
            raise bad_model(file, "files", "one weights file", f"{len(files)}", _REMEDY)
        return
    names = [level_file(s) for s in sigmas]
    if len(set(names)) < len(names):
        expected = "noise levels that differ in six digits"
        raise bad_model(file, "sigmas", expected, _short(sigmas), "leave out the near-equal ones")
    if set(names) != files:
        wrong = sorted(set(names) ^ files)
        expected = f"one file for each of {len(names)} noise levels, such as {names[0]}"
        raise bad_model(file, "files", expected, f"{len(files)} ({wrong[0]} does not match)", _REMEDY)


def _step(values: Mapping[str, Any]) -> float:
    """Full-scale amplitude of one unit of the card's noise levels: levels of a quantiser span -1 to 1."""
    units, levels = values.get("sigma_units", "amplitude"), values.get("levels") or 1
    return {"amplitude": 1.0, "quantiser-steps": 2 / levels, "level-spacings": 2 / max(1, levels - 1)}[units]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _decreasing(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    positive = all(_amount(s) and s > 0 for s in value)
    return positive and all(a > b for a, b in pairwise(value))


def _origins(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    return all(isinstance(t, dict) and _text(t.get("source")) and _text(t.get("licence")) for t in value)


def _weights_files(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    # Plain names only: a card must not reach outside its folder.
    names = all(re.fullmatch(r"\w[\w.+-]*\.safetensors", name) for name in value)
    return names and all(isinstance(sha, str) and re.fullmatch("[0-9a-f]{64}", sha) for sha in value.values())


def _orders(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(_count(order) for order in value)


def _one_of(*choices: str) -> tuple[str, Callable[[Any], bool]]:
    return " or ".join(choices), lambda value: isinstance(value, str) and value in choices


_REMEDY = "correct the card, or export the model again"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": (
        "lower-case letters, digits, '-', '_' or '.'",
        lambda v: isinstance(v, str) and is_name(v),
    ),
    "version": ("a text", _text),
    "family": ("the name of a family of priors", _text),
    "source": ("what it is a prior of, such as speech", _text),
    "sample_rate": ("a whole number of Hz above zero", _count),
    "sigmas": ("a decreasing list of positive noise levels", _decreasing),
    "sigma_units": _one_of(*SIGMA_UNITS),
    "levels": ("a whole number above zero", _count),
    "conditioning": _one_of(*CONDITIONINGS),
    "smoothing_axis": _one_of(*SMOOTHING_AXES),
    "licence": ("the licence of the weights", _text),
    "trained_on": ("a list of tables, each with source and licence", _origins),
    "shown": ("the name of a separator", _text),
    "fill_orders": ("two whole numbers above zero", _orders),
    "fill_kind": _one_of(*KINDS),
    "trusted_rise_db": ("a number, not negative", _amount),
    "eased_db": ("a number, not negative", _amount),
    "command": ("a text", lambda v: isinstance(v, str)),
    "hours": ("a number, not negative", _amount),
    "audio_seconds": ("a number, not negative", _amount),
    "files": ("a table of safetensors file names and their sha256 (64 hex digits)", _weights_files),
    "network": ("a table of the network's sizes", lambda v: isinstance(v, dict)),
    "validation": ("a table of figures", lambda v: isinstance(v, dict)),
}
_REQUIRED = {"name", "family", "source", "sample_rate", "sigmas", "licence", "trained_on", "files", "network"}
