"""Folders of files through the commands: what is written where, skipped, done anew, refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import soundfile

from audiofix import repair
from tests.cli.conftest import files_under
from tests.cli.restoring import Restoring, sound

GAP = ("--gap", "0.1+20ms")
IN, OUT = Path("in"), Path("out")


@pytest.fixture
def restoring(monkeypatch):
    stand_in = Restoring()
    monkeypatch.setattr(repair, "restore", stand_in.restore)
    return stand_in


@pytest.fixture
def folder(write):
    """in/a.wav and in/deep/b.wav, and no sound."""
    for name in ("in/a.wav", "in/deep/b.wav"):
        write(name, sound(), rate=16000)
    (IN / "notes.txt").write_text("mine")
    return IN


def told(out: Path = OUT, name: str = "manifest.jsonl") -> list[tuple[str, str]]:
    records = [json.loads(line) for line in (out / name).read_text().splitlines()]
    return [(record["name"], record["status"]) for record in records]


def good(result):
    assert result.exit_code == 0, (result.stdout, result.stderr)
    assert result.stderr == ""
    return result


def test_separate_mirrors_the_folder(run, folder, sampling):
    result = good(run("separate", folder, "-o", OUT, "-r"))
    assert files_under(OUT) == [
        *(
            f"{place}/{name}"
            for place in ("a", "deep/b")
            for name in ("piano.wav", "report.json", "speech.wav")
        ),
        "manifest.jsonl",
    ]
    report = json.loads((OUT / "deep/b/report.json").read_text())
    assert report["output"]["folder"] == "out/deep/b"
    assert "files     2: 2 done" in result.stdout
    assert "2: 2 done before" in good(run("separate", folder, "-o", OUT, "-r")).stdout
    assert len(sampling.calls) == 2
    assert run("separate", folder, "-o", OUT, "-r", "--seed", 1).exit_code == 0  # other settings
    assert len(sampling.calls) == 4
    assert told() == [("a.wav", "done"), ("deep/b.wav", "done")] * 2


def test_restore_mirrors_it_too(run, folder, restoring):
    result = good(run("inpaint", folder, *GAP, "-o", OUT, "-r", "--json", "--draws", 2))
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["name"] for record in records] == ["a.wav", "deep/b.wav"]
    held = [
        f"{n}{end}" for n in ("a", "deep/b") for end in (".draw1.wav", ".draw2.wav", ".report.json", ".wav")
    ]
    assert files_under(OUT) == sorted([*held, "manifest.jsonl"])
    assert [output["path"] for record in records for output in record["outputs"]] == [
        f"{n}{end}" for n in ("a", "deep/b") for end in (".draw1.wav", ".draw2.wav", ".wav", ".report.json")
    ]
    report = json.loads((OUT / "deep/b.report.json").read_text())
    assert report["output"]["files"]["restored"] == "out/deep/b.wav"
    again = [
        json.loads(line)
        for line in good(
            run("inpaint", folder, *GAP, "-o", OUT, "-r", "--json", "--draws", 2)
        ).stdout.splitlines()
    ]
    assert [record["status"] for record in again] == ["skipped", "skipped"]
    assert len(restoring.calls) == 2


def test_what_is_another_is_done_and_nothing_else(run, folder, restoring, write):
    command = ("inpaint", folder, *GAP, "-o", OUT, "-r")
    good(run(*command))
    os.utime(IN / "a.wav")  # a time is no content
    good(run(*command))
    assert len(restoring.calls) == 2
    write("in/a.wav", 0.9 * sound(), rate=16000)
    good(run(*command))
    assert len(restoring.calls) == 3
    (OUT / "deep/b.wav").unlink()
    good(run(*command))
    assert len(restoring.calls) == 4
    good(run(*command, "--device", "cpu"))  # where is not what
    assert len(restoring.calls) == 4
    good(run(*command, "--overwrite"))
    assert len(restoring.calls) == 6


def test_other_results_are_kept(run, folder, restoring, write):
    mine = write("out/a.wav")
    before = mine.read_bytes()
    result = run("inpaint", folder, *GAP, "-o", OUT, "-r")
    assert result.exit_code == 7
    assert "in/a.wav: out/a.wav exists already; add --overwrite" in result.stderr
    assert mine.read_bytes() == before
    assert (OUT / "deep/b.wav").exists()
    result = run(
        "declip", folder, "--level", 0.3, "-o", OUT, "-r"
    )  # another task is no newer version of this one
    assert result.exit_code == 7
    assert "2 of 2 files failed" in result.stderr


def test_nothing_to_restore(run, folder, restoring):
    result = good(run("inpaint", folder, "--auto-gaps", "-o", OUT))
    assert "1: 1 with nothing to restore" in result.stdout
    assert told() == [("a.wav", "unchanged")]
    assert "1: 1 done before" in good(run("inpaint", folder, "--auto-gaps", "-o", OUT)).stdout


def test_shards_together_are_the_whole(run, write, restoring):
    for number in range(12):
        write(f"in/{number}.wav", sound(seconds=0.2), rate=16000)
    for shard in ("1/3", "2/3", "3/3"):
        good(run("inpaint", IN, *GAP, "-o", OUT, "--shard", shard))
    manifests = sorted(path.name for path in OUT.glob("*.jsonl"))
    assert manifests == [f"manifest.{i}-of-3.jsonl" for i in (1, 2, 3)]
    assert sorted(name for one in manifests for name, _ in told(OUT, one)) == sorted(
        f"{i}.wav" for i in range(12)
    )
    assert len(restoring.calls) == 12
    assert "12: 12 done before" in good(run("inpaint", IN, *GAP, "-o", OUT)).stdout
    assert len(restoring.calls) == 12


def test_dry_run(run, folder, restoring, monkeypatch):
    from audiofix.cli import repair as command

    asked = []
    monkeypatch.setattr(command, "_tell_cost", lambda audio, path, place, *_: asked.append((path, place)))
    good(run("inpaint", folder, *GAP, "-o", OUT, "-r", "--dry-run"))
    assert asked == [(IN / "a.wav", OUT / "a.wav"), (IN / "deep/b.wav", OUT / "deep/b.wav")]
    assert not OUT.exists()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("separate", "in", "--reference", "speech=in/a.wav"), 2, "--reference is for one mixture"),
        (("inpaint", "in", *GAP, "--reference", "in/a.wav"), 2, "--reference is for one file"),
        (("inpaint", "in", *GAP, "-o", "x.wav"), 2, "-o x.wav is one file"),
        (("inpaint", "in", *GAP, "-o", "in"), 2, "is the folder of the recordings"),
        (("inpaint", "in", *GAP, "--shard", "0/2"), 2, "--shard 0/2: give I/N"),
        (
            ("inpaint", "in", *GAP, "--engine", "magic"),
            2,
            "there is no engine 'magic'; choose one of local, ray",
        ),
        (("inpaint", "in", "--gaps", "no.csv"), 2, "no.csv cannot be read"),
        (("inpaint", "*.mp3", *GAP), 3, "*.mp3 matches no audio files"),
        (("restore", "in"), 2, "add --yes"),
        (("separate", "in", "--jobs", "0"), 2, ""),
    ],
)
def test_refused(run, folder, restoring, words, status, says):
    before = files_under(Path())
    result = run(*words)
    assert result.exit_code == status, result.stderr
    assert says in result.stderr
    assert files_under(Path()) == before


def test_ray_that_is_not_there(run, folder, restoring, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    result = run("inpaint", folder, *GAP, "--engine", "ray", "-o", OUT)
    assert result.exit_code == 2
    assert "pip install 'audiofix[cluster]'" in result.stderr
    assert not OUT.exists()


def test_results_are_not_mixed_up(run, write, restoring):
    write("in/a.wav", sound(), rate=16000)
    soundfile.write("in/a.flac", sound(), 16000)
    result = run("inpaint", IN, *GAP, "-o", OUT)
    assert result.exit_code == 2
    assert "in/a.wav would become out/a as in/a.flac does; rename one" in result.stderr
    assert sorted(told()) == [("a.flac", "done"), ("a.wav", "failed")]
