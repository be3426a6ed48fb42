"""From file to stems with nothing replaced: real sampling, with priors that are real in every respect but size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiofix.separation import QUALITIES
from tests.cli.test_app import command

QUICK = ["--levels", 4, "--steps", 2, "--step-scale", 0.9, "--device", "cpu"]


def integers(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16", always_2d=True)[0].astype(int)


def soft(channels: int) -> np.ndarray:
    return 0.005 * np.random.default_rng(4).standard_normal((1600, channels))


@pytest.fixture
def two_sources(write) -> tuple[Path, Path, Path]:
    """(mixture, first, second) at 44.1 kHz stereo: noise below 5 kHz, and a tone above the priors' band.

    Soft, because untrained priors wander far from the mixture and 16 bits must hold where they go.
    """
    time = np.arange(4410)[:, None] / 44100
    noise = np.random.default_rng(3).standard_normal((4410, 2))
    smooth = np.apply_along_axis(np.convolve, 0, noise, np.hanning(18) / 4, "same")
    first, second = (
        np.round(300 * x) / 32768 for x in (smooth, 0.5 * np.sin(2 * np.pi * 12000 * time + [0, 1]))
    )
    return write("mix.wav", first + second), write("first.wav", first), write("second.wav", second)


def test_the_whole_path(run, tiny_models, two_sources):
    mix, first, second = two_sources
    references = ["--reference", f"speech={first}", "--reference", f"piano={second}"]
    result = run("separate", mix, *QUICK, "--draws", 2, *references)
    assert result.exit_code == 0, result.stderr
    folder = Path("separated/mix")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    parts = [integers(folder / f"{name}.wav") for name in ("speech", "piano", "residual")]
    np.testing.assert_array_equal(sum(parts), integers(mix))
    # The tone lies where the priors are deaf: it is in the residual, and the report says so.
    assert np.abs(parts[2]).max() > 100
    assert report["notes"]
    assert report["si_sdr"]["piano"]["before"] < 0
    assert {m["name"] for m in report["models"]} == {"tiny-speech", "tiny-piano"}
    assert report["settings"]["levels"] == 4
    assert "dB" in result.stdout
    speech = [integers(folder / f"draws/speech.{k}.wav") for k in (1, 2)]
    assert np.abs(speech[0] - speech[1]).max() > 0
    assert np.abs((speech[0] + speech[1]) / 2 - parts[0]).max() <= 1.5


def test_the_same_seed_gives_the_same_files(run, tiny_models, write):
    mix = write("mix.wav", soft(2), rate=16000)
    for out, seed in (("a", 7), ("b", 7), ("c", 8)):
        assert run("separate", mix, *QUICK, "-o", out, "--seed", seed).exit_code == 0
    files = [Path(out, "mix", "speech.wav").read_bytes() for out in "abc"]
    assert files[0] == files[1] != files[2]


def test_two_of_a_kind_and_named_priors(run, tiny_models, write):
    mix = write("mix.wav", soft(1), rate=16000)
    result = run("separate", mix, *QUICK, "--sources", "speech,speech", "--prior", "tiny-speech,tiny-piano")
    assert result.exit_code == 0, result.stderr
    parts = [integers(Path("separated/mix") / f"{name}.wav") for name in ("speech", "speech-2")]
    np.testing.assert_array_equal(sum(parts), integers(mix))


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_a_quality(run, tiny_separator, write, quality):
    mix = write("mix.wav", soft(1), rate=16000)
    levels = ["--levels", 3] if quality != "fast" else []
    result = run("separate", mix, "--quality", quality, *levels, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    folder = Path("separated/mix")
    parts = [integers(folder / f"{name}.wav") for name in ("speech", "piano")]
    np.testing.assert_array_equal(sum(parts), integers(mix))
    draws = QUALITIES[quality].draws
    assert len(list(folder.glob("draws/speech.*.wav"))) == (draws if draws > 1 else 0)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["settings"]["quality"] == quality
    assert report["models"][0]["name"] == "tiny-separator"
    assert report["settings"]["levels"] == (3 if levels else None)
    planned = run("separate", mix, "--quality", quality, *levels, "--device", "cpu", "--dry-run", "-o", "new")
    facts = dict(line.split("  ", 1) for line in planned.stdout.splitlines())
    assert facts["schedule"].strip() == ("3 levels of 1 steps" if levels else "one estimate")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quality", "superb"], "no quality 'superb'; choose one of fast, balanced, best, pnf"),
        (["--quality", "fast", "--levels", 4], "quality fast has no ladder"),
        (["--prior", "score"], "no score prior of speech"),
    ],
)
def test_a_quality_that_does_not_exist_or_fit(run, tiny_separator, write, options, words):
    result = run("separate", write("mix.wav", soft(1), rate=16000), *options, "--device", "cpu")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not Path("separated").exists()


def test_as_a_process_of_its_own(tiny_models, write):
    result = command("separate", write("mix.wav", soft(2), rate=16000), *QUICK, "--json")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["output"]["largest_error"] == 0
    assert Path(report["output"]["folder"], report["output"]["stems"]["piano"]).is_file()
