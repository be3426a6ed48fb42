"""`--spread` and `--init` through the command line: what is written, read, and refused with nothing touched."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from audiofix.audio.files import bytes_needed
from audiofix.cli.picture import save_spread
from audiofix.numerics.spread import certainty_db
from tests.cli.conftest import files_under

SETTING, INPUT, OUTPUT = 2, 3, 7
NAMES = ("speech", "piano")
SPREAD = [f"spread/{name}.{suffix}" for name in NAMES for suffix in ("wav", "png")]


def report_of(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))


def decoded(path: Path) -> np.ndarray:
    """The picture as (height, width, colour) in 0 to 1, its size held against what the file's head says."""
    from matplotlib.image import imread

    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data[12:16] == b"IHDR"
    width, height = struct.unpack(">II", data[16:24])
    pixels = imread(path)
    assert pixels.shape[:2] == (height, width)
    return pixels


def refused(result, status: int, *says: str) -> None:
    """The exit status, and one line on stderr that says all of `says`."""
    assert result.exit_code == status, (result.exit_code, result.stderr)
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("audiofix: ")
    for text in says:
        assert text in line


@pytest.mark.parametrize("given", [{}, {"rate": 22050, "channels": 1, "length": 3000, "subtype": "PCM_24"}])
def test_spread_writes_deviation_and_picture_of_four_draws(run, write, sampling, given):
    mix = write(**given)
    result = run("separate", mix, "--spread")
    assert result.exit_code == 0, result.stderr
    [call] = sampling.calls
    assert call["draws"] == 4
    folder, heard = Path("separated/mix"), soundfile.info(mix)
    report = report_of("separated/mix")
    draws = [f"draws/{name}.{k}.wav" for name in NAMES for k in (1, 2, 3, 4)]
    expected = sorted(["speech.wav", "piano.wav", "report.json", *draws, *SPREAD])
    assert files_under(folder) == sorted(report["output"]["files"]) == expected
    assert report["settings"]["spread"] is True
    for name, share in (("speech", lambda d: 1 / (2.7 + d)), ("piano", lambda d: (1.7 + d) / (2.7 + d))):
        path = folder / f"spread/{name}.wav"
        info = soundfile.info(path)
        assert (info.format, info.subtype) == ("WAV", "FLOAT")
        assert (info.samplerate, info.frames, info.channels) == (
            heard.samplerate,
            heard.frames,
            heard.channels,
        )
        # `Sampling` gives each draw its share of the mixture; a few float32 roundings of numbers below 1.
        deviation = np.std([share(d) for d in range(4)], ddof=1)
        by_hand = deviation * np.abs(soundfile.read(mix)[0])
        assert by_hand.max() > 0.03
        assert np.abs(soundfile.read(path)[0] - by_hand).max() < 1e-6
        height, width, _ = decoded(folder / f"spread/{name}.png").shape
        assert (width, height) == (1000, 600)


@pytest.mark.parametrize("draws", [2, 5])
def test_spread_of_as_many_draws_as_wanted(run, write, sampling, draws):
    assert run("separate", write(), "--spread", "--draws", draws, "--quality", "best").exit_code == 0
    assert sampling.calls[0]["draws"] == draws
    assert len(list(Path("separated/mix/draws").iterdir())) == 2 * draws
    assert sorted(p.name for p in Path("separated/mix/spread").iterdir()) == sorted(n[7:] for n in SPREAD)


def test_no_spread_unless_asked_for(run, write, sampling):
    assert run("separate", write(), "--draws", 3).exit_code == 0
    assert not Path("separated/mix/spread").exists()
    assert report_of("separated/mix")["settings"]["spread"] is False


@pytest.mark.parametrize(
    "options",
    [
        ["--draws", 1],
        ["--draws", 1, "--quality", "best"],
        ["--quality", "fast"],
        ["--quality", "fast", "--draws", 3],
        ["--quality", "fast", "--dry-run"],
    ],
)
def test_spread_needs_draws(run, write, sampling, options):
    refused(run("separate", write(), "--spread", *options), SETTING, "--spread needs two draws or more")
    assert sampling.calls == []
    assert files_under(Path()) == ["mix.wav"]


def test_spread_in_a_dry_run_counts_four_draws(run, write, tiny_models):
    options = ["--levels", 2, "--device", "cpu", "--sampler", "consistent", "--dry-run", "--json"]
    calls = [
        json.loads(run("separate", write(), *options, *more).stdout)["network_calls"]
        for more in (["--spread"], ["--draws", 1])
    ]
    assert calls == [4 * 2 * (2 + 1), 2 * (2 + 1)]
    assert not Path("separated").exists()


@pytest.mark.parametrize("length", [400, 513])
def test_spread_of_the_shortest_recordings(run, write, sampling, length):
    mix = write(length=length, channels=1, rate=8000)
    result = run("separate", mix, "--spread")
    assert result.exit_code == 0, result.stderr
    decoded(Path("separated/mix/spread/piano.png"))


def test_room_is_asked_for_spread_too(run, write, sampling, monkeypatch):
    mix = write()
    needed = (2 * (1 + 4 + 1) + 1) * bytes_needed(2, 2205, "FLOAT")
    usage = SimpleNamespace(total=needed, used=0, free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(run("separate", mix, "--spread"), OUTPUT, "results need")
    assert sampling.calls == []
    usage.free = needed
    assert run("separate", mix, "--spread").exit_code == 0


def test_spread_is_replaced_with_the_rest(run, write, sampling):
    mix = write()
    assert run("separate", mix, "--spread").exit_code == 0
    assert run("separate", mix, "--overwrite").exit_code == 0
    assert files_under(Path("separated/mix")) == ["piano.wav", "report.json", "speech.wav"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_while_drawing_leaves_nothing(run, write, sampling, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("audiofix.cli.picture.save_spread", fail)
    result = run("separate", write(), "--spread")
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else OUTPUT)
    assert files_under(Path()) == ["mix.wav"]


@pytest.mark.parametrize("difference", [2.0**-5, 3.0])
def test_a_colour_means_the_same_in_every_picture(tmp_path, difference):
    """x and (1 + d) x differ alike everywhere: variance d^2 / 2 over power (1 + (1 + d)^2) / 2."""
    from matplotlib import colormaps

    x = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    draws = [x, (1 + difference) * x]
    save_spread(tmp_path / "x.png", draws, 16000, "x")
    share = difference**2 / (1 + (1 + difference) ** 2)
    place = (10 * np.log10(share) + 60) / 60
    pixels = decoded(tmp_path / "x.png")
    # Above it the level of white noise, which has a place of its own; pixels are means over some cells.
    level = (float(certainty_db(draws)[0].median()) + 60) / 60
    above = np.median(pixels[90:210, 200:700, :3], axis=(0, 1))
    near, other = (np.abs(above - colormaps["magma"](value)[:3]).max() for value in (level, place))
    assert near < 0.05 < 0.15 < other
    below = np.median(pixels[380:500, 200:700, :3], axis=(0, 1))  # well inside the lower of the panels
    # A map of 256 colours and 8 bits: off by one of each, and viridis takes at most 2/255 from one to the next.
    assert np.abs(below - colormaps["viridis"](place)[:3]).max() < 3.1 / 255


@pytest.fixture
def stems(write):
    """Write SOURCE.wav for both sources; keyword arguments as `write` takes them. Returns their samples."""

    def both(folder: str, seed: int = 10, **given: Any) -> dict[str, np.ndarray]:
        files = {name: write(f"{folder}/{name}.wav", seed=seed + k, **given) for k, name in enumerate(NAMES)}
        return {name: soundfile.read(file, always_2d=True)[0].T for name, file in files.items()}

    return both


def given_to(sampling, call: int = 0) -> dict[str, np.ndarray]:
    return {name: stem.samples.numpy() for name, stem in sampling.calls[call]["init"].items()}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return list(found) == list(NAMES) and all(np.array_equal(found[n], expected[n]) for n in NAMES)


@pytest.mark.parametrize("folder", ["made", "made/mix"])
def test_stems_to_begin_with_are_read(run, write, sampling, stems, folder):
    made = stems(folder)
    result = run("separate", write(), "--init", "made")
    assert result.exit_code == 0, result.stderr
    assert same(given_to(sampling), made)
    settings = report_of("separated/mix")["settings"]
    assert settings["init"] == {name: f"{folder}/{name}.wav" for name in NAMES}
    assert sampling.calls[0]["quality"] is None  # so that the library chooses


def test_without_stems_none_are_given(run, write, sampling):
    assert run("separate", write()).exit_code == 0
    assert sampling.calls[0]["init"] is None
    assert not report_of("separated/mix")["settings"]["init"]


def test_the_mixtures_own_folder_comes_first(run, write, sampling, stems):
    other, own = stems("made", 20), stems("made/mix", 30)
    assert run("separate", write(), "--init", "made").exit_code == 0
    assert same(given_to(sampling), own)
    assert not same(given_to(sampling), other)


def test_each_mixture_has_its_own_stems(run, write, sampling, stems):
    first, second = stems("made/a", 20), stems("made/b", 30)
    assert run("separate", write("a.wav"), write("b.wav"), "--init", "made").exit_code == 0
    assert same(given_to(sampling, 0), first)
    assert same(given_to(sampling, 1), second)


def test_what_lies_beside_the_stems_is_no_stem(run, write, sampling, stems):
    made = stems("made")
    for name in ("speech.json", "speech.png", "speech.TXT", "speech.1.wav", "speech-2.wav", "speechless.wav"):
        Path("made", name).write_text("not a stem")
    Path("made/speech.old").mkdir()
    result = run("separate", write(), "--init", "made")
    assert result.exit_code == 0, result.stderr
    assert same(given_to(sampling), made)


def test_any_format_and_two_of_a_kind(run, write, sampling):
    for k, name in enumerate(("speech.flac", "speech-2.aiff")):
        write(f"made/{name}", seed=40 + k)
    result = run("separate", write(), "--sources", "speech,speech", "--init", "made")
    assert result.exit_code == 0, result.stderr
    assert list(sampling.calls[0]["init"]) == ["speech", "speech-2"]


def spoil_missing(stems, write):
    stems("made")
    Path("made/piano.wav").unlink()


def spoil_nothing_there(stems, write):
    pass


def spoil_two(stems, write):
    stems("made")
    write("made/piano.flac")


def spoil_two_of_its_own(stems, write):
    stems("made")
    stems("made/mix")
    write("made/mix/piano.flac")


def spoil_rate(stems, write):
    stems("made", rate=48000)


def spoil_length(stems, write):
    stems("made", length=2204)


def spoil_channels(stems, write):
    stems("made", channels=1)


def spoil_nan(stems, write):
    stems("made")
    samples = np.full((2205, 2), 0.1)
    samples[100] = np.nan
    write("made/piano.wav", samples, subtype="FLOAT")


def spoil_text(stems, write):
    stems("made")
    Path("made/piano.wav").write_text("no sound")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_missing, "--init made holds no piano.wav or the like"),
        (spoil_nothing_there, "--init made holds no speech.wav or the like"),
        (spoil_two, "--init made holds piano.flac and piano.wav; leave one of them"),
        (spoil_two_of_its_own, "--init made/mix holds piano.flac and piano.wav; leave one of them"),
        (spoil_rate, "init made/speech.wav has 48000 Hz"),
        (spoil_length, "init made/speech.wav has 2204 samples"),
        (spoil_channels, "init made/speech.wav has 1 channel(s)"),
        (spoil_nan, "made/piano.wav holds 2 NaN or infinite samples, the first at sample 100"),
        (spoil_text, "made/piano.wav cannot be read as audio"),
    ],
)
def test_stems_that_cannot_be_begun_with(run, write, sampling, stems, spoil, says, dry):
    mix = write()
    spoil(stems, write)
    before = files_under(Path())
    refused(run("separate", mix, "--init", "made", *dry), INPUT, says)
    assert sampling.calls == []
    assert files_under(Path()) == before


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_quality_without_a_chain_is_refused(run, write, stems, tiny_separator, dry):
    stems("made")
    mix = write()
    before = files_under(Path())
    refused(
        run("separate", mix, "--init", "made", "--quality", "fast", *dry),
        SETTING,
        "quality fast has no chain",
    )
    assert files_under(Path()) == before


@pytest.mark.parametrize("init", ["separated", "separated/mix", "link"])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_stems_in_the_place_of_the_results_are_kept(run, write, sampling, init, overwrite):
    mix = write()
    assert run("separate", mix).exit_code == 0
    Path("link").symlink_to("separated/mix", target_is_directory=True)
    before = {name: Path("separated", name).read_bytes() for name in files_under(Path("separated"))}
    says = "lies in separated/mix, which would be replaced" if overwrite else "exists already"
    refused(run("separate", mix, "--init", init, *overwrite), OUTPUT, says)
    assert len(sampling.calls) == 1
    assert before == {name: Path("separated", name).read_bytes() for name in files_under(Path("separated"))}
    assert run("separate", mix, "--init", init, "-o", "better").exit_code == 0
    assert before == {name: Path("separated", name).read_bytes() for name in files_under(Path("separated"))}


def test_both_with_nothing_replaced(run, write, stems, tiny_separator):
    """Real sampling from tiny priors: the spread is that of the draws in the files."""
    stems("made", rate=16000, length=1600, channels=1)
    mix = write("mix.wav", rate=16000, length=1600, channels=1, subtype="FLOAT")
    options = ["--levels", 3, "--draws", 2, "--device", "cpu", "--seed", 1]
    result = run("separate", mix, "--init", "made", "--spread", *options)
    assert result.exit_code == 0, result.stderr
    report = report_of("separated/mix")
    assert report["settings"]["quality"] == "best"
    assert [model["name"] for model in report["models"]] == ["tiny-speech", "tiny-piano"]
    assert set(SPREAD) <= set(report["output"]["files"])
    draws = [soundfile.read(f"separated/mix/draws/speech.{k}.wav")[0] for k in (1, 2)]
    # Two values d apart deviate by d / sqrt 2; float32 rounding of numbers up to about 1.
    by_hand = np.abs(draws[0] - draws[1]) / np.sqrt(2)
    assert by_hand.max() > 1e-3
    assert np.abs(soundfile.read("separated/mix/spread/speech.wav")[0] - by_hand).max() < 1e-6
    decoded(Path("separated/mix/spread/piano.png"))
    # Another start is another result.
    assert run("separate", mix, *options, "--quality", "best", "-o", "plain").exit_code == 0
    stem, plain = (soundfile.read(f"{place}/mix/speech.wav")[0] for place in ("separated", "plain"))
    assert np.abs(stem - plain).max() > 1e-3
