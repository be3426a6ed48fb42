"""`audiofix train`: train a prior, go on with it, or turn its checkpoint into a model."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import options, show
from audiofix.errors import SettingError

if TYPE_CHECKING:
    from audiofix.hub.card import ModelCard
    from audiofix.training.config import TrainConfig
    from audiofix.training.trainer import Trainer


def train(
    config: options.ConfigFile,
    folder: options.RunFolder = None,
    hours: options.Hours = None,
    resume: options.Resume = True,
    threads: options.Threads = 1,
    export: options.Export = None,
    start: options.StartFrom = None,
    overwrite: options.Overwrite = False,
    _debug: options.Debug = False,
) -> None:
    """Train a prior on folders of audio; Ctrl-C saves, and the same command goes on."""
    import torch

    from audiofix.runtime.memory import keep_freed_memory
    from audiofix.training.config import read_config
    from audiofix.training.trainer import Trainer

    settings = read_config(config)
    if hours is not None:
        settings = replace(settings, hours=hours)
    folder = folder or Path("runs") / settings.name
    torch.set_num_threads(threads)
    keep_freed_memory()
    again = shlex.join(["audiofix", "train", str(config), "-o", str(folder), *_hours(hours)])
    if export is not None and not resume:
        raise SettingError("--export needs the checkpoint that --fresh sets aside; leave one of them out")
    if not resume:
        _set_aside(folder)
    trainer = Trainer(settings, folder)
    resumed = trainer.resume()
    if start is not None and not resumed:
        _start_from(trainer, start)
    if export is not None:
        if not resumed:
            raise SettingError(
                f"{trainer.checkpoint} does not exist, so there is nothing to export; train first"
            )
        _export(trainer, settings, again, export, overwrite)
        return
    _train(trainer, settings, again, resumed)


def _start_from(trainer: Trainer, model: str) -> None:
    """Begin with a model's weights and its hours, which count towards the budget."""
    from audiofix.hub.registry import load_prior, resolve_model

    card, home = resolve_model(model)
    family = trainer.config.family
    fits = card.family == family or (card.family == "score" and family in ("inpainter", "upsampler"))
    if not fits or card.conditioning != "sigma":
        raise SettingError(
            f"{model} is a {card.family} model, conditioning {card.conditioning}; start from one "
            f"{family} network conditioned on sigma (an inpainter or upsampler: from a score prior)"
        )
    prior = load_prior(home)
    net = next(iter(prior.nets.values())) if card.family == "wavenet" else prior.net
    trainer.start_from(net, card.hours, card.audio_seconds)
    show.say(f"starting from {card.name}: {card.hours:g} h of training")


def _train(trainer: Trainer, config: TrainConfig, again: str, resumed: bool) -> None:
    begun = resumed or trainer.progress.core_hours
    where = f"step {trainer.progress.step}, {trainer.progress.core_hours:.2f} h" if begun else "the beginning"
    audio = f"{trainer.seconds / 3600:.1f} h of audio"
    show.say(f"training {config.name} on {audio}, from {where} to {config.hours:g} h; {trainer.folder}")
    trainer.folder.mkdir(parents=True, exist_ok=True)
    try:
        with _stop_between_steps(trainer):
            for record in trainer.run():
                show.say(record_line(record))
    except _Stop:
        trainer.save()
        raise KeyboardInterrupt(
            f"stopped, saved at step {trainer.progress.step}; go on with: {again}"
        ) from None
    except KeyboardInterrupt:
        kept = trainer.checkpoint if trainer.checkpoint.exists() else "nothing yet"
        raise KeyboardInterrupt(f"stopped at once; last saved: {kept}; go on with: {again}") from None
    show.say(f"trained; make a model of it with: {again} --export models/{config.name}")


class _Stop(Exception):
    """Ctrl-C, seen between two steps."""


@contextmanager
def _stop_between_steps(trainer: Trainer) -> Iterator[None]:
    """Turn the first Ctrl-C into _Stop before the next step, so that no step is saved half-done."""
    asked = False
    step = trainer.step

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait
        show.warn("stopping after this step; once more to stop at once")

    def step_unless_asked() -> float:
        if asked:
            raise _Stop
        return step()

    before = signal.signal(signal.SIGINT, ask)
    trainer.step = step_unless_asked  # type: ignore[method-assign]
    try:
        yield
    finally:
        trainer.step = step  # type: ignore[method-assign]
        signal.signal(signal.SIGINT, before)


def record_line(record: Mapping[str, Any]) -> str:
    """A record of the trainer as one line: where it is, then what was measured."""
    line = f"step {record['step']:>7}  {record['hours']:7.3f} h"
    if "audio_per_s" in record:
        loss = ", ".join(f"{record[unit]:.3f} {unit}" for unit in ("bits", "loss") if unit in record)
        return f"{line}  {loss}  {record['audio_per_s']:.2f} s of audio a second"
    for name, what in (("denoise_gain_db", "denoise gain"), ("si_sdr_db", "SI-SDR")):
        if name in record:
            each = " ".join(f"{sigma}:{gain:.2f}" for sigma, gain in record[name].items())
            line += f"  held out: {what} {record['mean_' + name]:.2f} dB (by sigma {each})"
    if "bits_per_sample" in record:
        line += f"  {sum(record['bits_per_sample'].values()) / len(record['bits_per_sample']):.3f} bits"
    return line


def _export(trainer: Trainer, config: TrainConfig, again: str, folder: Path, overwrite: bool) -> None:
    from audiofix.hub.registry import export_model

    card = _card(trainer, config, again, folder.resolve().name)
    card = export_model(trainer.average, card, folder, overwrite=overwrite)
    figures = {name: value for name, value in card.validation.items() if name.startswith("mean_")}
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in figures.items())
    show.say(f"{folder}: model {card.name}, {card.hours:g} h, {shown}")


def _card(trainer: Trainer, config: TrainConfig, command: str, name: str) -> ModelCard:
    from audiofix.hub.card import ModelCard

    return ModelCard(
        name=name,
        family=config.family,
        source=config.source,
        sample_rate=config.sample_rate,
        sigmas=(config.sigma_max, config.sigma_min),
        network={},  # the export fills it in
        shown=config.shown,
        licence=config.licence,
        trained_on=config.trained_on,
        command=command,
        hours=round(trainer.progress.core_hours, 3),
        audio_seconds=round(trainer.progress.audio_seconds, 1),
        validation=_validation(trainer),
    )


def _validation(trainer: Trainer) -> dict[str, Any]:
    """The last figures in the log if they are of these very weights, else new ones."""
    try:
        last = json.loads((trainer.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    except (OSError, ValueError, IndexError):
        last = {}
    progress = trainer.progress
    if last.get("step") == progress.step:
        return dict(last)
    show.warn("the log has no figures for this checkpoint; validating now")
    where = {"step": progress.step, "hours": progress.hours, "core_hours": progress.core_hours}
    return {**where, **trainer.validate()}


def _set_aside(folder: Path) -> None:
    """Keep an earlier run's checkpoint and log under another name."""
    for file in (folder / "checkpoint.pt", folder / "log.jsonl"):
        if file.exists():
            os.replace(file, file.with_name(f"{file.stem}.previous{file.suffix}"))


def _hours(hours: float | None) -> list[str]:
    return [] if hours is None else ["--hours", f"{hours:g}"]
