"""`audiofix upsample`, `inpaint`, `declip`, `dequantise`, `denoise` and `restore`: what they write, and where."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from audiofix import repair
from audiofix.cli import restore
from audiofix.cli.app import app
from audiofix.errors import DivergenceError
from audiofix.hub import registry
from audiofix.hub.registry import export_model
from tests.cli.conftest import files_under
from tests.cli.restoring import AGAINST_IT, FILL, Restoring, sound
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer, tiny_restorer

GAP = ("--gap", "0.1+20ms")


@pytest.fixture
def restoring(monkeypatch):
    """No prior is asked: what comes back is from `Restoring`."""
    stand_in = Restoring()
    monkeypatch.setattr(repair, "restore", stand_in.restore)
    return stand_in


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed, source in enumerate(("speech", "piano")):
        export_model(
            tiny_mixer(seed=seed), tiny_card(f"tiny-{source}", "score", source), folder / f"tiny-{source}"
        )
    card = replace(
        tiny_card("tiny-inpainter", "inpainter", "speech"), validation={"mean_snr_in_gaps_db": 1.0}
    )
    export_model(tiny_restorer(2), card, folder / card.name)
    return folder


@pytest.fixture
def models(exported, monkeypatch):
    """Tiny networks of random weights, real in all else."""
    monkeypatch.setattr(registry, "_packaged", list)
    monkeypatch.setenv("AUDIOFIX_MODELS", str(exported))


def done(result):
    assert result.exit_code == 0, (result.stdout, result.stderr)
    assert result.stderr == ""
    return result


def integers(path, dtype="int16"):
    return soundfile.read(path, dtype=dtype, always_2d=True)[0]


def like(path):
    info = soundfile.info(path)
    return info.format, info.subtype, info.samplerate, info.channels, info.frames


def marked(path):
    """Tags of a file."""
    with soundfile.SoundFile(path) as file:
        return {name: text for name, text in file.copy_metadata().items() if text}


FORMATS = [
    ("x.wav", "WAV", "PCM_16", 44100, 2),
    ("x.wav", "WAV", "PCM_16", 8000, 1),
    ("x.wav", "WAV", "PCM_24", 48000, 3),
    ("x.wav", "WAV", "PCM_U8", 11127, 1),
    ("x.wav", "WAV", "FLOAT", 11127, 2),
    ("x.WAV", "WAV", "FLOAT", 16000, 3),
    ("x.wav", "WAVEX", "PCM_24", 22050, 2),
    ("x.flac", "FLAC", "PCM_16", 44100, 2),
    ("x.flac", "FLAC", "PCM_24", 22050, 1),
    ("x.aiff", "AIFF", "PCM_16", 48000, 2),
    ("x.aif", "AIFF", "PCM_24", 8000, 3),
    ("x.ogg", "OGG", "VORBIS", 44100, 2),
    ("x.ogg", "OGG", "VORBIS", 11127, 3),
    ("x.mp3", "MP3", "MPEG_LAYER_III", 44100, 2),
    ("x.mp3", "MP3", "MPEG_LAYER_III", 16000, 1),
]


@pytest.mark.parametrize(
    ("name", "container", "subtype", "rate", "channels"),
    FORMATS,
    ids=[" ".join(map(str, f)) for f in FORMATS],
)
def test_the_file_stays_what_it_was(run, restoring, name, container, subtype, rate, channels):
    if container not in soundfile.available_formats():
        pytest.skip(f"libsndfile has no {container}")
    with soundfile.SoundFile(name, "w", rate, channels, subtype, None, container) as file:
        if (container, channels) in (("WAV", 2), ("FLAC", 2), ("OGG", 2)):
            file.title, file.artist = "Night", "Nobody"
        file.write(sound(rate, channels=channels))
    result = done(run("inpaint", name, *GAP))
    assert files_under(Path("restored")) == sorted([name, f"{Path(name).stem}.report.json"])
    made = Path("restored") / name
    assert like(made) == like(name)
    assert marked(made) == marked(name)
    before, after = integers(name, "float64"), integers(made, "float64")
    start, stop = round(0.1 * rate), round(0.12 * rate)
    if subtype in ("VORBIS", "MPEG_LAYER_III"):
        assert f"note: {container} {subtype} codes samples anew" in result.stdout
        assert np.abs(np.delete(before - after, np.s_[start:stop], axis=0)).std() < 0.05
        return
    assert "codes samples anew" not in result.stdout
    np.testing.assert_array_equal(after[:start], before[:start])
    np.testing.assert_array_equal(after[start:stop], FILL)
    np.testing.assert_array_equal(after[stop:], before[stop:])


def test_tags_were_there_to_be_kept(run, restoring):
    with soundfile.SoundFile("x.flac", "w", 16000, 1, "PCM_16") as file:
        file.title = "Night"
        file.write(sound())
    done(run("upsample", "x.flac", "--to", 48000))
    assert marked("restored/x.flac")["title"] == "Night"
    assert like("restored/x.flac") == ("FLAC", "PCM_16", 48000, 1, 12000)


def test_a_format_that_cannot_hold_the_result_is_changed_and_said(run, write, restoring):
    loud = write(samples=np.clip(2 * sound(), -0.99, 0.99), rate=16000)
    result = done(run("declip", loud, "--level", 0.95))
    assert like("restored/mix.wav")[:2] == ("WAV", "FLOAT")
    assert "note: written as WAV FLOAT: WAV PCM_16 cannot hold the result (peak 1.0" in result.stdout
    soundfile.write("loud.flac", np.clip(2 * sound(), -0.99, 0.99), 16000)
    result = done(run("declip", "loud.flac", "--level", 0.95, "-o", "kept.flac"))
    assert like("kept.wav")[:2] == ("WAV", "FLOAT")
    assert "kept.wav" in result.stdout


def test_a_rate_that_the_container_lacks(run, restoring):
    soundfile.write("x.mp3", sound(44100, channels=2), 44100)
    result = done(run("upsample", "x.mp3", "--to", 96000))
    assert like("restored/x.wav")[:4] == ("WAV", "FLOAT", 96000, 2)
    assert "MP3 MPEG_LAYER_III cannot hold the result" in result.stdout


def test_eight_bits_dequantised_are_written_as_sixteen(run, write, models):
    soft = write(samples=sound(), rate=16000, subtype="PCM_U8")
    result = done(run("dequantise", soft, *AGAINST_IT))
    assert "grid of 8 bits" in result.stdout
    assert like("restored/mix.wav")[:2] == ("WAV", "PCM_16")
    assert "note: written as WAV PCM_16" in result.stdout
    assert np.abs(integers("restored/mix.wav") % 256).max() > 0
    off = np.abs(integers(soft, "float64") - integers("restored/mix.wav", "float64"))
    assert off.max() <= 2**-8


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(44100, 2, "PCM_16"), (11127, 3, "PCM_24"), (16000, 1, "FLOAT")]
)
@pytest.mark.parametrize("how", ["--mean", "--one"])
def test_inpainting_leaves_all_else_bit_for_bit(run, write, models, rate, channels, subtype, how):
    mix = write(samples=sound(rate, channels=channels, peak=0.2), rate=rate, subtype=subtype)
    result = done(run("inpaint", mix, *GAP, how, *AGAINST_IT))
    before, after = integers(mix, "float64"), integers("restored/mix.wav", "float64")
    changed = np.flatnonzero((before != after).any(axis=1))
    assert round(0.1 * rate) <= changed.min() <= changed.max() < round(0.12 * rate)
    assert len(changed) > 0.8 * 0.02 * rate
    assert "largest change outside the damage 0," in result.stdout
    assert "tiny-inpainter" in result.stdout if how == "--mean" else "tiny-speech" in result.stdout


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2)])
def test_declipping_leaves_what_was_not_clipped(run, write, models, rate, channels):
    clipped = np.clip(sound(rate, channels=channels), -0.25, 0.25)
    mix = write(samples=clipped, rate=rate)
    result = done(run("declip", mix, "-o", "out", *AGAINST_IT))
    assert "clipped at -0.25 and 0.25" in result.stdout
    before, after = integers(mix, "float64"), integers("out/mix.wav", "float64")
    at = np.abs(before) >= 0.25
    np.testing.assert_array_equal(after[~at], before[~at])
    assert (after[at] * np.sign(before[at]) >= 0.25).all()
    assert (after[at] * np.sign(before[at]) > 0.25).any()


def test_dequantising_keeps_each_sample_in_its_step(run, write, models):
    coarse = np.round(sound() * 32) / 32
    mix = write(samples=coarse, rate=16000)
    done(run("dequantise", mix, "--bits", 6, "-o", "out", *AGAINST_IT))
    off = np.abs(integers(mix, "float64") - integers("out/mix.wav", "float64"))
    assert 0 < off.mean() < off.max() <= 1 / 64


def test_upsampling_keeps_the_known_band(run, write, models):
    mix = write(samples=sound(8000, channels=2, peak=0.1), rate=8000, subtype="FLOAT")
    done(run("upsample", mix, "--to", 16000, *AGAINST_IT))
    assert like("restored/mix.wav") == ("WAV", "FLOAT", 16000, 2, 4000)
    after = np.fft.rfft(integers("restored/mix.wav", "float64") * np.hanning(4000)[:, None], axis=0)
    before = np.fft.rfft(integers(mix, "float64") * np.hanning(2000)[:, None], axis=0)
    low = np.s_[:800]  # up to 3200 Hz
    assert np.abs(after[low] / 2 - before[low]).max() < 0.02 * np.abs(before).max()
    assert np.abs(after[1000:]).max() > 0


def test_denoising_by_a_profile_of_another_rate(run, write, models):
    # White noise of one density is stronger at a higher rate, where it fills a wider band.
    noise = 0.02 * np.random.default_rng(1).standard_normal((30000, 1))
    profile = write("noise.wav", noise, rate=32000, subtype="FLOAT")
    mix = write(samples=sound(), rate=16000)
    result = done(run("denoise", mix, "--noise-profile", profile, "--compare", *AGAINST_IT))
    [line] = [line for line in result.stdout.splitlines() if line.startswith("faults")]
    assert abs(float(line.split("of ")[1].split(" dB")[0]) - 20 * np.log10(0.02 / 2**0.5)) < 0.3
    assert "restored/mix.baseline.wav" in result.stdout


def test_several_faults_at_once(run, write, models):
    mix = write(samples=np.clip(sound(), -0.3, 0.3), rate=16000)
    chain = "lowpass:4000 | clip:auto | gap:0.1+5ms"
    report = json.loads(done(run("restore", mix, "--ops", chain, "--json", *AGAINST_IT)).stdout)
    assert [fault["kind"] for fault in report["faults"]] == ["lowpass", "clip", "gap"]
    assert report["evidence"][0].startswith("clipped at -0.3 and 0.3")
    assert like("restored/mix.wav")[2:] == (16000, 1, 4000)


def test_output_is_a_file_where_it_has_a_suffix_of_sound(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    done(run("inpaint", mix, *GAP, "-o", "deep/down/mended.wav"))
    assert files_under(Path("deep")) == ["down/mended.report.json", "down/mended.wav"]
    done(run("inpaint", mix, *GAP, "-o", "folder"))
    assert files_under(Path("folder")) == ["mix.report.json", "mix.wav"]


def test_another_suffix_is_no_conversion_and_that_is_said(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    result = done(run("inpaint", mix, *GAP, "-o", "mended.flac"))
    assert files_under(Path()) == ["mended.report.json", "mended.wav", "mix.wav"]
    assert "note: written as mended.wav, not mended.flac" in result.stdout


def test_a_folder_of_files(run, write, restoring):
    for name in ("in/take.wav", "in/take.2.wav", "in/B.WAV", "in/under/deep.wav"):
        write(name, sound(), rate=16000)
    Path("in/notes.txt").write_text("mine")
    done(run("inpaint", "in", *GAP, "-o", "out"))
    sounds = [name for name in files_under(Path("out")) if not name.endswith((".json", ".jsonl"))]
    assert sounds == ["B.WAV", "take.2.wav", "take.wav"]


def test_one_bad_file_does_not_stop_the_others(run, write, restoring):
    good, last = write("good.wav", sound(), rate=16000), write("last.wav", sound(), rate=16000)
    short = write("short.wav", sound(seconds=0.04), rate=16000)
    Path("empty.wav").touch()
    result = run("declip", good, short, "empty.wav", last, "--level", 0.3)
    assert result.exit_code == 3
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert "short.wav: 640 samples are too short" in lines[0]
    assert "empty.wav is empty" in lines[1]
    assert "2 of 4 files failed" in lines[2]
    made = [name for name in files_under(Path("restored")) if name.endswith(".wav")]
    assert made == ["good.wav", "last.wav"]


def test_results_are_not_replaced_unasked(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    done(run("inpaint", mix, *GAP))
    before = Path("restored/mix.wav").read_bytes()
    result = run("inpaint", mix, "--gap", "0.2+20ms")
    assert result.exit_code == 7
    assert "restored/mix.wav exists already; add --overwrite" in result.stderr
    assert len(restoring.calls) == 1  # found out before computing
    assert Path("restored/mix.wav").read_bytes() == before
    done(run("inpaint", mix, "--gap", "0.2+20ms", "--overwrite"))
    assert Path("restored/mix.wav").read_bytes() != before


def test_pictures_and_baselines_of_others_are_not_replaced_either(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    write("restored/mix.baseline.wav")
    Path("restored/mix.png").write_bytes(b"the cover")
    for option, name in (("--plot", "mix.png"), ("--compare", "mix.baseline.wav")):
        result = run("inpaint", mix, *GAP, option)
        assert result.exit_code == 7
        assert f"restored/{name} exists already" in result.stderr
    done(run("inpaint", mix, *GAP))
    assert Path("restored/mix.png").read_bytes() == b"the cover"


@pytest.mark.parametrize("place", ["mix.wav", ".", "./mix.wav", "mix.flac", "link/mix.wav"])
@pytest.mark.parametrize("wish", [[], ["--overwrite"]])
def test_the_recording_is_never_replaced(run, write, restoring, place, wish):
    mix = write(samples=sound(), rate=16000)
    Path("link").symlink_to(".")
    before = mix.read_bytes()
    result = run("inpaint", "mix.wav", *GAP, "-o", place, *wish)
    assert result.exit_code == 7
    assert "mix.wav is read by this run and never replaced" in result.stderr
    assert mix.read_bytes() == before
    assert restoring.calls == []


def test_nor_is_the_reference_or_the_noise(run, write, restoring):
    mix = write("in/mix.wav", sound(), rate=16000)
    clean = write("out/mix.wav", sound(), rate=16000)
    for options in (("--noise-db", 20, "--reference"), ("--noise-profile",)):
        result = run("denoise", mix, *options, clean, "-o", "out", "--overwrite")
        assert result.exit_code == 7
        assert "out/mix.wav is read by this run" in result.stderr
    assert restoring.calls == []


def test_dry_run_writes_nothing(run, write, models):
    mix = write(samples=sound(), rate=16000)
    before = files_under(Path())
    result = done(run("declip", mix, "--level", 0.3, "--dry-run", "--plot", "--compare"))
    facts = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert facts["faults"].strip() == "clipped at -0.3 and 0.3"
    assert facts["file"].strip() == "restored/mix.wav (nothing was written)"
    assert int(facts["network calls"]) > 1
    planned = json.loads(done(run("declip", mix, "--level", 0.3, "--dry-run", "--json")).stdout)
    assert planned["path"] == str(mix)
    assert files_under(Path()) == before


def test_json_is_one_line_for_each_file(run, write, restoring):
    clean, broken = sound(), sound()
    broken[1000:1010] = np.nan
    paths = [
        write("clean.wav", clean, rate=16000),
        write("broken.wav", broken, rate=16000, subtype="FLOAT"),
        write("[b] ü.wav", broken, rate=16000, subtype="FLOAT"),
    ]
    result = done(run("restore", *paths, "--yes", "--json"))
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert [r["input"]["path"] for r in reports] == [str(path) for path in paths]
    assert reports[0]["faults"] == []
    assert reports[0]["output"] is None
    assert "no fault was found" in reports[0]["notes"][0]
    assert reports[1] == json.loads(Path("restored/broken.report.json").read_text(encoding="utf-8"))
    assert reports[1]["evidence"] == ["gap 0.0625-0.0631 s: not a number"]
    assert reports[1]["output"]["files"]["restored"] == "restored/broken.wav"


def test_json_where_auto_finds_nothing(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    report = json.loads(done(run("inpaint", mix, "--auto-gaps", "--json")).stdout)
    assert report["notes"] == ["nothing to restore was found"]
    assert not Path("restored").exists()


def test_a_picture(run, write, restoring):
    mix = write(samples=sound(channels=2), rate=16000)
    done(run("inpaint", mix, *GAP, "--plot"))
    assert Path("restored/mix.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_classical_method_beside(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    result = done(run("inpaint", mix, *GAP, "--compare", "--reference", mix))
    before, base = integers(mix), integers("restored/mix.baseline.wav")
    changed = np.flatnonzero((before != base).any(axis=1))
    assert 1600 <= changed.min() <= changed.max() < 1920
    assert "autoregression (Janssen)" in result.stdout
    head = result.stdout.splitlines()[0].split()
    assert head == ["figure", "before", "after", "classical"]


def test_the_format_of_the_baseline_is_its_own(run, write, restoring):
    mix = write(samples=np.clip(2 * sound(), -0.97, 0.97), rate=16000)
    done(run("declip", mix, "--level", 0.96, "--compare"))
    report = json.loads(Path("restored/mix.report.json").read_text(encoding="utf-8"))
    assert report["output"]["subtype"] == soundfile.info("restored/mix.wav").subtype == "FLOAT"


def test_draws_are_written_each_in_a_format_that_holds_it(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    done(run("inpaint", mix, *GAP, "--draws", 2))
    kinds = [soundfile.info(f"restored/mix{name}.wav").subtype for name in ("", ".draw1", ".draw2")]
    assert kinds == ["PCM_16", "PCM_16", "FLOAT"]


def test_a_reference_gives_figures_before_and_after(run, write, restoring):
    clean = sound()
    broken = clean.copy()
    broken[1600:1920] = 0
    mix, good = write(samples=broken, rate=16000), write("clean.wav", clean, rate=16000)
    result = done(run("inpaint", mix, *GAP, "--reference", good))
    figures = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:4]}
    assert set(figures) == {"snr_db", "si_sdr_db", "log_spectral_distance"}
    lost = np.sum(integers(good, "float64")[1600:1920] ** 2) / np.sum(integers(good, "float64") ** 2)
    assert abs(float(figures["snr_db"][0]) + 10 * np.log10(lost)) < 0.01
    scores = json.loads(Path("restored/mix.report.json").read_text(encoding="utf-8"))["scores"]
    assert scores["snr_db"]["before"] != scores["snr_db"]["after"]


@pytest.mark.parametrize(
    "text",
    ["0.1,0.12\n0.2,0.21\n", "start,end\n0.1,0.12\n0.2,0.21\n", "0,1;0,12\n0,2;0,21\n",
     "0.100000\t0.120000\tdrop-out\n0.200000\t0.210000\t\n", "\ufeff0.2,0.21\r\n0.11,0.12\r\n0.1,0.115\r\n"],
    ids=["csv", "header", "decimal commas", "audacity", "windows, overlapping"],
)  # fmt: skip
def test_gaps_from_a_file(run, write, restoring, text):
    mix = write(samples=sound(), rate=16000)
    Path("gaps.txt").write_text(text, encoding="utf-8")
    done(run("inpaint", mix, "--gaps", "gaps.txt"))
    [([fault], _)] = restoring.calls
    assert fault.spans == ((1600, 1920), (3200, 3360))


def test_gaps_from_everywhere_become_one_list(run, write, restoring):
    broken = sound()
    broken[500:510] = np.nan
    mix = write(samples=broken, rate=16000, subtype="FLOAT")
    Path("gaps.csv").write_text("0.2,0.21\n")
    done(
        run(
            "inpaint", mix, "--gap", "100ms-110ms", "--gap", "0.105+15ms", "--gaps", "gaps.csv", "--auto-gaps"
        )
    )
    [([fault], _)] = restoring.calls
    assert fault.spans == ((500, 510), (1600, 1920), (3200, 3360))


def test_found_gaps_are_listed_first(run, write, restoring):
    broken = sound(44100)
    broken[5000:5300] = 0
    mix = write(samples=broken, rate=44100)
    lines = done(run("inpaint", mix, "--auto-gaps")).stdout.splitlines()
    assert lines[0] == "mix.wav: gap 0.1134-0.1202 s: digital silence"
    [([fault], _)] = restoring.calls
    assert fault.spans == ((5000, 5300),)


def test_nobody_to_ask(run, write, restoring):
    result = run("restore", write(samples=sound(), rate=16000))
    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    assert result.stdout == ""


def test_nothing_wrong_with_a_clean_file(run, write, restoring):
    result = done(run("restore", write(samples=sound(), rate=16000), "--yes"))
    assert result.stdout.startswith("mix.wav: no fault was found; name one with --ops")
    assert restoring.calls == []
    assert not Path("restored").exists()


@pytest.mark.parametrize(("answer", "calls"), [("y\n", 1), ("n\n", 0)])
def test_a_chain_is_proposed_and_asked_for(write, restoring, monkeypatch, answer, calls):
    monkeypatch.setattr(restore, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    mix = write(samples=np.clip(sound(), -0.3, 0.3), rate=16000)
    result = CliRunner().invoke(app, ["restore", str(mix)], input=answer)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("mix.wav: clipped at -0.3 and 0.3")
    assert "mix.wav: restore as clip?" in result.stderr  # stdout is for results
    assert len(restoring.calls) == calls
    assert ("left as it is" in result.stdout) == (not calls)


@pytest.mark.parametrize("error", [DivergenceError("diverged"), KeyboardInterrupt(), ValueError("a fault")])
def test_overwrite_keeps_earlier_results_on_failure(run, write, restoring, error):
    mix = write(samples=sound(), rate=16000)
    done(run("inpaint", mix, *GAP))
    before = {name: Path("restored", name).read_bytes() for name in files_under(Path("restored"))}
    restoring.error = error
    result = run("inpaint", mix, *GAP, "--overwrite")
    assert result.exit_code in (1, 5, 130)
    assert len(result.stderr.splitlines()) == 1
    assert before == {name: Path("restored", name).read_bytes() for name in files_under(Path("restored"))}


def test_settings_reach_the_sampling(run, write, restoring):
    mix = write(samples=sound(), rate=16000)
    options = ("--quality", "best", "--prior", "piano", "--draws", 3, "--one", "--seed", 7, "--device", "cpu")
    done(run("upsample", mix, "--to", 32000, *options))
    [(faults, settings)] = restoring.calls
    assert faults == []
    assert settings.pop("progress") is None
    assert settings == {
        "quality": "best", "prior": "piano", "draws": 3, "mean": False, "seed": 7, "device": "cpu",
        "to_rate": 32000,
    }  # fmt: skip


def test_fewer_draws_leave_none_of_the_earlier_ones(run, write, restoring):
    mix = write(samples=sound(peak=0.1), rate=16000)
    everything = ("--draws", 3, "--plot", "--compare")
    done(run("inpaint", mix, *GAP, *everything))
    drawn = [f"mix.draw{k}.wav" for k in (1, 2, 3)]
    assert files_under(Path("restored")) == sorted(
        ["mix.wav", "mix.report.json", "mix.png", "mix.baseline.wav", *drawn]
    )
    # Not of that run, whatever the name: a take of the user's, and files of another recording.
    others = ["mix.draw9.mine.txt", "mixed.draw1.wav", "mix.draw7.wav"]
    for name in others:
        Path("restored", name).write_bytes(b"mine")
    done(run("inpaint", mix, *GAP, "--draws", 2, "--overwrite"))
    assert files_under(Path("restored")) == sorted(["mix.wav", "mix.report.json", *drawn[:2], *others])
    done(run("inpaint", mix, *GAP, "--overwrite"))
    assert files_under(Path("restored")) == sorted(["mix.wav", "mix.report.json", *others])


def test_what_the_run_reads_is_not_removed_with_the_earlier_results(run, write, restoring):
    mix = write(samples=sound(peak=0.1), rate=16000)
    done(run("inpaint", mix, *GAP, "--compare"))
    done(run("inpaint", mix, *GAP, "--overwrite", "--reference", "restored/mix.baseline.wav"))
    assert "mix.baseline.wav" in files_under(Path("restored"))


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_disk_that_fills_up_midway_leaves_all_as_it_was(
    run, write, restoring, monkeypatch, failing, earlier
):
    mix = write(samples=sound(peak=0.1), rate=16000)
    if earlier:
        done(run("inpaint", mix, *GAP, "--draws", 3))
    before = {name: Path(name).read_bytes() for name in files_under(Path())}
    calls = []

    def fsync(_file):
        calls.append(1)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    result = run("inpaint", mix, "--gap", "0.2+20ms", "--draws", 2, "--overwrite")
    assert result.exit_code == 7
    [line] = result.stderr.splitlines()
    assert "no space left to write restored/mix" in line
    assert before == {name: Path(name).read_bytes() for name in files_under(Path())}
    assert Path("restored").exists() == earlier


@pytest.mark.parametrize("failing", range(1, 10))
def test_a_disk_that_refuses_a_move_leaves_all_as_it_was(run, write, restoring, monkeypatch, failing):
    """Five earlier files, one of them stale, are moved away and four new ones in: each move can fail."""
    mix = write(samples=sound(peak=0.1), rate=16000)
    done(run("inpaint", mix, *GAP, "--draws", 3))
    before = {name: Path(name).read_bytes() for name in files_under(Path())}
    calls, move = [], shutil.move

    def moved(source, target):
        calls.append(1)
        if len(calls) == failing:
            raise OSError(errno.EIO, "Input/output error")
        return move(source, target)

    monkeypatch.setattr(shutil, "move", moved)
    result = run("inpaint", mix, "--gap", "0.2+20ms", "--draws", 2, "--overwrite")
    assert result.exit_code == 7
    assert "cannot write restored (Input/output error)" in result.stderr
    assert before == {name: Path(name).read_bytes() for name in files_under(Path())}


def test_a_result_that_is_a_link_replaces_what_it_names(run, write, restoring):
    mix = write(samples=sound(peak=0.1), rate=16000)
    Path("elsewhere").mkdir()
    Path("restored").mkdir()
    Path("elsewhere/real.wav").write_bytes(b"old")
    Path("restored/mix.wav").symlink_to("../elsewhere/real.wav")
    done(run("inpaint", mix, *GAP, "--overwrite"))
    assert Path("restored/mix.wav").is_symlink()
    assert like("elsewhere/real.wav")[:2] == ("WAV", "PCM_16")


def test_a_dry_run_lists_what_was_found_and_changes_nothing(run, write, models):
    broken = sound(44100, channels=2)
    for start in (3000, 5000, 8000):
        broken[start : start + 300] = 0
    mix = write(samples=broken, rate=44100)
    before = {name: Path(name).read_bytes() for name in files_under(Path())}
    lines = done(run("inpaint", mix, "--auto-gaps", "--dry-run", *AGAINST_IT)).stdout.splitlines()
    assert lines[:3] == [
        "mix.wav: gap 0.0680-0.0748 s: digital silence",
        "mix.wav: gap 0.1134-0.1202 s: digital silence",
        "mix.wav: gap 0.1814-0.1882 s: digital silence",
    ]
    assert "nothing was written" in lines[-1]
    found = json.loads(done(run("inpaint", mix, "--auto-gaps", "--dry-run", "--json", *AGAINST_IT)).stdout)
    assert [line.split(":")[0] for line in found["evidence"]] == [
        line[9:].split(":")[0] for line in lines[:3]
    ]
    # The list can be given back as it is: the very samples.
    spans = [[round(44100 * second) for second in gap] for gap in found["gaps"]]
    assert spans == [[3000, 3300], [5000, 5300], [8000, 8300]]
    assert before == {name: Path(name).read_bytes() for name in files_under(Path())}


def test_a_dry_run_that_finds_nothing_says_so(run, write, models):
    mix = write(samples=sound(), rate=16000)
    result = done(run("inpaint", mix, "--auto-gaps", "--dry-run"))
    assert result.stdout.splitlines() == ["mix.wav: no gap found", "mix.wav: nothing to restore was found"]
    assert not Path("restored").exists()
