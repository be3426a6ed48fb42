"""The published PnF priors (github.com/vivjay30/pnf-sampling) as models of ours: one network a noise level.

What is read is the layout of these checkpoints, by the names and shapes of their tensors: a WaveNet of
weight-normalised convolutions whose input is a quantiser's index. docs/import-pnf.md has the layout and the units.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.errors import SettingError
from audiofix.hub.card import ModelCard, bad_model, is_name, level_file
from audiofix.hub.export import refuse_to_lose, write_model
from audiofix.hub.families import build_pnf_wavenet
from audiofix.hub.weights import save_weights

if TYPE_CHECKING:
    from torch import Tensor

    from audiofix.nets.pnf_wavenet import PnfWaveNetConfig

FAMILY = "pnf-wavenet"
QUANTISERS = ("auto", "linear", "mu-law")
SAMPLE_RATE, CYCLES = 22050, 3  # as published; neither is to be seen in a checkpoint
LICENCE = "not stated"
# By how much the index of silence is below the middle of the scale. The linear quantiser rounds (x + 1) 127.5; the
# mu-law one cuts (u + 1) 127.5 off, so that index k stands for what lies between k and k + 1.
BELOW_MIDDLE = {"linear": 0.0, "mu-law": 0.5}

_LEVEL = re.compile(r"checkpoints?[_-]?(\d+(?:(?:pt|\.)\d+)?)(?:\.pth|\.pt)?")
_PARTS = {
    r"first_conv\.": "first.",
    r"conv_layers\.(\d+)\.conv\.": r"layers.\1.dilated.",
    r"conv_layers\.(\d+)\.conv1x1_out\.": r"layers.\1.out.",
    r"conv_layers\.(\d+)\.conv1x1_skip\.": r"layers.\1.skip.",
    r"last_conv_layers\.1\.": "hidden.",
    r"last_conv_layers\.3\.": "head.",
}
_CONDITIONED = re.compile(r"upsample_net|embed_speakers|conv1x1c|conv1x1g")
_WHAT = "give the folder of one prior, with a folder such as checkpoints175pt9 for each noise level"


def import_pnf(
    checkpoints: Path,
    name: str,
    folder: Path,
    *,
    quantiser: str = "auto",
    source: str | None = None,
    licence: str = LICENCE,
    cycles: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ModelCard:
    """Write the model `folder` from a folder of published checkpoints, whole or not at all; returns its card.

    `quantiser`: linear or mu-law; auto looks at the settings and names of the folders. `source`: what it is a
    prior of; None: from the names. `cycles`: of dilations; None: from the settings, else 3. `progress` is told
    levels done and levels in all.

    Raises ModelError for what is no such checkpoint, SettingError for options, OutputError as `write_model` does.
    """
    if quantiser not in QUANTISERS:
        raise SettingError(f"there is no quantiser {quantiser!r}; choose one of {', '.join(QUANTISERS)}")
    if not is_name(name):
        raise SettingError(f"--name {name!r}: give lower-case letters, digits, '-', '_' or '.'")
    refuse_to_lose(Path(folder), overwrite)
    files = find_checkpoints(Path(checkpoints))
    settings = _settings(Path(checkpoints))
    axis = _axis(Path(checkpoints), settings) if quantiser == "auto" else quantiser
    cycles = cycles or int(settings.get("stacks", CYCLES))
    first = folded(read_state(next(iter(files.values()))), next(iter(files.values())))
    config = sizes_of(first, cycles, BELOW_MIDDLE[axis], next(iter(files.values())))
    spacing = 2 / (config.levels - 1)
    card = ModelCard(
        name=name,
        family=FAMILY,
        source=source or _source(Path(checkpoints), name),
        sample_rate=int(settings.get("sample_rate", SAMPLE_RATE)),
        sigmas=tuple(sigma * spacing for sigma in files),
        network=config.to_dict(),
        licence=licence,
        trained_on=(
            {"source": f"published checkpoints {Path(checkpoints).resolve().name}", "licence": licence},
        ),
        conditioning="per-level",
        sigma_units="level-spacings",
        levels=config.levels,
        smoothing_axis=axis,
        command=f"audiofix models import-pnf --name {name} --quantiser {axis}",
    )

    def write(part: Path) -> dict[str, str]:
        written = {}
        for done, (sigma, file) in enumerate(files.items()):
            state = renamed(folded(read_state(file), file), config, file)
            # Not in float16: the input goes up to 255, and a hundredth of a step counts.
            written[level_file(sigma)] = save_weights(part / level_file(sigma), state, exact=True)
            if progress is not None:
                progress(done + 1, len(files))
        return written

    return write_model(card, Path(folder), write, build_pnf_wavenet, overwrite=overwrite)


def find_checkpoints(folder: Path) -> dict[float, Path]:
    """Noise level in steps of the quantiser to its checkpoint, decreasing. Raises ModelError without any."""
    found: dict[float, Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise bad_model(folder, "folder", "a folder of checkpoints", error.strerror, _WHAT) from error
    for entry in entries:
        level = _LEVEL.fullmatch(entry.name)
        file = _latest(entry) if entry.is_dir() else entry
        if level is None or file is None:
            continue
        sigma = float(level[1].replace("pt", "."))
        if sigma in found:
            remedy = "leave one of them"
            raise bad_model(entry, "noise level", "one checkpoint a level", f"two of {sigma:g}", remedy)
        found[sigma] = file
    found.pop(0.0, None)
    if not found:
        within = [
            e.name for e in entries if e.is_dir() and any(_LEVEL.fullmatch(p.name) for p in e.iterdir())
        ]
        remedy = f"give one of {', '.join(within)} in it" if within else _WHAT
        raise bad_model(folder, "checkpoints", "checkpoints<sigma> such as checkpoints175pt9", "none", remedy)
    return dict(sorted(found.items(), reverse=True))


def _latest(folder: Path) -> Path | None:
    """The averaged weights, else the last ones."""
    for wanted in ("checkpoint_latest_ema.pth", "checkpoint_latest.pth"):
        if (folder / wanted).is_file():
            return folder / wanted
    steps = sorted(folder.glob("*_ema.pth")) or sorted(folder.glob("*.pth"))
    return steps[-1] if steps else None


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name; pickles are read with weights only. Raises ModelError."""
    import torch

    remedy = "fetch it again, or leave the file out if it is no checkpoint"
    try:
        handle = file.open("rb")
    except OSError as error:
        raise bad_model(file, "file", "a checkpoint", error.strerror, remedy) from error
    try:
        with handle:
            loaded: Any = torch.load(handle, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle fails in any way
        got = "something damaged, or a pickle of other objects, which is not read"
        raise bad_model(file, "content", "tensors and numbers saved by torch", got, remedy) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(v, torch.Tensor) for v in state.values())
    ):
        raise bad_model(file, "content", "a state_dict of tensors", type(loaded).__name__, remedy)
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def folded(state: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Weight normalisation taken out: w = g v / |v|, the norm over all but the first axis; float64.

    (Salimans & Kingma 2016, eq. 2.) Both of torch's namings are known. Raises ModelError for halves of a pair.
    """
    wide = {k.replace("parametrizations.weight.original0", "weight_g"): v.double() for k, v in state.items()}
    wide = {k.replace("parametrizations.weight.original1", "weight_v"): v for k, v in wide.items()}
    for direction in [key for key in wide if key.endswith("weight_v")]:
        size = direction.removesuffix("v") + "g"
        v, g = wide.pop(direction), wide.pop(size, None)
        if v.ndim < 2 or g is None or g.numel() != len(v):
            got = "none" if g is None else f"{tuple(g.shape)} for {tuple(v.shape)}"
            raise bad_model(
                file, size, "one number for each output of weight_v", got, "it is no such checkpoint"
            )
        norm = v.flatten(1).norm(dim=1)
        wide[direction.removesuffix("_v")] = v * (g.flatten() / norm).view(-1, *(1,) * (v.ndim - 1))
    return wide


def sizes_of(state: dict[str, Tensor], cycles: int, below: float, file: Path) -> PnfWaveNetConfig:
    """The network's sizes, from its folded tensors. Raises ModelError where it is no such network."""
    from audiofix.nets.pnf_wavenet import PnfWaveNetConfig

    strange = next((key for key in state if _CONDITIONED.search(key)), None)
    if strange is not None:
        remedy = "take one that was trained without; audiofix has nothing to show it"
        raise bad_model(file, strange, "an unconditional network", "one conditioned on something", remedy)
    try:
        residual, inputs, _ = state["first_conv.weight"].shape
        gate, _, kernel = state["conv_layers.0.conv.weight"].shape
        levels, skip, _ = state["last_conv_layers.3.weight"].shape
    except (KeyError, ValueError) as error:
        got = f"tensors such as {', '.join(list(state)[:2])}"
        raise bad_model(
            file, "tensors", "those of the published WaveNet", got, "it is no such checkpoint"
        ) from error
    if inputs != 1:
        remedy = "PnF needs a network of real-valued input"
        raise bad_model(file, "first_conv", "1 input, the quantiser's index", f"{inputs} (one-hot)", remedy)
    layers = len({key.split(".")[1] for key in state if key.startswith("conv_layers.")})
    centre = (levels - 1) / 2 - below
    try:
        return PnfWaveNetConfig(levels, layers, cycles, residual, gate, skip, kernel, centre)
    except (ValueError, ZeroDivisionError) as error:
        remedy = "say how many cycles of dilations there are with --cycles"
        raise bad_model(file, "layers", f"{cycles} equal cycles", error, remedy) from error


def renamed(state: dict[str, Tensor], config: PnfWaveNetConfig, file: Path) -> dict[str, Tensor]:
    """The folded tensors under our network's names. Raises ModelError unless they are exactly its."""
    import torch

    from audiofix.nets.pnf_wavenet import PnfWaveNet

    with torch.device("meta"):
        wanted = PnfWaveNet(config).state_dict()
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        name = next((re.sub(p, to, key) for p, to in _PARTS.items() if re.match(p, key)), key)
        narrow = value.ndim == 3 and name in wanted and wanted[name].ndim == 2
        ours[name] = value.squeeze(2) if narrow else value
    wrong = sorted(set(ours) ^ set(wanted)) or [k for k in wanted if ours[k].shape != wanted[k].shape]
    if wrong:
        got = f"{tuple(ours[wrong[0]].shape)}" if wrong[0] in ours else "none"
        due = f"{tuple(wanted[wrong[0]].shape)}" if wrong[0] in wanted else "no such tensor"
        remedy = "all levels must be of one network, as published"
        raise bad_model(file, wrong[0], due, got, remedy)
    return {name: ours[name] for name in wanted}


def _settings(folder: Path) -> dict[str, Any]:
    """What a settings file beside the checkpoints says; nothing where there is none."""
    for home in (folder, folder.resolve().parent):
        for name in ("hparams.json", "config.json"):
            file = home / name
            if not file.is_file():
                continue
            try:
                values = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise bad_model(file, "file", "settings in JSON", error, "correct or remove it") from error
            if isinstance(values, dict) and "input_type" in values:
                return values
    return {}


def _axis(folder: Path, settings: dict[str, Any]) -> str:
    """Name of the axis. Raises ModelError for other settings, SettingError where nothing says it."""
    stated = settings.get("input_type")
    if stated is not None:
        if stated not in ("linear-quantize", "mulaw-quantize"):
            expected = "linear-quantize or mulaw-quantize"
            raise bad_model(folder, "input_type", expected, repr(stated), "it is no such checkpoint")
        return "linear" if stated == "linear-quantize" else "mu-law"
    for part in reversed(folder.resolve().parts[-3:]):
        if ("linear" in part.lower()) != ("mulaw" in part.lower()):
            return "linear" if "linear" in part.lower() else "mu-law"
    raise SettingError(
        f"nothing in or beside {folder} says which quantiser it is; give --quantiser linear or mu-law"
    )


def _source(folder: Path, name: str) -> str:
    """What it is a prior of, by the names; without a hint the model's own name."""
    for word, source in (("piano", "piano"), ("vctk", "speech"), ("speech", "speech"), ("voice", "speech")):
        if word in name.lower() or word in folder.resolve().name.lower():
            return source
    return name


__all__ = [
    "LICENCE",
    "QUANTISERS",
    "find_checkpoints",
    "folded",
    "import_pnf",
    "read_state",
    "renamed",
    "sizes_of",
]
