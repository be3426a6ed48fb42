"""What bad input gets: one line that says what to do, its exit status, and nothing lost or left behind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cli.conftest import files_under

USAGE, SETTING, INPUT, MODEL, DIVERGED, DEVICE, OUTPUT = 2, 2, 3, 4, 5, 6, 7


def refused(result, status: int, *says: str) -> None:
    """The exit status, and one line on stderr that says all of `says`."""
    assert result.exit_code == status, (result.exit_code, result.stderr)
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("audiofix: ")
    for text in says:
        assert text in line
    assert not Path("separated").exists()


def test_missing_file(run):
    refused(run("separate", "no such.wav"), INPUT, "no such.wav does not exist")


def test_folder(run):
    Path("album").mkdir()
    refused(run("separate", "album"), INPUT, "album is a folder")


def test_empty_file(run):
    Path("empty.wav").touch()
    refused(run("separate", "empty.wav"), INPUT, "empty.wav is empty (0 bytes)")


def test_text_with_an_audio_suffix(run):
    Path("text.wav").write_text("this is no sound\n" * 9)
    refused(run("separate", "text.wav"), INPUT, "text.wav cannot be read as audio")


def test_unknown_extension(run):
    Path("music.xyz").write_bytes(bytes(range(256)))
    refused(run("separate", "music.xyz"), INPUT, "music.xyz cannot be read as audio", ".flac")


def test_no_samples(run, write):
    refused(run("separate", write(length=0)), INPUT, "holds no samples")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(run, write, value):
    samples = np.full((1000, 1), 0.1)
    samples[500] = value
    refused(
        run("separate", write(samples=samples, subtype="FLOAT")),
        INPUT,
        "1 NaN or infinite samples",
        "sample 500",
    )


def test_a_cut_file(run, write):
    data = write("mix.flac", length=20000, channels=1).read_bytes()
    Path("cut.flac").write_bytes(data[: len(data) // 2])
    refused(run("separate", "cut.flac"), INPUT, "cut.flac")


@pytest.mark.parametrize(
    ("samples", "says"),
    [(np.full((1, 1), 0.5), "1 sample"), (np.zeros((4000, 2)), "silen")],
    ids=["one sample", "silence"],
)
def test_nothing_to_separate(run, write, tiny_models, samples, says):
    refused(run("separate", write(samples=samples)), INPUT, says)


def test_unknown_source(run, write, tiny_models):
    refused(run("separate", write(), "--sources", "speech,pianno"), MODEL, "'pianno'", "did you mean piano?")


def test_unknown_prior(run, write, tiny_models):
    refused(run("separate", write(), "--prior", "tiny-speech,tiny-pian"), MODEL, "tiny-pian", "tiny-piano")


def test_no_such_device(run, write, tiny_models):
    refused(run("separate", write(), "--device", "cuda:99"), DEVICE, "cuda:99")
    refused(run("separate", write(), "--device", "quantum"), DEVICE, "quantum")


def test_damaged_weights(run, write, tiny_models):
    weights = tiny_models / "tiny-piano" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    refused(run("separate", write()), MODEL, "weights.safetensors: sha256")


@pytest.mark.parametrize("scale", ["0", "-1", "2", "nan"])
def test_step_scale_out_of_range(run, write, tiny_models, scale):
    refused(run("separate", write(), "--step-scale", scale), SETTING, "step scale")


@pytest.mark.parametrize("names", ["", "speech,,piano", "a/b", "../up", "residual,speech", ".hidden"])
def test_impossible_sources(run, write, names):
    refused(run("separate", write(), "--sources", names), SETTING, "--sources")


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["speech"], "such as speech=clean.wav"),
        (["speech="], "such as speech=clean.wav"),
        (["drums=a.wav"], "'drums' is not separated; possible: speech, piano"),
        (["speech=a.wav", "speech=b.wav"], "speech has a.wav already"),
    ],
)
def test_impossible_references(run, write, texts, says):
    options = [part for text in texts for part in ("--reference", text)]
    refused(run("separate", write(), *options), SETTING, says)


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"length": 2204}, "has 2204 samples"),
        ({"rate": 48000}, "has 48000 Hz"),
        ({"channels": 1}, "has 1 channel(s)"),
    ],
)
def test_references_of_another_shape(run, write, sampling, differs, says):
    result = run("separate", write(), "--reference", f"speech={write('clean.wav', **differs)}")
    refused(result, INPUT, "clean.wav", "mix.wav", says)
    assert sampling.calls == []


def test_silent_reference(run, write, sampling):
    clean = write("clean.wav", np.zeros((2205, 2)))
    refused(run("separate", write(), "--reference", f"speech={clean}"), INPUT, "clean.wav", "silent")
    assert sampling.calls == []


def test_missing_reference(run, write, sampling):
    refused(run("separate", write(), "--reference", "speech=no.wav"), INPUT, "no.wav does not exist")


def test_a_reference_is_for_one_mixture(run, write):
    result = run("separate", write("a.wav"), write("b.wav"), "--reference", "speech=a.wav")
    refused(result, SETTING, "2 are given")


def test_two_mixtures_of_one_name(run, write):
    refused(
        run("separate", write("a/x.wav"), write("b/x.wav")),
        SETTING,
        "a/x.wav and",
        "b/x.wav would both go to",
    )


def test_output_exists(run, write, sampling):
    Path("out/mix").mkdir(parents=True)
    Path("out/mix/mine.txt").touch()
    refused(run("separate", write(), "-o", "out"), OUTPUT, "out/mix exists already")
    refused(run("separate", write(), "-o", "out", "--overwrite"), OUTPUT, "mine.txt")
    assert sampling.calls == []
    assert files_under(Path("out")) == ["mix/mine.txt"]


@pytest.mark.parametrize("output", ["file", "file/below", "file/far/below"])
def test_output_under_a_file(run, write, sampling, output):
    Path("file").write_text("mine")
    refused(run("separate", write(), "-o", output), OUTPUT, "file is not a folder")
    assert sampling.calls == []
    assert Path("file").read_text() == "mine"


def test_results_are_a_file(run, write, sampling):
    Path("out").mkdir()
    Path("out/mix").write_text("mine")
    refused(run("separate", write(), "-o", "out", "--overwrite"), OUTPUT, "out/mix is not a folder")
    assert sampling.calls == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_output_without_permission(run, write, sampling):
    Path("locked").mkdir(mode=0o555)
    refused(run("separate", write(), "-o", "locked/out"), OUTPUT, "no permission to write")
    assert sampling.calls == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody can write")
def test_output_where_nobody_may_write(run, write, sampling):
    refused(run("separate", write(), "-o", "/proc/out"), OUTPUT, "cannot write /proc")
    assert sampling.calls == []


def test_no_space(run, write, sampling, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100, used=100, free=1000))
    refused(run("separate", write()), OUTPUT, "results need", "1 kB free")
    assert sampling.calls == []


@pytest.mark.parametrize("option", ["--steps", "--levels", "--draws"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_counts_must_be_counts(run, write, option, value):
    result = run("separate", write(), option, value)
    assert result.exit_code == USAGE
    assert option in result.stderr
    assert not Path("separated").exists()


def test_no_arguments_and_unknown_ones(run):
    assert run("separate").exit_code == USAGE
    assert run("separate", "a.wav", "--loud").exit_code == USAGE
    assert run("repair").exit_code == USAGE


def test_seven_channels(run, write, tiny_models):
    result = run("separate", write(channels=7, rate=16000, length=800), "--levels", 2, "--steps", 1)
    refused(result, INPUT, "7")
