"""Tracks through systems: what is left to do, one item at a time, in this process or in several."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from audiofix.datasets.base import Group, Preparation, Track, load
from audiofix.errors import AudiofixError, OutputError, SettingError
from audiofix.evaluation.scores import SPOKEN, improved, score, untouched
from audiofix.evaluation.store import write_clean, write_result
from audiofix.evaluation.systems.base import RESTORED, System, Task, load_system
from audiofix.evaluation.tasks import AS_GIVEN, DAMAGES, restoration, separation
from audiofix.hub.registry import Kept

Row = dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """A system as asked for: its name in results, its name in SYSTEMS, and the options of its factory.

    `told`: what its figures depend on and its label does not say. It stands in each row.
    """

    label: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One task to be made: of a track, and for a restoration of one group of it at one strength."""

    track: Track
    group: Group | None = None
    value: float | None = None

    @property
    def name(self) -> str:
        """As in results: the track's, with the source's where there are several."""
        return f"{self.track.name}/{self.group.name}" if self.group else self.track.name


@dataclass(frozen=True)
class Plan:
    """A whole run, the same for every item of it."""

    kind: str
    items: tuple[Item, ...]
    groups: tuple[Group, ...]
    specs: tuple[Spec, ...]
    prepare: Preparation
    metrics: tuple[str, ...]
    seed: int
    folder: Path
    done: frozenset[tuple[str, str, str]] = frozenset()  # (track, setting, system) of earlier results
    low_pass: bool = True  # before every k-th sample is taken, to be upsampled


def items_of(
    tracks: Sequence[Track], kind: str, groups: Sequence[Group], values: Sequence[float | None]
) -> tuple[Item, ...]:
    """Every task of the tracks: one each to separate; to restore, one for each group and strength."""
    if kind == "separate":
        return tuple(Item(track) for track in tracks)
    return tuple(
        Item(track, group, value)
        for track in tracks
        for group in groups
        for value in ((None,) if track.given else values)
    )


def setting_of(kind: str, item: Item) -> str:
    """The strength of an item as it stands in results; empty for separation."""
    if item.value is None:
        return AS_GIVEN if item.track.given else ""
    return DAMAGES[kind].label(item.value)


def part(items: Sequence[Item], index: int, count: int) -> tuple[Item, ...]:
    """The items of shard `index` of `count`, from 1; every track whole in one shard, and shards alike in size."""
    names = list(dict.fromkeys(item.track.name for item in items))
    mine = set(names[index - 1 :: count])
    return tuple(item for item in items if item.track.name in mine)


def make_task(plan: Plan, item: Item) -> Task:
    """Read the track and make the task of it."""
    groups = plan.groups if item.group is None else (item.group,)
    material = load(item.track, groups, plan.prepare)
    if item.group is None:
        return separation(item.name, material, plan.seed)
    return restoration(plan.kind, item.name, material, item.value, plan.seed, plan.low_pass)


def run(plan: Plan, jobs: int = 1, systems: Mapping[str, System] | None = None) -> Iterator[list[Row]]:
    """The rows of each item that has any left to do, as they come; with jobs in no order.

    `systems`: those of the plan where they were `made` before. A system's failure is a row with `error` and ends
    nothing. Raises SettingError for systems that cannot do the task or be made, before anything is computed.
    """
    systems = systems or made(plan)
    left = [item for item in plan.items if missing(plan, item)]
    if jobs == 1 or len(left) < 2:
        for item in left:
            yield run_item(plan, item, systems)
        return
    yield from _in_processes(plan, left, min(jobs, len(left)))


def missing(plan: Plan, item: Item) -> list[Spec]:
    """The systems that have no result of an item yet."""
    setting = setting_of(plan.kind, item)
    return [spec for spec in plan.specs if (item.name, setting, spec.label) not in plan.done]


def made(plan: Plan) -> dict[str, System]:
    """Every system of the plan by its label. Raises SettingError."""
    systems: dict[str, System] = {}
    kept = Kept()
    for spec in plan.specs:
        systems[spec.label] = system = load_system(spec.name, {**spec.options, "kept": kept})
        if plan.kind not in system.kinds:
            able = sorted(system.kinds)
            raise SettingError(
                f"{spec.label} cannot do {plan.kind}, only {', '.join(able)}; give --task {' or '.join(able)}, or "
                "leave it out"
            )
        real = bool(plan.items) and all(item.track.given for item in plan.items)
        if real and plan.kind in getattr(system, "told", ()):
            raise SettingError(
                f"{spec.label} has to be told what was done to a recording, and of those in the column `given` "
                "nobody knows; leave it out"
            )
        if check := getattr(system, "check", None):
            separate = plan.kind == "separate"
            check(plan.kind, [group.name for group in plan.groups] if separate else [RESTORED])
    return systems


def run_item(plan: Plan, item: Item, systems: Mapping[str, System]) -> list[Row]:
    """One row for each system that has none yet."""
    specs, setting = missing(plan, item), setting_of(plan.kind, item)
    base: Row = {"track": item.name, "kind": plan.kind, "setting": setting}
    try:
        task = make_task(plan, item)
        spoken = _spoken(task, item)
        before = score(task, untouched(task), [m for m in plan.metrics if m != "si_sdr_improvement"], spoken)
        files = write_clean(plan.folder, task, setting)
    except OutputError:
        raise  # a full disk is no fault of a track
    except Exception as error:  # the track's own: no system can do it
        failed: Row = {"scores": {}, "before": {}, "error": _said(error)}
        return [{**base, "system": spec.label, **failed} for spec in specs]
    rows = []
    for spec in specs:
        row: Row = {**base, "system": spec.label, "scores": {}, "before": before, "files": files}
        row |= {"options": dict(spec.told)} if spec.told else {}
        row |= {"seconds": None, "audio_seconds": task.given.seconds, "oracle": systems[spec.label].oracle}
        given, system = _copy(task), systems[spec.label]
        began = time.perf_counter() - _loading(system)
        try:
            found = system.run(given)
            row["seconds"] = round(time.perf_counter() - _loading(system) - began, 4)
            scores = score(task, found, plan.metrics, spoken)
            gains = "si_sdr_improvement" in plan.metrics and "si_sdr" in plan.metrics
            row["scores"] = improved(scores, before) if gains else scores
            row["files"] = files | write_result(plan.folder, task, setting, spec.label, found)
        except OutputError:
            raise
        except Exception as error:  # the system's own: one track must not end the night's run
            row["error"] = _said(error)
        rows.append(row)
    return rows


def _loading(system: System) -> float:
    """Seconds that it has spent on reading its models so far."""
    return float(getattr(system, "loading", 0.0))


def _copy(task: Task) -> Task:
    """For a system to do with as it likes: what the next one gets and is scored by stays as it is."""
    given = replace(task.given, samples=task.given.samples.clone())
    return replace(task, given=given, clean={name: wave.clone() for name, wave in task.clean.items()})


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, AudiofixError) else f"{type(error).__name__}: {error}"


def _spoken(task: Task, item: Item) -> list[str]:
    if item.group is None:
        return [name for name in task.clean if name in SPOKEN]
    return [RESTORED] if item.group.name in SPOKEN or item.group.source in SPOKEN else []


_state: dict[str, Any] = {}  # of a worker process: what `_begin` was given, for every item


def _in_processes(plan: Plan, items: Sequence[Item], jobs: int) -> Iterator[list[Row]]:
    context = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
    threads = max(1, (os.cpu_count() or 1) // jobs)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, context, _begin, (plan, threads))
    waiting: set[Future[list[Row]]] = set()
    try:
        for item in items:
            if len(waiting) >= 2 * jobs:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in ready)
            waiting.add(pool.submit(_work, item))
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in ready)
    except BrokenProcessPool as error:
        raise AudiofixError(
            "a worker process died, most likely of too little memory; run the same command again with fewer --jobs"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if waiting:  # stopped: nobody wants what is under way
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()


def _begin(plan: Plan, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the workers
    torch.set_num_threads(threads)
    if (
        importlib.util.find_spec("threadpoolctl") is not None
    ):  # librosa brings it: NumPy's and SciPy's threads
        importlib.import_module("threadpoolctl").threadpool_limits(threads)
    _state.update(plan=plan, systems=made(plan))


def _work(item: Item) -> list[Row]:
    # Being ended is an exception while there is work: files that are half written are then removed.
    before = signal.signal(signal.SIGTERM, _stopped)
    try:
        return run_item(_state["plan"], item, _state["systems"])
    except KeyboardInterrupt:
        # Tidied up: end as was asked, or the pool would go on with the items that it has already handed over.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: a second one would disturb the tidying up
    raise KeyboardInterrupt
