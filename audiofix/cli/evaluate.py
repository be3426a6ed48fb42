"""`audiofix evaluate`: datasets through systems, and how well they did. `audiofix.evaluation` does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from audiofix.cli import evaluate_options as options
from audiofix.cli import evaluate_systems, evaluation_table, show
from audiofix.cli.evaluate_options import evaluating
from audiofix.cli.output import dump_json
from audiofix.errors import AudiofixError, SettingError

if TYPE_CHECKING:
    from audiofix.datasets.base import Group, Track

app = typer.Typer(
    help="Measure systems on a dataset: scores of every track, their means and how sure they are.",
    no_args_is_help=True,
)
SEPARATING = ("sdr", "isr", "sir", "sar", "si_sdr_improvement")  # metrics of no other task
RESTORING = ("snr_damaged",)
MUSDB_SOURCES = "speech=vocals,piano=drums+bass+other"


class NothingDone(AudiofixError):
    """Not one track could be done."""


@app.command("musdb")
@evaluating
def musdb(path: options.Place, subset: options.Subset = "test", **common: Any) -> None:
    """MUSDB18, as .stem.mp4 files or as wav files (MUSDB18-HQ): songs of vocals, drums, bass, other."""
    from audiofix.datasets import musdb as reader
    from audiofix.datasets.base import MIXTURE

    if subset not in reader.SUBSETS:
        raise SettingError(f"--subset {subset!r}; give {' or '.join(reader.SUBSETS)}")
    sources = MUSDB_SOURCES if common["kind"] == "separate" else MIXTURE
    tracks = reader.tracks(path, subset)
    _evaluate("musdb", path, tracks, sources, common, {"subset": subset})


@app.command("vctk")
@evaluating
def vctk(
    path: options.Place,
    piano: options.Piano = None,
    clips: options.Clips = 25,
    mic: options.Microphone = "mic1",
    low_pass: options.LowPass = False,
    **common: Any,
) -> None:
    """VCTK 0.92 by the protocol of Jayaram & Thickstun 2021: clips of 4 speakers, mixed with pianos, 22,050 Hz.

    Upsampling is by 4, 8 and 16 unless --values says otherwise.
    """
    from audiofix.datasets import vctk as reader

    if mic not in ("mic1", "mic2"):
        raise SettingError(f"--mic {mic!r}; give mic1 or mic2")
    if piano is None and common["kind"] == "separate":
        raise SettingError(
            "vctk holds voices alone; give --piano DIR, a folder of piano recordings, to mix them with"
        )
    common["seconds"] = common["seconds"] or reader.SECONDS
    common["rate"] = common["rate"] or reader.RATE
    if common["kind"] == "upsample":
        common["values"] = common["values"] or reader.FACTORS
    tracks = reader.tracks(path, piano, seed=common["seed"], clips=clips, seconds=common["seconds"], mic=mic)
    own = {"piano": str(piano) if piano else None, "clips": clips, "mic": mic, "low_pass": low_pass}
    sources = "speech,piano" if piano else "speech"
    _evaluate("vctk", path, tracks, sources, {**common, "mono": True}, own, peak=True, low_pass=low_pass)


@app.command("folder")
@evaluating
def folder(path: options.Table, **common: Any) -> None:
    """Any folder of TRACK/STEM.wav, or of recordings to restore, or a .csv with columns of files."""
    from audiofix.datasets import folder as reader

    tracks = reader.tracks(path)
    _evaluate("folder", path, tracks, None, common, {})


@app.command("summary")
def summary(path: options.Finished = Path("evaluation"), as_json: options.Json = False) -> None:
    """Show the figures of an evaluation again, of all its shards, done or not."""
    from audiofix.evaluation.runs import summarised

    found = summarised(path)
    if as_json:
        show.say(dump_json(found))
    else:
        evaluation_table.report(found, path)


@app.command("report")
def report(path: options.Finished = Path("evaluation")) -> None:
    """Write report.html again, of all shards: tables, plots, the best and worst tracks, in one file."""
    from audiofix.evaluation.report import write_report

    file = write_report(path)
    show.say(f"{file}, {file.stat().st_size / 1e6:.1f} MB")


@app.command("systems")
def systems(as_json: options.Json = False) -> None:
    """List the systems that --system knows: tasks, whether they see the answer, whether they are installed."""
    from dataclasses import asdict

    from audiofix.evaluation.systems.listing import listed

    found = listed()
    if as_json:
        show.say(dump_json({"systems": [asdict(one) for one in found]}))
        return
    rows = [
        [
            one.name, ", ".join(one.tasks), "sees the answer" if one.oracle else "",
            f"no: needs {', '.join(one.missing)}" if one.missing else "yes",
        ]
        for one in found
    ]  # fmt: skip
    show.table(("system", "tasks", "oracle", "installed"), rows)


def _evaluate(
    dataset: str,
    path: Path,
    tracks: Sequence[Track],
    sources: str | None,
    common: Mapping[str, Any],
    own: Mapping[str, Any],
    peak: bool = False,
    low_pass: bool = True,
) -> None:
    from audiofix.datasets.base import Preparation, check, identity
    from audiofix.evaluation.harness import Plan, items_of, made
    from audiofix.evaluation.runs import evaluate, unfamiliar
    from audiofix.evaluation.scores import available
    from audiofix.evaluation.tasks import strengths
    from audiofix.runtime.memory import keep_freed_memory

    kind = common["kind"]
    values = strengths(kind, _numbers(common["values"]))
    groups = _groups(common["sources"] or sources, tracks, kind)
    check(tracks, groups)
    wanted = _metrics(common["metrics"], kind)
    metrics, packages = available(wanted)
    specs = evaluate_systems.specs(common, groups)
    prepare = Preparation(common["rate"], common["mono"], peak, common["seconds"])
    items = items_of(tracks[: common["limit"]], kind, groups, values)
    plan = Plan(
        kind, items, tuple(groups), tuple(specs), prepare, tuple(metrics), common["seed"], common["output"],
        low_pass=low_pass,
    )  # fmt: skip
    notes = unfamiliar(kind, groups, specs)
    lacking = [name for name in wanted if name not in metrics]
    if lacking:
        notes.append(f"not measured: {', '.join(lacking)}; pip install {' '.join(packages)}")
    settings = {
        "dataset": dataset, "path": str(path), "task": kind, "values": list(values),
        "sources": {group.name: group.source for group in groups}, "seconds": prepare.seconds,
        "rate": prepare.rate, "mono": prepare.mono, "peak": prepare.peak, "metrics": metrics,
        "seed": common["seed"], "tracks": identity(tracks), **own,
    }  # fmt: skip
    shard = _shard(common["shard"])
    if common["dry_run"]:
        made(plan)
        told = evaluation_table.planned(plan, len(tracks), notes)
        if common["as_json"]:
            show.say(dump_json(told))
        else:
            evaluation_table.plan(told)
        return
    keep_freed_memory()
    try:
        with evaluation_table.progress_bar() as progress:
            found = evaluate(
                plan, dataset, settings, notes=notes, jobs=common["jobs"], shard=shard,
                keep_audio=common["keep_audio"], overwrite=common["overwrite"], progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; what was done is in {common['output']}, and the same command goes on from there"
        ) from None
    if shard is None and found["groups"]:
        from audiofix.evaluation.report import write_report

        write_report(common["output"])
    if common["as_json"]:
        show.say(dump_json(found))
    else:
        evaluation_table.report(found, common["output"])
    if found["errors"] and not found["groups"]:
        first = found["errors"][0]
        raise NothingDone(
            f"nothing could be evaluated; {first['system']}, {first['track']}: {first['error']}"
        )


def _groups(sources: str | None, tracks: Sequence[Track], kind: str) -> list[Group]:
    from audiofix.datasets.base import MIXTURE, Group, parse_groups

    if sources is not None:
        return parse_groups(sources)
    stems = list(dict.fromkeys(stem for track in tracks for stem in sorted(track.stems))) or [MIXTURE]
    lacking = next((track for track in tracks if set(track.stems) != set(tracks[0].stems)), None)
    if lacking is not None:
        raise SettingError(
            f"{tracks[0].name} and {lacking.name} have not the same stems ({', '.join(stems)} are there in all); "
            "say with --sources which to find in every track"
        )
    if kind == "separate" and len(stems) < 2:
        raise SettingError(f"each track has one stem ({stems[0]}): nothing to separate; give another --task")
    return [Group((stem,), stem) for stem in stems]


def _metrics(text: str | None, kind: str) -> Sequence[str]:
    from audiofix.evaluation.scores import DEFAULT, METRICS

    if text is None:
        return DEFAULT[kind == "separate"]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in METRICS:
            raise SettingError(f"--metrics {name!r} is none; choose from {', '.join(METRICS)}")
        if name in (SEPARATING if kind != "separate" else RESTORING):
            raise SettingError(f"--metrics {name} has no meaning for --task {kind}; leave it out")
    gain = ["si_sdr_improvement"] if "si_sdr" in names and kind == "separate" else []
    return list(dict.fromkeys([*names, *gain]))


def _numbers(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"--values {text!r}: give numbers with commas between them, such as 2,4,8"
        ) from None


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise SettingError(f"--shard {text!r}: give I/N with I from 1 to N, such as 2/8")
    return int(index), int(count)
