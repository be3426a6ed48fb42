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

from audiofix.cli import options, show, train_options
from audiofix.errors import SettingError

if TYPE_CHECKING:
    from audiofix.hub.card import ModelCard
    from audiofix.training.config import TrainConfig
    from audiofix.training.team import Team
    from audiofix.training.trainer import Trainer

STOPPED = 130  # 128 + SIGINT


def train(
    config: options.ConfigFile,
    folder: options.RunFolder = None,
    hours: options.Hours = None,
    resume: options.Resume = True,
    threads: options.Threads = 1,
    export: options.Export = None,
    start: options.StartFrom = None,
    overwrite: options.Overwrite = False,
    data: train_options.Data = None,
    valid: train_options.Valid = None,
    steps: train_options.Steps = None,
    device: train_options.Device = None,
    _debug: options.Debug = False,
) -> None:
    """Train a prior on folders or sets of audio; Ctrl-C saves, and the same command goes on.

    By torchrun --nproc-per-node N -m audiofix train ... N processes train it together.
    """
    import torch

    from audiofix.runtime.memory import keep_freed_memory
    from audiofix.training.config import read_config
    from audiofix.training.team import join, leave

    settings = _changed(read_config(config), data, valid, hours=hours, steps=steps, device=device)
    folder = folder or Path("runs") / settings.name
    torch.set_num_threads(threads)
    keep_freed_memory()
    given = {"--hours": hours and f"{hours:g}", "--data": data, "--valid": valid, "--steps": steps}
    again = shlex.join(
        ["audiofix", "train", str(config), "-o", str(folder), *_options({**given, "--device": device})]
    )
    if export is not None and not resume:
        raise SettingError("--export needs the checkpoint that --fresh sets aside; leave one of them out")
    team = join(settings.device)
    try:
        if team.world > 1:
            if export is not None:
                raise SettingError("--export is work for one process; leave torchrun out")
            each = os.environ.get("LOCAL_WORLD_SIZE", str(team.world))
            again = f"torchrun --nproc-per-node {each} -m {again}"
        if not resume and team.first:
            _set_aside(folder)
        _run(settings, folder, team, again, start, export, overwrite)
    finally:
        leave()


def _run(
    settings: TrainConfig,
    folder: Path,
    team: Team,
    again: str,
    start: str | None,
    export: Path | None,
    overwrite: bool,
) -> None:
    from audiofix.training.trainer import Trainer

    trainer = Trainer(settings, folder, team)
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
    if not fits or card.conditioning == "per-level":
        raise SettingError(
            f"{model} is a {card.family} model, conditioning {card.conditioning}; start from one "
            f"{family} network for all noise levels (an inpainter or upsampler: from a score prior)"
        )
    prior = load_prior(home)
    net = next(iter(prior.nets.values())) if card.family == "wavenet" else prior.net
    trainer.start_from(net, card.hours, card.audio_seconds)
    if trainer.team.first:
        show.say(f"starting from {card.name}: {card.hours:g} h of training")


def _train(trainer: Trainer, config: TrainConfig, again: str, resumed: bool) -> None:
    from audiofix.training.team import LostRank

    begun = resumed or trainer.progress.core_hours
    where = f"step {trainer.progress.step}, {trainer.progress.core_hours:.2f} h" if begun else "the beginning"
    audio = f"{trainer.seconds / 3600:.1f} h of audio"
    team = trainer.team
    if team.first:
        goal = f"{config.hours:g} h" + (f" or step {config.steps}" if config.steps else "")
        count = f" by {team.world} processes" if team.world > 1 else ""
        show.say(f"training {config.name} on {audio}{count}, from {where} to {goal}; {trainer.folder}")
        trainer.folder.mkdir(parents=True, exist_ok=True)
    try:
        with _stop_between_steps(trainer):
            for record in trainer.run():
                show.say(record_line(record))
    except _Stop:
        trainer.save()
        if not team.first:
            raise SystemExit(STOPPED) from None
        raise KeyboardInterrupt(
            f"stopped, saved at step {trainer.progress.step}; go on with: {again}"
        ) from None
    except KeyboardInterrupt:
        kept = trainer.checkpoint if trainer.checkpoint.exists() else "nothing yet"
        raise KeyboardInterrupt(f"stopped at once; last saved: {kept}; go on with: {again}") from None
    except LostRank as error:
        # The step that failed changed no weights, so they are those of the last one.
        trainer.save()
        kept = f"; saved at step {trainer.progress.step}" if team.first else ""
        raise LostRank(f"{error}{kept}; go on with: {again}") from error
    if team.first:
        show.say(f"trained; make a model of it with: {_alone(again)} --export models/{config.name}")


def _alone(again: str) -> str:
    """The command of one process."""
    return again[again.index("audiofix ") :]


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
        if trainer.team.first:
            show.warn("stopping after this step; once more to stop at once")

    def step_unless_asked() -> float:
        if trainer.team.any(asked):
            raise _Stop
        return step()

    before = signal.signal(signal.SIGINT, ask)
    if trainer.team.world > 1:
        # Schedulers, and torchrun when a process has gone, end processes by SIGTERM.
        signal.signal(signal.SIGTERM, ask)
    trainer.step = step_unless_asked  # type: ignore[method-assign]
    try:
        yield
    finally:
        trainer.step = step  # type: ignore[method-assign]
        signal.signal(signal.SIGINT, before)
        if trainer.team.world > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left to do is to save


def record_line(record: Mapping[str, Any]) -> str:
    """A record of the trainer as one line: where it is, then what was measured."""
    line = f"step {record['step']:>7}  {record['hours']:7.3f} h"
    if "audio_per_s" in record:
        loss = ", ".join(f"{record[unit]:.3f} {unit}" for unit in ("bits", "loss") if unit in record)
        return f"{line}  {loss}  {record['audio_per_s']:.2f} s of audio a second"
    for name, what in (
        ("denoise_gain_db", "denoise gain"),
        ("si_sdr_db", "SI-SDR"),
        ("envelope_error_db", "error of levels"),
    ):
        if name in record:
            each = " ".join(f"{sigma}:{gain:.2f}" for sigma, gain in record[name].items())
            line += f"  held out: {what} {record['mean_' + name]:.2f} dB ({each})"
    if "bits_per_sample" in record:
        line += f"  {sum(record['bits_per_sample'].values()) / len(record['bits_per_sample']):.3f} bits"
    return line


def _export(trainer: Trainer, config: TrainConfig, again: str, folder: Path, overwrite: bool) -> None:
    from audiofix.hub.registry import export_model

    card = _card(trainer, config, again, folder.resolve().name)
    card = export_model(trainer.average.cpu(), card, folder, overwrite=overwrite)
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
        sigmas=() if config.family == "envelope" else (config.sigma_max, config.sigma_min),
        network={},  # the export fills it in
        shown=config.shown,
        fill_orders=tuple(config.gaps["orders"]) if "orders" in config.gaps else None,
        fill_kind=config.gaps.get("kind"),
        trusted_rise_db=config.trusted_rise_db,
        eased_db=config.eased_db,
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


def _changed(
    config: TrainConfig, data: list[str] | None, valid: list[str] | None, **given: Any
) -> TrainConfig:
    """The config with what the options say instead; sets of --data bring their own licences."""
    from audiofix.training.sets import parse_set, told_of

    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    for text in (*(data or ()), *(valid or ())):
        parse_set(text)
    if data:
        told = told_of(data)
        licence = "; ".join(dict.fromkeys(one["licence"] for one in told))
        config = replace(
            config, train=tuple(data), valid=tuple(valid or data), trained_on=told, licence=licence
        )
    elif valid:
        config = replace(config, valid=tuple(valid))
    return config


def _options(given: Mapping[str, Any]) -> list[str]:
    """Options that were given, as words of a command; a list repeats its name."""
    values = (
        (name, v) for name, value in given.items() for v in (value if isinstance(value, list) else [value])
    )
    return [word for name, value in values if value is not None for word in (name, str(value))]
