"""`audiofix separate` with a stand-in for the sampling: what it writes, and that it writes all or nothing."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiofix.cli import show
from audiofix.cli.separate import MOST_DRAWS
from audiofix.errors import DivergenceError
from audiofix.separation import QUALITIES
from tests.cli.conftest import files_under


def integers(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16", always_2d=True)[0].astype(int)


def test_files_look_like_the_mixture_and_sum_to_it_exactly(run, write, sampling):
    mix = write()
    result = run("separate", mix)
    assert result.exit_code == 0, result.stderr
    assert files_under(Path("separated")) == ["mix/piano.wav", "mix/report.json", "mix/speech.wav"]
    stems = [Path("separated/mix") / name for name in ("speech.wav", "piano.wav")]
    for stem in stems:
        info = soundfile.info(stem)
        assert (info.samplerate, info.channels, info.frames) == (44100, 2, 2205)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")
        assert np.abs(integers(stem)).max() > 100
    np.testing.assert_array_equal(integers(stems[0]) + integers(stems[1]), integers(mix))
    assert "equal the mixture exactly" in result.stdout


def test_a_residual_is_written_when_there_is_something_in_it(run, write, sampling):
    sampling.beyond = 0.1
    mix = write()
    result = run("separate", mix, "-o", "out")
    assert result.exit_code == 0, result.stderr
    names = ["speech.wav", "piano.wav", "residual.wav"]
    assert files_under(Path("out")) == sorted(f"mix/{n}" for n in [*names, "report.json"])
    parts = [integers(Path("out/mix") / name) for name in names]
    np.testing.assert_array_equal(sum(parts), integers(mix))
    assert np.abs(parts[2]).max() > 100
    assert "note: content above 8000 Hz is in the residual" in result.stdout


def test_no_residual_on_request(run, write, sampling):
    sampling.beyond = 0.1
    mix = write()
    result = run("separate", mix, "--no-residual")
    assert result.exit_code == 0, result.stderr
    assert not Path("separated/mix/residual.wav").exists()
    # What no stem holds is not pushed into the last one: that takes the rounding only.
    piano = 1.7 / 2.7 * (integers(mix) - 0.1 * np.roll(integers(mix), 1, axis=0))
    assert np.abs(integers(Path("separated/mix/piano.wav")) - piano).max() <= 1.5
    assert "was not written" in result.stdout
    assert "exactly" not in result.stdout


def test_a_residual_on_request_takes_the_rounding(run, write, sampling):
    mix = write()
    result = run("separate", mix, "--residual")
    assert result.exit_code == 0, result.stderr
    parts = [integers(Path("separated/mix") / f"{n}.wav") for n in ("speech", "piano", "residual")]
    np.testing.assert_array_equal(sum(parts), integers(mix))
    assert np.abs(parts[2]).max() <= 1


def test_stems_that_would_clip_become_float(run, write, sampling):
    sampling.gain = 9.0
    mix = write()
    result = run("separate", mix)
    assert result.exit_code == 0, result.stderr
    stems = [Path("separated/mix") / name for name in ("speech.wav", "piano.wav")]
    assert {soundfile.info(stem).subtype for stem in stems} == {"FLOAT"}
    samples = [soundfile.read(path)[0] for path in [*stems, mix]]
    assert np.abs(samples[0]).max() > 1
    assert np.abs(samples[0] + samples[1] - samples[2]).max() < 1e-6


def test_a_residual_that_would_clip_makes_all_of_them_float(run, write, sampling):
    sampling.beyond = 1.5
    pulse = np.zeros((400, 1))
    pulse[200] = 0.9
    mix = write("mix.wav", pulse)
    result = run("separate", mix)
    assert result.exit_code == 0, result.stderr
    samples = [soundfile.read(Path("separated/mix") / f"{n}.wav")[0] for n in ("speech", "piano", "residual")]
    assert max(np.abs(stem).max() for stem in samples[:2]) < 1 < np.abs(samples[2]).max()
    assert soundfile.info("separated/mix/speech.wav").subtype == "FLOAT"
    assert np.abs(sum(samples) - soundfile.read(mix)[0]).max() < 1e-6


def test_a_residual_too_small_to_write_is_not_lost(run, write, sampling):
    sampling.beyond = 5e-6
    mix = write(subtype="PCM_24")
    result = run("separate", mix)
    assert result.exit_code == 0, result.stderr
    assert not Path("separated/mix/residual.wav").exists()
    speech, piano, whole = (
        soundfile.read(path)[0] for path in ("separated/mix/speech.wav", "separated/mix/piano.wav", mix)
    )
    np.testing.assert_array_equal(speech + piano, whole)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("wish", [[], ["--residual"]])
def test_every_draw_adds_up_too(run, write, sampling, subtype, wish):
    sampling.beyond = 0.01
    mix = write("song.wav", subtype=subtype)
    result = run("separate", mix, "--draws", 3, *wish)
    assert result.exit_code == 0, result.stderr
    folder = Path("separated/song")
    assert len(files_under(folder)) == 2 + 1 + 6 + 1
    whole, rest = (soundfile.read(path)[0] for path in (mix, folder / "residual.wav"))
    for stems in ("{}.wav", "draws/{}.1.wav", "draws/{}.2.wav", "draws/{}.3.wav"):
        total = rest + sum(soundfile.read(folder / stems.format(n))[0] for n in ("speech", "piano"))
        assert np.abs(total - whole).max() <= (1e-6 if subtype == "FLOAT" else 0)
    first, third = (soundfile.read(folder / f"draws/speech.{k}.wav")[0] for k in (1, 3))
    assert np.abs(first - third).max() > 0.01


def test_full_scale_of_either_sign_keeps_its_format(run, write, sampling):
    mix = write("mix.wav", np.array([[-1.0], [32767 / 32768]] * 100), rate=16000)
    result = run("separate", mix)
    assert result.exit_code == 0, result.stderr
    parts = [integers(Path("separated/mix") / f"{n}.wav") for n in ("speech", "piano")]
    np.testing.assert_array_equal(sum(parts), integers(mix))


def test_flac_stays_flac(run, write, sampling):
    mix = write("mix.flac", subtype="PCM_24")
    result = run("separate", mix)
    assert result.exit_code == 0, result.stderr
    info = soundfile.info("separated/mix/speech.flac")
    assert (info.format, info.subtype) == ("FLAC", "PCM_24")


def test_report_repeats_the_run(run, write, sampling):
    mix, clean = write(), write("clean.wav")
    options = shlex.split(
        "--quality best --prior a,b --levels 3 --steps 4 --step-scale 0.25 --sampler langevin --draws 2 --seed 5 "
        "--device cpu"
    )
    result = run("separate", mix, *options, "--reference", f"speech={clean}")
    assert result.exit_code == 0, result.stderr
    [call] = sampling.calls
    wanted = {
        "sources": ["speech", "piano"],
        "quality": "best",
        "prior": "a,b",
        "levels": 3,
        "steps": 4,
        "step_scale": 0.25,
        "sampler": "langevin",
        "draws": 2,
        "seed": 5,
        "device": "cpu",
    }
    assert {key: call[key] for key in wanted} == wanted
    assert call["references"]["speech"].length == 2205
    report = json.loads(Path("separated/mix/report.json").read_text(encoding="utf-8"))
    assert report["settings"]["step_scale"] == 0.25
    assert report["settings"]["references"] == {"speech": str(clean)}
    assert report["models"][1]["hash"] == "0123456789ab"
    assert report["audiofix"] == "1.2.3"
    assert report["reconstruction_error_db"] is None
    assert len(report["input"]["sha256"]) == 64
    assert report["output"]["largest_error"] == 0
    assert files_under(Path("separated/mix")) == sorted(report["output"]["files"])


def test_the_final_table(run, write, sampling):
    mix, clean = write("a [bold] mix.wav"), write("clean.wav")
    result = run("separate", mix, "--reference", f"speech={clean}")
    assert result.exit_code == 0, result.stderr
    [speech] = [line for line in result.stdout.splitlines() if line.startswith("speech")]
    assert speech.split() == ["speech", "0.12", "dB", "7.25", "dB", "+7.12", "dB", "speech.wav"]
    assert "12.5 s per audio second" in result.stdout
    assert "separated/a [bold] mix" in result.stdout
    assert "speech-model, piano-model (the best measured)" in result.stdout
    assert result.stderr == ""


def test_json_is_all_that_stdout_gets(run, write, sampling):
    first, second = write("a.wav"), write("b.wav")
    result = run("separate", first, second, "--json")
    assert result.exit_code == 0, result.stderr
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert [r["output"]["folder"] for r in reports] == ["separated/a", "separated/b"]
    assert reports[0] == json.loads(Path("separated/a/report.json").read_text(encoding="utf-8"))


def test_two_speakers(run, write, sampling):
    result = run(
        "separate", write(), "--sources", "speech, speech", "--reference", f"speech-2={write('b.wav')}"
    )
    assert result.exit_code == 0, result.stderr
    assert sampling.calls[0]["sources"] == ["speech", "speech-2"]
    assert files_under(Path("separated/mix")) == ["report.json", "speech-2.wav", "speech.wav"]


def test_what_is_not_given_is_left_to_the_quality(run, write, sampling):
    assert run("separate", write()).exit_code == 0
    [call] = sampling.calls
    left = ("quality", "prior", "levels", "steps", "step_scale", "sampler", "draws")
    assert {key: call[key] for key in left} == dict.fromkeys(left)


def test_room_is_asked_for_as_many_draws_as_any_quality_makes():
    assert max(quality.draws for quality in QUALITIES.values()) <= MOST_DRAWS


def test_existing_results_are_kept(run, write, sampling):
    mix = write()
    assert run("separate", mix).exit_code == 0
    before = {name: Path("separated", name).read_bytes() for name in files_under(Path("separated"))}
    result = run("separate", mix, "--seed", 1)
    assert result.exit_code == 7
    assert "separated/mix exists already; add --overwrite" in result.stderr
    assert len(sampling.calls) == 1  # found out before computing
    assert before == {name: Path("separated", name).read_bytes() for name in files_under(Path("separated"))}


def test_overwrite_replaces_all_of_the_earlier_results(run, write, sampling):
    mix = write()
    assert run("separate", mix, "--draws", 2).exit_code == 0
    Path("separated/mix/.DS_Store").touch()
    result = run("separate", mix, "--overwrite", "--seed", 1)
    assert result.exit_code == 0, result.stderr
    assert files_under(Path("separated")) == ["mix/piano.wav", "mix/report.json", "mix/speech.wav"]
    assert json.loads(Path("separated/mix/report.json").read_text(encoding="utf-8"))["settings"]["seed"] == 1


@pytest.mark.parametrize("error", [DivergenceError("diverged"), KeyboardInterrupt(), ValueError("a fault")])
def test_overwrite_keeps_the_earlier_results_on_failure(run, write, sampling, error):
    mix = write()
    assert run("separate", mix).exit_code == 0
    before = files_under(Path("separated"))
    sampling.error = error
    assert run("separate", mix, "--overwrite").exit_code in (1, 5, 130)
    assert files_under(Path("separated")) == before


def test_overwrite_spares_files_of_others(run, write, sampling):
    mix = write()
    assert run("separate", mix).exit_code == 0
    Path("separated/mix/notes.txt").write_text("mine")
    result = run("separate", mix, "--overwrite")
    assert result.exit_code == 7
    assert "notes.txt, which no earlier run wrote" in result.stderr
    assert Path("separated/mix/notes.txt").read_text() == "mine"


def test_overwrite_spares_its_own_input(run, write, sampling):
    assert run("separate", write("speech.wav")).exit_code == 0
    result = run("separate", "separated/speech/speech.wav", "--overwrite")
    assert result.exit_code == 7
    assert "lies in separated/speech, which would be replaced" in result.stderr
    assert Path("separated/speech/speech.wav").exists()


def test_an_empty_folder_is_no_earlier_result(run, write, sampling):
    Path("separated/mix").mkdir(parents=True)
    assert run("separate", write()).exit_code == 0
    assert len(files_under(Path("separated/mix"))) == 3


def test_ctrl_c_leaves_nothing(run, write, sampling):
    sampling.error = KeyboardInterrupt()
    mix = write()
    result = run("separate", mix, "-o", "deep/down")
    assert result.exit_code == 130
    assert result.stderr == "audiofix: stopped; nothing was written\n"
    assert files_under(Path()) == ["mix.wav"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_while_writing_leaves_nothing(run, write, sampling, monkeypatch, error):
    import audiofix.audio.files

    real, written = audiofix.audio.files.write_audio, []

    def interrupted(path: Path, audio: object) -> None:
        if written:
            raise error
        written.append(path)
        real(path, audio)

    monkeypatch.setattr(audiofix.audio.files, "write_audio", interrupted)
    result = run("separate", write(), "-o", "deep/down")
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 7)
    assert len(result.stderr.splitlines()) == 1
    assert written
    assert files_under(Path()) == ["mix.wav"]


def test_ctrl_c_says_what_was_finished(run, write, sampling):
    first, second = write("a.wav"), write("b.wav", length=100)
    real = sampling.separate

    def second_is_stopped(audio, sources, **settings):
        if audio.length == 100:
            raise KeyboardInterrupt
        return real(audio, sources, **settings)

    sampling_api = sys.modules["audiofix.api"]
    sampling_api.separate = second_is_stopped
    result = run("separate", first, second)
    assert result.exit_code == 130
    assert result.stderr == f"audiofix: stopped; nothing was written for {second}; finished before: {first}\n"
    assert sorted(p.name for p in Path("separated").iterdir()) == ["a"]


def test_one_bad_file_does_not_stop_the_others(run, write, sampling):
    good = write("good.wav")
    Path("empty.wav").touch()
    Path("separated/taken").mkdir(parents=True)
    Path("separated/taken/x").touch()
    result = run("separate", "empty.wav", write("taken.wav"), good)
    assert result.exit_code == 3  # of the first that failed
    assert len(result.stderr.splitlines()) == 3
    assert "2 of 3 files failed: empty.wav" in result.stderr
    assert Path("separated/good/speech.wav").exists()


def test_dry_run_writes_nothing(run, write, sampling, tiny_models):
    mix = write()
    options = ("--dry-run", "--levels", 2, "--steps", 3)
    result = run("separate", mix, *options)
    assert result.exit_code == 0, result.stderr
    facts = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert facts["models"].strip() == "tiny-speech (speech), tiny-piano (piano)"
    assert facts["schedule"].strip() == "2 levels of 3 steps"
    assert "nothing was written" in facts["files"]
    planned = json.loads(run("separate", mix, *options, "--json").stdout)
    assert planned["network_calls"] >= 2 * 2 * 3
    assert planned["path"] == str(mix)
    assert sampling.calls == []
    assert files_under(Path()) == sorted(["mix.wav", *(str(p) for p in models_of(tiny_models))])


def models_of(folder: Path) -> list[Path]:
    return [Path(folder.name, name) for name in files_under(folder)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_only(monkeypatch):
    from audiofix import api

    with show.progress_bar("mix") as update:
        assert update is None
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    with show.progress_bar("mix [1]") as update:
        update(api.Progress(1, 2, 2, 24, 3, 64, 0.5, 67, 1536))
    assert "draw 1/2  sigma 0.5000  level 2/24  step 3/64" in terminal.getvalue()
    assert "mix [1]" in terminal.getvalue()
