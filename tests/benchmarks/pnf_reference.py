"""Our score of an imported PnF prior against the published code's own gradient.

    git clone https://github.com/vivjay30/pnf-sampling /tmp/pnf-sampling; pip install six
    python -m tests.benchmarks.pnf_reference --reference /tmp/pnf-sampling

The published code builds its networks of its two settings files, at full size, with random weights, and saves
them; we import the folder and ask the imported model. The score is compared with the gradient of its
`smoothed_loss` by the quantiser's index: per unit of u there are 127.5 indices, and on the mu-law axis
score_x = c'(x) score_u + (log c')'(x).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiofix.hub.import_pnf import import_pnf
from audiofix.hub.registry import load_prior

SIGMAS = {175.9: "175pt9", 34.0: "34pt0", 4.1: "4pt1", 0.625: "0pt625", 0.1: "0pt1"}
SETTINGS = {"linear": "linear_quantize_max_audio", "mu-law": "mulaw_maxaudio"}
ABSENT = ("docopt", "nnmnkwii", "nnmnkwii.preprocessing", "nnmnkwii.datasets", "tensorboardX", "lws")
TIME = 9000  # samples: more than the receptive field of 6139
TOLERANCE = 1e-5


class Absent(types.ModuleType):
    """A package that the published code imports but does not need to build, save or score a network."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def published(reference: Path) -> tuple[Any, Any]:
    """The published `train` module and its settings."""
    home = reference / "pnf-wavenet" if (reference / "pnf-wavenet").is_dir() else reference
    sys.path.insert(0, str(home))
    for name in ABSENT:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = Absent(name)
    return importlib.import_module("train"), importlib.import_module("hparams").hparams


def build(train: Any, seed: int, plain: bool) -> torch.nn.Module:
    """Their network, random: as they initialise it but for biases, or (not plain) kept from saturating."""
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        net: torch.nn.Module = train.build_model()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1)
            elif not plain and name == "first_conv.weight_g":
                parameter.mul_(0.02)  # of an input of up to 255, as a trained network would learn
    return net.eval()


def save(train: Any, net: torch.nn.Module, folder: Path) -> None:
    """As they save: with Adam's state, and the averaged weights beside."""
    folder.mkdir(parents=True)
    optimizer = torch.optim.Adam(net.parameters())
    average = types.SimpleNamespace(shadow={n: p.data for n, p in net.named_parameters()})
    train.global_step = 30000
    device = torch.device("cpu")
    with contextlib.redirect_stdout(io.StringIO()):
        train.save_checkpoint(device, net, optimizer, 30000, str(folder), 1, average)


def theirs(net: torch.nn.Module, index: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Gradient of the summed `smoothed_loss` by the index, and the share of it that comes through the network."""
    leaf = index[None].detach().requires_grad_(True)
    log_prob, prediction = net.smoothed_loss(leaf, sigma=sigma)
    (whole,) = torch.autograd.grad(log_prob.sum(), leaf)
    levels = torch.arange(prediction.shape[1], dtype=index.dtype)
    distance = index[1:, None] - levels
    weights = (prediction[0].detach().T - 0.5 * (distance / sigma) ** 2).softmax(dim=1)
    direct = torch.zeros_like(index)
    direct[1:] = -(weights * distance).sum(dim=1) / sigma**2
    return whole[0], (whole[0] - direct).norm() / whole[0].norm()


def expected(index: Tensor, by_index: Tensor, axis: str) -> tuple[Tensor, Tensor]:
    """Amplitude x of the indices, and what the score of x has to be, by the formulas above written out."""
    if axis == "linear":
        return (index - 127.5) / 127.5, by_index * 127.5
    u, mu = (index - 127.0) / 127.5, 255.0
    log = torch.log1p(torch.tensor(mu, dtype=u.dtype))
    x = u.sign() * torch.expm1(u.abs() * log) / mu
    slope = mu / (log * (1 + mu * x.abs()))
    return x, slope * by_index * 127.5 - mu * x.sign() / (1 + mu * x.abs())


def noisy(sigma: float, generator: torch.Generator) -> Tensor:
    """(time,) a chord's indices with noise of sigma steps on them."""
    time = torch.arange(TIME, dtype=torch.float64)
    clean = 127 + 60 * (0.031 * time).sin() + 30 * (0.123 * time).sin()
    return clean.round() + sigma * torch.randn(TIME, generator=generator, dtype=torch.float64)


def far(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """Relative difference: of the norms, and the largest over the largest."""
    difference = found.double() - wanted
    return float(difference.norm() / wanted.norm()), float(difference.abs().max() / wanted.abs().max())


def compare(prior: Any, own: float, net: Any, sigma: float, axis: str) -> tuple[float, list[float]]:
    """The network's share of their gradient, and five differences: ours in both precisions, theirs in single."""
    index = noisy(sigma, torch.Generator().manual_seed(0))
    single, _ = theirs(net, index.float(), sigma)
    by_index, share = theirs(net.double(), index, sigma)
    x, wanted = expected(index, by_index, axis)
    narrow = prior.score(x[None].float(), own)[0]
    prior.nets[own].double()
    wide = prior.score(x[None], own)[0]
    return float(share), [*far(wide, wanted), *far(narrow, wanted), far(single, by_index)[0]]


def imported(
    train: Any, settings: Any, folder: str, plain: bool, scratch: Path
) -> tuple[Any, Any, dict[float, Any]]:
    """Build, save and import; returns the card, our prior and their networks by sigma."""
    home, nets = scratch / folder / "prior", {}
    for seed, (sigma, text) in enumerate(SIGMAS.items()):
        nets[sigma] = build(train, seed, plain)
        save(train, nets[sigma], home / f"checkpoints{text}")
    stated = {name: getattr(settings, name) for name in ("input_type", "stacks", "sample_rate")}
    (home.parent / "config.json").write_text(json.dumps(stated))
    card = import_pnf(home, "proof", scratch / "proof")
    return card, load_prior(scratch / "proof"), nets


def main() -> None:
    """Print a row for each quantiser, kind of weights and sigma; the exit status is 1 above 1e-5 in float64."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reference", type=Path, required=True, help="folder of the published code")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    train, settings = published(arguments.reference)
    worst = 0.0
    print("relative difference of scores; largest: over the largest score; network: its share of the score")
    print("                                             ours in float64   ours in float32   theirs")
    print("quantiser  weights         steps    network    norm   largest    norm   largest   in float32")
    for axis, folder in SETTINGS.items():
        settings.parse_json((Path(train.__file__).parent / "egs" / folder / "config.json").read_text())
        for plain in (True, False):
            with tempfile.TemporaryDirectory() as scratch:
                card, prior, nets = imported(train, settings, folder, plain, Path(scratch))
                if card.smoothing_axis != axis:
                    raise SystemExit(f"{folder} was taken for {card.smoothing_axis}")
                for own, (sigma, net) in zip(prior.sigmas, nets.items(), strict=True):
                    share, figures = compare(prior, own, net, sigma, axis)
                    worst = max(worst, *figures[:2])
                    kind = "as initialised" if plain else "unsaturated"
                    row = "  ".join(f"{v:.1e}" for v in figures)
                    print(f"{axis:9}  {kind:14} {sigma:6g}  {100 * share:7.1f} %  {row}", flush=True)
    print(f"worst in float64: {worst:.1e} (to be at most {TOLERANCE:.0e})")
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
