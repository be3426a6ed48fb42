"""The loop over tracks: it goes on where it was, in one process or in two, and one failure ends nothing."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from audiofix.datasets import folder
from audiofix.datasets.base import Group, Preparation
from audiofix.errors import InputError, OutputError, SettingError
from audiofix.evaluation import store
from audiofix.evaluation.harness import Plan, Spec, items_of, part
from audiofix.evaluation.runs import Progress, evaluate, read_summary, summarised, unfamiliar
from audiofix.evaluation.tasks import strengths
from tests.datasets.trees import folder_tree
from tests.evaluation import stand_ins

HERE = "tests.evaluation.stand_ins"
SETTINGS = {"dataset": "folder", "task": "separate", "seed": 0}


def spec(name: str) -> Spec:
    return Spec(name, f"{HERE}:{name}")


@pytest.fixture
def plan(tmp_path) -> Plan:
    """Four tracks of two stems, separated by `same`, without BSS Eval."""
    return made(tmp_path, "separate", ("same",), 4)


def made(tmp_path: Path, kind: str, systems: tuple[str, ...], tracks: int = 1, values=None) -> Plan:
    root = folder_tree(tmp_path / "set", tracks)
    groups = tuple(Group((name,), name) for name in ("piano", "speech"))
    items = items_of(folder.tracks(root), kind, groups, strengths(kind, values))
    metrics = ("si_sdr", "si_sdr_improvement", "snr") if kind == "separate" else ("snr", "snr_damaged")
    specs = tuple(map(spec, systems))
    return Plan(kind, items, groups, specs, Preparation(), metrics, 0, tmp_path / "out")


def rows(plan: Plan) -> list[dict]:
    lines = (plan.folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_row_for_each_track_and_system(plan):
    told: list[Progress] = []
    plan = replace(plan, specs=(spec("same"), spec("truth")))
    found = evaluate(plan, "folder", SETTINGS, progress=told.append)
    assert [(row["track"], row["system"]) for row in rows(plan)] == [
        (f"track {n}", system) for n in range(4) for system in ("same", "truth")
    ]
    row = rows(plan)[1]
    assert row["scores"]["piano"]["snr"] == pytest.approx(20, abs=0.5)
    assert row["scores"]["piano"]["si_sdr"] - row["before"]["piano"]["si_sdr"] == pytest.approx(
        row["scores"]["piano"]["si_sdr_improvement"]
    )
    assert rows(plan)[0]["scores"]["piano"]["si_sdr_improvement"] == 0
    assert row["audio_seconds"] == 0.5
    assert row["oracle"]
    assert [(one.done, one.total) for one in told] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert found["systems"]["truth"]["snr"]["n"] == 4
    assert found["systems"]["truth"]["snr"]["low"] <= found["systems"]["truth"]["snr"]["mean"]
    assert read_summary(plan.folder) == json.loads(json.dumps(found))


def test_the_summary_is_the_mean_of_the_rows(plan):
    found = evaluate(replace(plan, specs=(spec("truth"),)), "folder", SETTINGS)
    by_source = {entry["source"]: entry for entry in found["groups"]}
    assert set(by_source) == {"piano", "speech", "all"}
    for source in ("piano", "speech"):
        values = [row["scores"][source]["snr"] for row in rows(plan)]
        assert by_source[source]["scores"]["snr"]["mean"] == pytest.approx(sum(values) / 4)
    means = [sum(one["snr"] for one in row["scores"].values()) / 2 for row in rows(plan)]
    assert by_source["all"]["scores"]["snr"]["median"] == pytest.approx(sum(sorted(means)[1:3]) / 2)
    table = list(csv.DictReader((plan.folder / "table.csv").open(encoding="utf-8")))
    (line,) = [one for one in table if (one["source"], one["metric"]) == ("all", "snr")]
    assert float(line["mean"]) == pytest.approx(sum(means) / 4, rel=1e-5)


def test_what_is_done_is_not_done_again(plan):
    begun = replace(plan, items=plan.items[:2])
    evaluate(begun, "folder", SETTINGS)
    first = rows(begun)
    told: list[Progress] = []
    evaluate(replace(plan, specs=(spec("same"), spec("truth"))), "folder", SETTINGS, progress=told.append)
    assert told[-1].total == 4  # two tracks lack both systems, two lack one
    later = {store.key_of(row): row for row in rows(plan)}
    assert len(later) == 8
    for row in first:  # the seconds say whether it ran again
        assert later[store.key_of(row)]["seconds"] == row["seconds"]
    evaluate(replace(plan, specs=(spec("same"), spec("truth"))), "folder", SETTINGS, progress=told.append)
    assert told[-1].done == told[-1].total == 4  # nothing was left, and nothing was told


def test_less_asked_for_later_loses_nothing(plan):
    evaluate(replace(plan, specs=(spec("same"), spec("truth"))), "folder", SETTINGS)
    all_rows = rows(plan)
    found = evaluate(replace(plan, items=plan.items[2:3]), "folder", SETTINGS)
    assert rows(plan) == all_rows
    assert found["systems"]["same"]["snr"]["n"] == found["systems"]["truth"]["snr"]["n"] == 4
    evaluate(replace(plan, specs=(spec("fails"),)), "folder", SETTINGS, shard=(1, 2))
    evaluate(replace(plan, items=plan.items[3:], specs=(spec("fails"),)), "folder", SETTINGS, shard=(1, 2))
    assert {row["track"] for row in store.read_rows(plan.folder, "results.1-of-2.jsonl")} == {
        "track 0", "track 2", "track 3",
    }  # fmt: skip


def test_stopped_and_gone_on(plan):
    stand_ins.Stopped.calls = ()
    plan = replace(plan, specs=(spec("stopped"),))
    with pytest.raises(KeyboardInterrupt):
        evaluate(plan, "folder", SETTINGS)
    assert [row["track"] for row in rows(plan)] == ["track 0"]
    found = evaluate(plan, "folder", SETTINGS)
    assert stand_ins.Stopped.calls == ("track 0", "track 1", "track 1", "track 2", "track 3")
    assert found["systems"]["stopped"]["snr"]["n"] == 4


def test_a_line_that_was_cut_off(plan):
    evaluate(plan, "folder", SETTINGS)
    file = plan.folder / "results.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[:-40], encoding="utf-8")
    evaluate(plan, "folder", SETTINGS)
    assert [row["track"] for row in rows(plan)] == [f"track {n}" for n in range(4)]
    file.write_text("{no json\n" + text, encoding="utf-8")
    with pytest.raises(InputError, match="line 1 is no result"):
        evaluate(plan, "folder", SETTINGS)


def test_other_settings_are_refused(plan):
    evaluate(plan, "folder", SETTINGS)
    with pytest.raises(OutputError, match="seed 0 instead of 1"):
        evaluate(plan, "folder", {**SETTINGS, "seed": 1})
    found = evaluate(replace(plan, items=plan.items[:1]), "folder", {**SETTINGS, "seed": 1}, overwrite=True)
    assert found["systems"]["same"]["snr"]["n"] == 1
    assert len(list((plan.folder / "audio" / "truth").iterdir())) == 1


def test_a_dataset_is_what_its_tracks_are_made_of_wherever_it_lies(plan):
    here = {**SETTINGS, "path": "a/set", "tracks": {"track 0": "aa", "track 1": "bb"}}
    evaluate(replace(plan, items=plan.items[:1]), "folder", here, shard=(1, 2))
    there = {**here, "path": "/mnt/set", "tracks": {"track 1": "bb", "track 2": "cc"}}
    evaluate(plan, "folder", there, shard=(2, 2))
    assert read_summary(plan.folder)["settings"]["tracks"] == {
        "track 0": "aa",
        "track 1": "bb",
        "track 2": "cc",
    }
    for other in ({"track 0": "dd"}, {"song": "aa"}):
        with pytest.raises(OutputError, match=r"results of other settings \(track"):
            evaluate(plan, "folder", {**here, "tracks": other})


def test_another_system_of_the_same_name_is_refused_unless_it_only_failed(plan):
    def tool(name: str, command: str) -> Plan:
        return replace(plan, specs=(Spec("tool", f"{HERE}:{name}", told={"command": command}),))

    found = evaluate(tool("fails", "a"), "folder", SETTINGS)
    assert len(found["errors"]) == 2
    first = replace(tool("same", "a"), items=plan.items[:2])
    assert evaluate(first, "folder", SETTINGS)["options"] == {"tool": {"command": "a"}}
    with pytest.raises(OutputError, match=r"another tool \(command 'a' instead of 'b'\); give"):
        evaluate(tool("same", "b"), "folder", SETTINGS)
    failed = replace(plan, folder=plan.folder.with_name("failed"), items=plan.items[:2])
    evaluate(replace(failed, specs=tool("fails", "a").specs), "folder", SETTINGS)
    assert evaluate(replace(failed, specs=tool("same", "b").specs), "folder", SETTINGS)["errors"] == []


def test_nothing_else_is_removed_or_replaced(plan):
    evaluate(plan, "folder", SETTINGS)
    mine = plan.folder / "audio" / "song.flac"
    mine.write_bytes(b"mine")
    row = rows(plan)[0] | {"track": "x", "files": {"given": "../set/track 0/piano.wav"}}
    store.append_rows(plan.folder / "results.jsonl", [row])
    evaluate(replace(plan, items=plan.items[:1]), "folder", {**SETTINGS, "seed": 1}, overwrite=True)
    assert mine.read_bytes() == b"mine"
    assert (plan.folder.parent / "set" / "track 0" / "piano.wav").exists()
    assert len(rows(plan)) == 1
    other = replace(plan, folder=plan.folder.with_name("other"))
    (other.folder / "audio").mkdir(parents=True)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="of no evaluation"):
            evaluate(other, "folder", SETTINGS, overwrite=overwrite)
    (other.folder / "summary.json").write_text("[]")
    with pytest.raises(InputError, match="no summary"):
        evaluate(other, "folder", SETTINGS, overwrite=True)


def test_failures_are_rows_and_are_tried_again(plan, monkeypatch):
    plan = replace(plan, specs=(spec("fails"), spec("same")))
    found = evaluate(plan, "folder", SETTINGS)
    assert [(e["track"], e["system"], e["error"]) for e in found["errors"]] == [
        ("track 0", "fails", "too quiet for me; turn it up"),
        ("track 1", "fails", "ZeroDivisionError: a fault of its own"),
    ]
    assert found["systems"]["fails"]["snr"]["n"] == 2
    assert found["systems"]["same"]["snr"]["n"] == 4
    monkeypatch.setattr(stand_ins.Fails, "run", stand_ins.Same.run)
    found = evaluate(plan, "folder", SETTINGS)
    assert found["errors"] == []
    assert found["systems"]["fails"]["snr"]["n"] == 4


def test_no_system_sees_what_another_did(plan):
    plan = replace(plan, items=plan.items[:1])
    evaluate(replace(plan, specs=(spec("truth"),)), "folder", SETTINGS)
    alone = rows(plan)[0]["scores"]
    other = replace(plan, specs=(spec("spoils"), spec("truth")), folder=plan.folder.with_name("other"))
    evaluate(other, "folder", SETTINGS)
    spoilt, after = rows(other)
    assert spoilt["scores"]["piano"]["snr"] == 0
    assert after["scores"] == alone


def test_seconds_are_without_loading(plan):
    evaluate(replace(plan, specs=(spec("loads"),)), "folder", SETTINGS)
    assert 0 <= rows(plan)[0]["seconds"] < 0.2  # of at least 0.25 s that it took


def test_a_full_disk_ends_the_run(plan, monkeypatch):
    def full(*_: object) -> None:
        raise OutputError("no space left to write it")

    monkeypatch.setattr(store, "write_audio", full)
    with pytest.raises(OutputError, match="no space"):
        evaluate(plan, "folder", SETTINGS)
    assert not (plan.folder / "results.jsonl").exists()


def test_a_track_that_cannot_be_read(plan):
    plan.items[1].track.stems["piano"].path.write_bytes(b"no audio")
    found = evaluate(replace(plan, specs=(spec("same"), spec("truth"))), "folder", SETTINGS)
    assert {(e["track"], e["system"]) for e in found["errors"]} == {("track 1", "same"), ("track 1", "truth")}
    assert "cannot be read as audio" in found["errors"][0]["error"]
    assert found["systems"]["same"]["snr"]["n"] == 3


def test_two_processes_give_the_same(plan):
    plan = replace(plan, specs=(spec("truth"),))
    evaluate(plan, "folder", SETTINGS)
    other = replace(plan, folder=plan.folder.with_name("two"))
    evaluate(other, "folder", SETTINGS, jobs=2)
    assert [row["scores"] for row in rows(plan)] == [row["scores"] for row in rows(other)]
    assert [row["track"] for row in rows(other)] == [f"track {n}" for n in range(4)]


def test_shards_make_the_whole(plan):
    for index in (1, 2, 3):
        found = evaluate(plan, "folder", SETTINGS, shard=(index, 3))
    assert found["systems"]["same"]["snr"]["n"] == 4
    assert len(list(plan.folder.glob("results.*-of-3.jsonl"))) == 3
    assert summarised(plan.folder)["groups"] == found["groups"]
    assert len(rows(plan)) == 4
    told: list[Progress] = []
    evaluate(plan, "folder", SETTINGS, progress=told.append)
    assert told == []
    assert len(rows(plan)) == 4


def test_what_failed_in_a_shard_counts_once_it_was_mended(plan, monkeypatch):
    """The summary in between left a copy of the failure in results.jsonl, which is older than the shard's."""
    plan = replace(plan, specs=(spec("fails"),))
    evaluate(plan, "folder", SETTINGS, shard=(1, 2))
    assert [e["track"] for e in summarised(plan.folder)["errors"]] == ["track 0"]
    monkeypatch.setattr(stand_ins.Fails, "run", stand_ins.Same.run)
    assert evaluate(plan, "folder", SETTINGS, shard=(1, 2))["errors"] == []
    found = summarised(plan.folder)
    assert found["errors"] == []
    assert found["systems"]["fails"]["snr"]["n"] == 2
    assert all(Path(plan.folder, path).is_file() for row in rows(plan) for path in row["files"].values())


def test_a_shard_throws_its_own_results_away(plan):
    for index in (1, 2):
        evaluate(plan, "folder", SETTINGS, shard=(index, 2))
    summarised(plan.folder)
    other = (plan.folder / "results.2-of-2.jsonl").read_bytes()
    told: list[Progress] = []
    evaluate(plan, "folder", SETTINGS, shard=(1, 2), overwrite=True, progress=told.append)
    assert told[-1].total == 2  # made again, though summary had put all into results.jsonl
    assert (plan.folder / "results.2-of-2.jsonl").read_bytes() == other
    found = summarised(plan.folder)
    assert found["systems"]["same"]["snr"]["n"] == 4
    assert all((plan.folder / path).is_file() for row in rows(plan) for path in row["files"].values())
    evaluate(plan, "folder", {**SETTINGS, "seed": 1}, shard=(1, 2), overwrite=True)
    assert [row["track"] for row in store.read_rows(plan.folder)] == ["track 0", "track 2"]
    another = replace(plan, specs=(replace(plan.specs[0], told={"command": "b"}),))
    evaluate(another, "folder", {**SETTINGS, "seed": 1}, shard=(2, 2), overwrite=True)
    assert [row["track"] for row in store.read_rows(plan.folder)] == ["track 1", "track 3"]


def test_a_failure_hides_no_result_and_a_shard_is_newer_than_the_whole(tmp_path):
    def row(track: str, **more: object) -> dict:
        return {"track": track, "setting": "", "system": "s", **more}

    store.append_rows(tmp_path / "results.1-of-2.jsonl", [row("a", error="x"), row("b", seconds=1)])
    store.append_rows(tmp_path / "results.jsonl", [row("a", seconds=3), row("b", seconds=2), row("c")])
    store.append_rows(
        tmp_path / "results.jsonl", [row("c", error="x"), row("d", error="x"), row("d", seconds=4)]
    )
    found = {one["track"]: one.get("seconds") for one in store.read_rows(tmp_path)}
    assert found == {"a": 3, "b": 1, "c": None, "d": 4}
    assert not any("error" in one for one in store.read_rows(tmp_path))


def test_no_row_names_audio_that_was_removed_by_way_of_another_file(tmp_path):
    """Shards keep the best and worst of their own, the whole run fewer: the shards' rows still name the others."""
    plan = made(tmp_path, "separate", ("truth",), 10)
    for index in (1, 2):
        evaluate(plan, "folder", SETTINGS, shard=(index, 2))
    assert sum(bool(row["files"]) for row in store.read_rows(plan.folder)) == 8
    evaluate(plan, "folder", SETTINGS)
    more = replace(plan, specs=(spec("same"),))
    evaluate(more, "folder", SETTINGS)
    named = [path for row in store.read_rows(plan.folder) for path in row["files"].values()]
    assert named
    assert all((plan.folder / path).is_file() for path in named)


def test_a_shard_holds_whole_tracks(tmp_path):
    plan = made(tmp_path, "denoise", ("same",), 3, [5, 10])
    shards = [part(plan.items, index, 2) for index in (1, 2)]
    assert sorted(item.name for shard in shards for item in shard) == sorted(item.name for item in plan.items)
    assert {item.track.name for item in shards[0]} == {"track 0", "track 2"}
    assert len(shards[1]) == 4


@pytest.mark.parametrize(("kind", "values"), [("inpaint", [20]), ("declip", [7]), ("upsample", [2, 4])])
def test_restorations_are_items_of_their_own(tmp_path, kind, values):
    plan = made(tmp_path, kind, ("same", "truth"), 1, values)
    found = evaluate(plan, "folder", SETTINGS)
    assert {row["track"] for row in rows(plan)} == {"track 0/piano", "track 0/speech"}
    settings = list(dict.fromkeys(row["setting"] for row in rows(plan)))
    assert len(settings) == len(values)
    for row in rows(plan):
        assert ("snr_damaged" in row["scores"]["restored"]) == (kind != "upsample")
        if row["system"] == "same":
            assert row["scores"] == row["before"]
    entries = {(e["system"], e["setting"], e["source"]) for e in found["groups"]}
    assert ("truth", settings[0], "speech") in entries
    assert len(entries) == 2 * len(values) * 3


def test_audio_of_the_best_and_the_worst_is_kept(tmp_path):
    plan = made(tmp_path, "separate", ("truth",), 7)
    evaluate(plan, "folder", SETTINGS)
    ranked = sorted(rows(plan), key=lambda row: sum(one["si_sdr"] for one in row["scores"].values()))
    kept = [row["track"] for row in ranked if row["files"]]
    assert kept == [row["track"] for row in [*ranked[:2], *ranked[-2:]]]
    for row in ranked[:2]:
        assert set(row["files"]) == {"given", "clean/piano", "clean/speech", "piano", "speech"}
        assert all((plan.folder / path).is_file() for path in row["files"].values())
    on_disk = {
        p.relative_to(plan.folder).as_posix() for p in (plan.folder / "audio").rglob("*") if p.is_file()
    }
    assert on_disk == {path for row in ranked for path in row["files"].values()}
    whole = replace(plan, folder=tmp_path / "all")
    evaluate(whole, "folder", SETTINGS, keep_audio=True)
    assert all(row["files"] for row in rows(whole))


def test_a_system_that_cannot(tmp_path):
    plan = made(tmp_path, "denoise", ("fails",))
    with pytest.raises(
        SettingError, match="fails cannot do denoise, only separate; give --task separate, or"
    ):
        evaluate(plan, "folder", SETTINGS)
    with pytest.raises(SettingError, match="no system is named 'gone'"):
        evaluate(replace(plan, specs=(Spec("gone", "gone"),)), "folder", SETTINGS)
    with pytest.raises(SettingError, match="cannot be made"):
        evaluate(replace(plan, specs=(Spec("gone", "gone:gone"),)), "folder", SETTINGS)


def test_remarks_on_what_was_not_trained_on():
    groups = [Group(("vocals",), "speech"), Group(("piano",), "piano")]
    (remark,) = unfamiliar("separate", groups, [Spec("audiofix fast", "audiofix")])
    assert "vocals" in remark
    assert "not trained on" in remark
    assert unfamiliar("separate", groups, [spec("same")]) == []
    (remark,) = unfamiliar(
        "denoise", [*groups, Group(("mixture",), "mixture")], [Spec("audiofix", "audiofix")]
    )
    assert "mixture with its models of piano or speech" in remark


def test_names_that_no_file_system_takes():
    assert store.file_name("audiofix fast", "Artist - Song", "") == "audiofix fast/Artist - Song"
    names = [store.file_name("s", name) for name in ("a:b", "a_b", "a?b", "..", "a/../b", "x/y", "Été")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w.+ ()&',/-]+", name) for name in names)
    assert all(".." not in Path(name).parts for name in names)
    assert names[-2:] == ["s/x/y", "s/Été"]
