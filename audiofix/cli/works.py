"""What each command does with one of many files. These objects travel to worker processes."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from audiofix.batch.plan import Item
from audiofix.batch.work import Made, settings_hash
from audiofix.cli import output, repair, separate
from audiofix.cli.many import Stage
from audiofix.errors import SettingError

ELSEWHERE = {"device"}  # settings that say where to compute, not what


@dataclasses.dataclass(frozen=True)
class _Works(abc.ABC):
    """What the commands have in common."""

    job: Any  # of the command
    task = ""
    folders = False

    @property
    def overwrite(self) -> bool:
        return bool(self.job.overwrite)

    @property
    def dry_run(self) -> bool:
        return bool(self.job.dry_run)

    @property
    def as_json(self) -> bool:
        return bool(self.job.as_json)

    @property
    def prior(self) -> str:
        """Models that were named."""
        return self.job.settings["prior"] or ""

    @functools.cached_property
    def settings(self) -> str:
        """Hash of all that results depend on, but recordings and shipped models."""
        return settings_hash({"task": self.task, **self._settings(), "models": self._named_models()})

    @abc.abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What results depend on beside the recording and the models."""

    def models(self) -> dict[str, str]:
        """Hashes of the models there are, by name."""
        from audiofix.hub.registry import model_hash, scan_models

        return {
            name: model_hash(card) for name, (card, _) in scan_models().models.items()
        } | self._named_models()

    def _named_models(self) -> dict[str, str]:
        from audiofix.hub.registry import model_hash, resolve_model

        cards = [resolve_model(name)[0] for name in self.prior.split(",") if "/" in name or os.sep in name]
        return {card.name: model_hash(card) for card in cards}

    @contextlib.contextmanager
    def session(self, threads: int | None) -> Iterator[None]:
        """Models stay loaded, freed memory stays in the process, torch has its share of the cores."""
        import torch

        from audiofix.hub.registry import keeping_models
        from audiofix.runtime.memory import keep_freed_memory

        whole = torch.get_num_threads()
        if threads is not None:
            torch.set_num_threads(threads)
        keep_freed_memory()
        try:
            with keeping_models():
                yield
        finally:
            torch.set_num_threads(whole)

    def on_device(self, place: int) -> dict[str, Any]:
        """The job's settings, with a GPU of its own for each worker where the user named none."""
        settings = dict(self.job.settings)
        if settings["device"] in ("auto", "cuda"):
            import torch

            if torch.cuda.device_count() > 1:
                settings["device"] = f"cuda:{place % torch.cuda.device_count()}"
        return settings

    def stage(self, part: Path) -> Stage:
        """What the job needs to know of the run."""
        return Stage(part, {"task": self.task, "settings": self.settings})

    def report_of(self, report: Path, sha256: str) -> dict[str, Any] | None:
        """A report of this very content with these settings, else None."""
        try:
            found = json.loads(report.read_text(encoding="utf-8"))
            wanted = {"task": self.task, "settings": self.settings}
            return found if found["batch"] == wanted and found["input"]["sha256"] == sha256 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclasses.dataclass(frozen=True)
class Separating(_Works):
    """`audiofix separate`: a folder for each mixture."""

    job: separate.Job
    task = "separate"
    folders = True

    @property
    def destination(self) -> Path:
        """Folder of all results."""
        return self.job.parent

    def check(self) -> None:
        """Raise SettingError for options that are for one file."""
        if self.job.references:
            raise SettingError("--reference is for one mixture and many are given; give one at a time")

    def _settings(self) -> dict[str, Any]:
        job = self.job
        chosen = {name: value for name, value in job.settings.items() if name not in ELSEWHERE}
        init = str(job.init) if job.init else None
        return {
            "sources": job.sources,
            **chosen,
            "residual": job.residual,
            "spread": job.spread,
            "init": init,
        }

    def alone(self, item: Item) -> None:
        """Do the one file of a dry run."""
        separate.separate_one(item.path, self._job(item))

    def do(self, item: Item, part: Path, replaces: bool, place: int) -> Made:
        """As `audiofix.batch.work.Work` says."""
        job = dataclasses.replace(
            self._job(item), overwrite=replaces, stage=self.stage(part), settings=self.on_device(place)
        )
        report = separate.separate_one(item.path, job)
        assert report is not None  # not a dry run
        return Made([(part, output.folder_of(item.path, job.parent))], report["models"])

    def found(self, item: Item, sha256: str) -> Made | None:
        """As `audiofix.batch.work.Work` says."""
        folder = output.folder_of(item.path, self._job(item).parent)
        report = self.report_of(folder / output.REPORT, sha256)
        if report is None or not all((folder / name).is_file() for name in report["output"]["files"]):
            return None
        return Made([(folder, folder)], report["models"])

    def _job(self, item: Item) -> separate.Job:
        """Below the folder of results, and of stems to begin with, as the recording lies below its own."""
        job, below = self.job, PurePosixPath(item.name).parent
        init = job.init / below if job.init and (job.init / below).is_dir() else job.init
        return dataclasses.replace(job, parent=job.parent / below, init=init)


@dataclasses.dataclass(frozen=True)
class Restoring(_Works):
    """The restoring commands: files that keep their names."""

    job: repair.Job

    @property
    def task(self) -> str:  # type: ignore[override]
        """Name of the command."""
        return self.job.task

    @property
    def destination(self) -> Path:
        """Folder of all results."""
        return self.job.destination

    def check(self) -> None:
        """Raise SettingError for options that are for one file."""
        if self.job.reference:
            raise SettingError("--reference is for one file and many are given; give one at a time")
        if self.job.confirm is not None:
            raise SettingError(
                "many files are not asked about one by one; add --yes to go on with what is found, or give --ops"
            )

    def _settings(self) -> dict[str, Any]:
        job = self.job
        wanted = None if job.wanted is None else [dataclasses.astuple(one) for one in job.wanted]
        chosen = {name: value for name, value in job.settings.items() if name not in ELSEWHERE}
        files = {"gaps": _hash_of(job.gaps_file), "noise": _hash_of(job.noise_profile)}
        return {"wanted": wanted, **chosen, **files, "plot": job.plot, "compare": job.compare}

    def alone(self, item: Item) -> None:
        """Do the one file of a dry run."""
        repair.restore_one(item.path, self.destination / item.name, [item.path], self.job)

    def do(self, item: Item, part: Path, replaces: bool, place: int) -> Made:
        """As `audiofix.batch.work.Work` says."""
        stage, settings = self.stage(part), self.on_device(place)
        job = dataclasses.replace(self.job, overwrite=replaces, stage=stage, settings=settings)
        target = self.destination / item.name
        given = [item.path, *(file for file in (job.gaps_file, job.noise_profile) if file)]
        report = repair.restore_one(item.path, target, given, job)
        if report is None:
            return Made([])
        names = sorted(file.name for file in part.iterdir())
        names.sort(key=lambda name: name.endswith(".report.json"))  # last: where it is, all is
        return Made([(part / name, target.parent / name) for name in names], report["models"])

    def found(self, item: Item, sha256: str) -> Made | None:
        """As `audiofix.batch.work.Work` says."""
        target = self.destination / item.name
        report = self.report_of(target.parent / f"{target.stem}.report.json", sha256)
        places = (
            [target.parent / Path(file).name for file in report["output"]["files"].values()] if report else []
        )
        if report is None or not all(place.is_file() for place in places):
            return None
        return Made([(place, place) for place in places], report["models"])


def _hash_of(file: Path | None) -> str | None:
    """Hash of a file that results depend on. Raises SettingError."""
    if file is None:
        return None
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise SettingError(f"{file} cannot be read ({error.strerror}); check its name") from error
