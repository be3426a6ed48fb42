"""One evaluation from beginning to end, in a folder; it goes on where an earlier run of it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audiofix.audio.disk import write_bytes_atomically
from audiofix.datasets.base import Group
from audiofix.errors import InputError, OutputError
from audiofix.evaluation import store
from audiofix.evaluation.harness import Plan, Spec, made, missing, part, run
from audiofix.evaluation.store import key_of
from audiofix.evaluation.summary import summary, table_csv
from audiofix.hub.registry import scan_models

Row = dict[str, Any]
PLACES = ("path", "piano")  # settings that say where a dataset lies; `tracks` says what it is


@dataclass(frozen=True)
class Progress:
    """Where an evaluation stands: items done of all that were left at its start."""

    done: int
    total: int
    track: str


def evaluate(
    plan: Plan,
    dataset: str,
    settings: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    jobs: int = 1,
    shard: tuple[int, int] | None = None,
    keep_audio: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Run what is left of a plan and summarise all results in its folder; what summary.json holds.

    Results are written as they come, so that a run that is stopped goes on where it was; failed ones are tried
    again. `settings` must be equal for that: all that a figure depends on but the system; of PLACES they may
    differ, and of `tracks`, what each is made of by its name, only those that are new. With `shard` (index from
    1, count) only that part of the tracks is worked on, into a file of results of its own, so that several
    machines can share one folder; a run without it puts their results together.

    Raises
    ------
    OutputError
        The folder holds results of other settings, or of another system of the same name, and `overwrite` is not
        given; or it cannot be written.
    SettingError, InputError
        Of the plan itself. What goes wrong with one track is in its row.
    """
    folder, systems = plan.folder, made(plan)  # before anything is written: a name may be wrong
    file = folder / (f"results.{shard[0]}-of-{shard[1]}.jsonl" if shard else store.RESULTS)
    settings = _open(folder, settings, notes, _clear(plan, settings, shard, file.name) if overwrite else None)
    known = _by_key(store.read_rows(folder))
    _refuse_another(plan.specs, known.values(), folder)
    own = _by_key(store.read_rows(folder, file.name)) if shard else known
    items = part(plan.items, *shard) if shard else plan.items
    plan = replace(plan, items=items, done=frozenset(key for key, row in known.items() if "error" not in row))
    left = [item for item in items if missing(plan, item)]
    heard = [row for row in own.values() if row.get("files")]
    if progress is not None and left:
        progress(Progress(0, len(left), left[0].name))
    for done, rows in enumerate(run(plan, jobs, systems), start=1):
        store.append_rows(file, rows)
        own |= _by_key(rows)
        if not keep_audio:
            judged = store.prune_audio(folder, [*heard, *rows], plan.metrics[0])
            own |= _by_key(judged)
            heard = [row for row in judged if row["files"]]
        if progress is not None:
            progress(Progress(done, len(left), rows[0]["track"]))
    store.write_rows(file, _ordered(own.values()))
    rows = _ordered(store.read_rows(folder))
    result = summary(rows, dataset, plan.kind, settings, plan.seed, notes)
    write_summary(folder, result)
    return result


def write_summary(folder: Path, result: Mapping[str, Any]) -> None:
    """summary.json and table.csv, each whole or not at all."""
    text = json.dumps(result, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_bytes_atomically(folder / store.SUMMARY, text.encode())
    write_bytes_atomically(folder / store.TABLE, table_csv(result["groups"]).encode())


def read_summary(folder: Path) -> dict[str, Any]:
    """What summary.json holds. Raises InputError."""
    file = folder / store.SUMMARY
    if not file.is_file():
        raise InputError(f"{folder} holds no evaluation, for there is no {file}; give the folder of one")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); give the folder of an evaluation") from error
    if not isinstance(found, dict) or "settings" not in found:
        raise InputError(f"{file} is no summary of an evaluation; give the folder of one")
    return found


def summarised(folder: Path) -> dict[str, Any]:
    """Put what all shards have so far together, whether they are done or not; what summary.json then holds."""
    known = read_summary(folder)
    settings, rows = known["settings"], _ordered(store.read_rows(folder))
    if any(folder.glob("results.*-of-*.jsonl")):
        store.write_rows(folder / store.RESULTS, rows)
    result = summary(
        rows, settings["dataset"], settings["task"], settings, settings["seed"], known.get("notes", [])
    )
    write_summary(folder, result)
    return result


def unfamiliar(kind: str, groups: Sequence[Group], specs: Sequence[Spec]) -> list[str]:
    """A remark for each source that audiofix is asked to work on by models of something else."""
    if not any(spec.name == "audiofix" for spec in specs):
        return []
    if kind != "separate":
        known = {card.source for card, _ in scan_models().models.values() if "," not in card.source}
        return [
            f"audiofix restores {group.name} with its models of {' or '.join(sorted(known))}, whichever fits: on "
            "other sound, which they were not trained on, its figures say what a user gets there"
            for group in groups
            if group.source not in known
        ]
    return [
        f"audiofix finds {group.name} with models of {group.source}, which were not trained on it: its figures "
        "say what a user gets there, not what the method can do"
        for group in groups
        if group.name != group.source
    ]


def _open(
    folder: Path, settings: Mapping[str, Any], notes: Sequence[str], clear: Callable[[], None] | None
) -> Mapping[str, Any]:
    """Make the folder and leave the settings in it, or see that those that are there are the same; all of them.

    clear: removes earlier results first; None: they stay.
    """
    file = folder / store.SUMMARY
    cleared = clear is not None and file.exists()
    if clear is not None and cleared:
        read_summary(folder)  # or it is not ours to remove
        clear()
    wanted = json.loads(json.dumps(settings))
    if file.exists():
        known = read_summary(folder)["settings"]
        if other := _differences(known, wanted):
            raise OutputError(
                f"{folder} holds results of other settings ({', '.join(other[:3])}); choose another folder "
                "with -o, or --overwrite"
            )
        return {**wanted, "tracks": {**known["tracks"], **wanted["tracks"]}} if "tracks" in known else wanted
    strange = [path for path in store.ours(folder) if path.exists()]
    if strange and not cleared:
        raise OutputError(f"{strange[0]} is of no evaluation; choose another folder with -o")
    begun = {"settings": wanted, "systems": {}, "notes": list(notes)}
    text = json.dumps(begun, indent=1, ensure_ascii=False) + "\n"
    write_bytes_atomically(file, text.encode())
    return wanted


def _clear(
    plan: Plan, settings: Mapping[str, Any], shard: tuple[int, int] | None, name: str
) -> Callable[[], None]:
    """What --overwrite does: removes all, or of a shard its own where the others' is of the same settings."""

    def clear() -> None:
        if shard and _of_one_make(plan, settings):
            store.clear_shard(plan.folder, name, {item.name for item in part(plan.items, *shard)})
        else:
            store.clear(plan.folder)

    return clear


def _of_one_make(plan: Plan, settings: Mapping[str, Any]) -> bool:
    """Whether what is in the folder and what is to come may stand together."""
    try:
        _refuse_another(plan.specs, store.read_rows(plan.folder), plan.folder)
    except (InputError, OutputError):
        return False
    return not _differences(read_summary(plan.folder)["settings"], json.loads(json.dumps(settings)))


def _differences(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What of two settings is not the same, in words."""
    compared = sorted({**known, **wanted}.keys() - {*PLACES, "tracks"})
    return [
        *(
            f"{key} {known.get(key)} instead of {wanted.get(key)}"
            for key in compared
            if known.get(key) != wanted.get(key)
        ),
        *_other_tracks(known.get("tracks", {}), wanted.get("tracks", {})),
    ]


def _other_tracks(known: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What speaks against two listings being of one dataset, of which either may have more than the other."""
    if not known or not wanted:
        return []
    both = [name for name in wanted if name in known]
    if not both:
        return [f"tracks such as {next(iter(known))}, and none of {next(iter(wanted))} and the others"]
    return [f"{name} made of other files" for name in both if known[name] != wanted[name]]


def _refuse_another(specs: Sequence[Spec], rows: Iterable[Row], folder: Path) -> None:
    """Raise OutputError where a system has results under its name that were made with other options."""
    told = {spec.label: json.loads(json.dumps(dict(spec.told))) for spec in specs}
    for row in rows:
        wanted, known = told.get(row["system"]), row.get("options", {})
        if wanted is not None and known != wanted and "error" not in row:
            differ = [key for key in {**known, **wanted} if known.get(key) != wanted.get(key)]
            listed = ", ".join(f"{key} {known.get(key)!r} instead of {wanted.get(key)!r}" for key in differ)
            raise OutputError(
                f"{folder} holds results of another {row['system']} ({listed}); give this one a name with "
                "--command NAME=TEMPLATE, or choose another folder with -o"
            )


def _by_key(rows: Iterable[Row]) -> dict[store.Key, Row]:
    return {key_of(row): row for row in rows}


def _ordered(rows: Iterable[Row]) -> list[Row]:
    """By track and strength, whatever order the workers had; systems as they came."""
    return sorted(rows, key=lambda row: (row["track"], len(row["setting"]), row["setting"]))
