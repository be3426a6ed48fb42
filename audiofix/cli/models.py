"""`audiofix models`: which priors there are, what they are, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from audiofix.cli import import_pnf, options, show
from audiofix.cli.output import dump_json
from audiofix.errors import ModelError

if TYPE_CHECKING:
    from audiofix.hub.card import ModelCard

# The figures that models are chosen by (`audiofix.choosing`), as a table shows them.
MEASURED = {
    "mean_si_sdr_db": "SI-SDR",
    "mean_denoise_gain_db": "gain",
    "mean_snr_in_gaps_db": "SNR in gaps",
    "mean_envelope_error_db": "error",
}
app = typer.Typer(help="List, show, verify and import the priors that can be used.", no_args_is_help=True)
app.command("import-pnf")(import_pnf.import_pnf)


@app.command("list")
def list_models(as_json: options.Json = False, _debug: options.Debug = False) -> None:
    """List all models that can be found."""
    from audiofix.hub.registry import model_folders, scan_models

    found = scan_models()
    for problem in found.problems.values():
        show.warn(f"model left out: {problem}")
    models = [found.models[name] for name in sorted(found.models)]
    if as_json:
        show.say(dump_json([_described(card, folder) for card, folder in models]))
        return
    if not models:
        searched = ", ".join(map(str, model_folders())) or "none"
        show.say(f"no models; folders searched: {searched}; AUDIOFIX_MODELS names more")
        return
    columns = ("name", "source", "family", "Hz", "MB", "hours", "measured", "licence", "folder")
    rows = [
        [
            c.name,
            c.source,
            c.family,
            c.sample_rate,
            _size(c, folder),
            f"{c.hours:g}",
            _measured(c),
            c.licence,
            folder,
        ]
        for c, folder in models
    ]
    show.table(columns, rows)
    show.say(
        "held out: SI-SDR of a separator's one call on mixtures at 0 dB; denoise gain of a prior, mean over "
        "sigma; SNR in gaps, mean over 20 to 200 ms; error of the levels of missing bands, mean over cut-offs"
    )


@app.command("show")
def show_model(name: options.ModelName, as_json: options.Json = False, _debug: options.Debug = False) -> None:
    """Show a model's card: what it is, where it came from, how good it is."""
    from audiofix.hub.registry import find_model

    described = _described(*find_model(name))
    if as_json:
        show.say(dump_json(described))
        return
    described["sigmas"] = ", ".join(f"{sigma:g}" for sigma in described["sigmas"])
    described["trained_on"] = "; ".join(f"{t['source']} ({t['licence']})" for t in described["trained_on"])
    for key in ("files", "network", "validation"):
        described[key] = ", ".join(f"{k} {v}" for k, v in _flat(described[key]))
    show.facts({key.replace("_", " "): value for key, value in described.items() if value not in ("", None)})


@app.command("verify")
def verify_models(name: options.SomeModel = None, _debug: options.Debug = False) -> None:
    """Check hashes and load the weights; the exit status is 4 when anything is wrong."""
    from audiofix.hub.registry import find_model, scan_models, verify

    found = scan_models()
    broken = 0
    if name is None:
        models = [found.models[known] for known in sorted(found.models)]
        for problem in found.problems.values():
            show.warn(str(problem))
            broken += 1
    else:
        models = [find_model(name)]
    for card, folder in models:
        problems = verify(card, folder)
        for line in problems:
            show.warn(line)
        broken += bool(problems)
        show.say(f"{card.name}: {'not usable' if problems else 'whole'} ({folder})")
    if broken:
        raise ModelError(
            f"{broken} of {max(len(models), broken)} models not usable; what is wrong stands above"
        )
    if not models:
        raise ModelError("there is no model to verify; AUDIOFIX_MODELS names folders of models")


def _size(card: ModelCard, folder: Path) -> str:
    """Megabytes of the weights that are there."""
    found = [folder / name for name in card.files]
    return f"{sum(file.stat().st_size for file in found if file.exists()) / 1e6:.1f}"


def _measured(card: ModelCard) -> str:
    """The figure that models of its kind are chosen by (`audiofix.choosing`)."""
    for name, what in MEASURED.items():
        if name in card.validation:
            return f"{what} {card.validation[name]:.2f} dB"
    return "-"


def _described(card: ModelCard, folder: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from audiofix.hub.registry import model_hash

    return {**asdict(card), "hash": model_hash(card), "folder": str(folder), "axis_note": card.axis_note}


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        pairs += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]
    return pairs
