"""What bad input gets from the restoring commands: one line, its exit status, and nothing written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiofix import repair
from tests.cli.conftest import files_under
from tests.cli.restoring import Restoring, sound

SETTING, INPUT, MODEL, DEVICE, OUTPUT = 2, 3, 4, 6, 7
GAP = ("--gap", "0.1+20ms")


@pytest.fixture
def restoring(monkeypatch):
    stand_in = Restoring()
    monkeypatch.setattr(repair, "restore", stand_in.restore)
    return stand_in


@pytest.fixture
def refused(run):
    """Run a command: its exit status, one line on stderr that says all of `says`, and no file more or less."""

    def check(*arguments, status, says=(), stdout=""):
        before = files_under(Path())
        result = run(*arguments)
        assert result.exit_code == status, (arguments, result.exit_code, result.stderr)
        [line] = result.stderr.splitlines()
        assert line.startswith("audiofix: ")
        assert "unexpected" not in line
        for text in [says] if isinstance(says, str) else says:
            assert text in line
        assert result.stdout == stdout
        assert files_under(Path()) == before

    return check


@pytest.fixture
def mix(write):
    return write(samples=sound(), rate=16000)


@pytest.mark.parametrize(
    ("gap", "says"),
    [
        ("0.2-0.1", "give the earlier first"),
        ("0.1-0.1", "give the earlier first"),
        ("0.1+0", "give the earlier first"),
        ("-1-2", "negative time"),
        ("0.1-0.3", "not within the file"),
        ("3-4", "not within the file"),
        ("0-0.25", "something must be known"),
        ("hello", "is not a gap"),
        ("nan-1", "is not a gap"),
        ("", "is not a gap"),
        ("0.1-0.10001", "holds no sample"),
        ("1:75-1:76", "no clock time"),
    ],
)
def test_bad_gaps(refused, mix, restoring, gap, says):
    refused("inpaint", mix, "--gap", gap, status=SETTING, says=says)
    refused("restore", mix, "--ops", f"gap:{gap}", status=SETTING)
    assert restoring.calls == []


def test_gaps_that_together_leave_nothing(refused, mix):
    refused("inpaint", mix, "--gap", "0-0.2", "--gap", "0.1-0.25", status=SETTING, says="must be known")


def test_no_gap(refused, mix):
    refused("inpaint", mix, status=SETTING, says=("--gap", "--gaps", "--auto-gaps"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "lists no gap"),
        (b"start,end\n", "lists no gap"),
        (b"0.1,x\n", "line 1"),
        (b"x,0.1\n0.1,0.2\n", "line 1"),
        (b"0.1 0.2\n0.1,0.2\n", "line 1"),
        (b"nan,inf\n0.1,0.2\n", "line 1"),
        (b"1:05,1:07\n0.1,0.2\n", "line 1"),
        (b"start\n0.1,0.2\n", "line 1"),
        (b",\n0.1,0.2\n", "line 1"),
        (b"0.1,0.2\n0.3,0.2\n", "line 2"),
        (b"0.1,0.2,0.3\n", "line 1"),
        (b"0.1,0.12\n0.1 0.2\n", "line 2"),
        (b"\x00\xff\xfe", "cannot be read as a list"),
        (b"0.1\t0.1\tclick\n", "a label for the point"),
        (b"-0.1\t0.1\tclick\n", "starts at -0.1"),
    ],
)
def test_bad_label_files(refused, mix, content, says):
    Path("gaps.txt").write_bytes(content)
    refused("inpaint", mix, "--gaps", "gaps.txt", status=INPUT, says=("gaps.txt", says))


def test_label_files_that_are_not_there(refused, mix):
    refused(
        "inpaint",
        mix,
        "--gaps",
        "no.csv",
        status=INPUT,
        says="no.csv cannot be read as a list of gaps (No such",
    )
    refused(
        "inpaint", mix, "--gaps", ".", status=INPUT, says="cannot be read as a list of gaps (Is a directory)"
    )
    Path("binary.csv").write_bytes(b"\xff\xfe0.1")
    says = ("no text in UTF-8", "start,end in seconds")
    refused("inpaint", mix, "--gaps", "binary.csv", status=INPUT, says=says)


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        ("", "no fault"),
        ("|", "no fault"),
        ("hum:50", "possible: lowpass"),
        ("clip:0.3 | clip:0.2", "twice"),
        ("clip:", "lacks its argument"),
        ("clip:0.3 |", "no fault"),
        ("lowpass:x", "is no number"),
        ("lowpass:8000", "does not lie between"),
        ("clip:nan", "is no number"),
        ("noise:1e9", "-20 to 120"),
        ("noise:-400", "-20 to 120"),
        ("quantise:99", "2 to 16"),
        ("clip", "no clipping was found: no level is hit by many samples in a row; say where: clip:0.8"),
        ("clip:0.9", "clip:0.9: nothing in the file reaches it"),
        ("lowpass", "say where: lowpass:4000"),
        ("lowpass:9000", "lowpass:9000 does not lie between"),
        ("quantise", "say how many there were: quantise:8"),
    ],
)
def test_bad_chains(refused, mix, restoring, chain, says):
    refused("restore", mix, "--ops", chain, status=SETTING, says=says)
    assert restoring.calls == []


@pytest.mark.parametrize(
    "options", [(), ("--to", 32000, "--cutoff", "auto"), ("--to", 32000, "--cutoff", 4000)]
)
def test_a_rate_or_a_cutoff(refused, mix, options):
    refused("upsample", mix, *options, status=SETTING, says=("--to", "--cutoff"))


@pytest.mark.parametrize("cutoff", ["0", "-1", "8000", "9000", "x", "nan", "inf"])
def test_impossible_cutoffs(refused, mix, cutoff):
    refused("upsample", mix, "--cutoff", cutoff, status=SETTING, says=f"--cutoff {cutoff} ")


def test_where_auto_finds_nothing_the_option_is_named(refused, mix):
    refused("upsample", mix, "--cutoff", "auto", status=SETTING, says="say where: --cutoff 4000")
    refused("declip", mix, status=SETTING, says="say where: --level 0.8")
    refused("dequantise", mix, status=SETTING, says="--bits 8")
    refused("denoise", mix, status=SETTING, says="--noise-db 20")


def test_two_ways_to_say_what_the_noise_is(refused, mix, write):
    noise = write("noise.wav", length=16000)
    options = ("--noise-db", 20, "--noise-profile", noise)
    refused("denoise", mix, *options, status=SETTING, says=("--noise-db 20", "--noise-profile", "give one"))


def test_a_single_sample_is_too_short_whatever_is_asked(refused, write, restoring):
    one = write("one.wav", np.full((1, 1), 0.5), rate=16000)
    for verb, *options in (*COMMANDS, ("declip",), ("declip", "--level", 0.8), ("restore", "--yes")):
        refused(verb, one, *options, status=INPUT, says="1 samples are too short")


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_rate_that_is_not_above_the_files(refused, mix, rate):
    refused("upsample", mix, "--to", rate, status=SETTING)


@pytest.mark.parametrize("rate", [0, -5, 10**13])
def test_a_rate_that_is_none(refused, mix, rate):
    refused(
        "upsample", mix, "--to", rate, status=SETTING, says=f"--to {rate} is no sample rate; give 1 to 768000"
    )


@pytest.mark.parametrize("rate", ["x", "44.1"])
def test_a_rate_that_is_no_number(run, mix, rate):
    result = run("upsample", mix, "--to", rate)
    assert result.exit_code == SETTING
    assert "Traceback" not in result.stderr
    assert "--to" in result.stderr


def test_more_than_the_priors_know(refused, write, tiny_models):
    wide = write(samples=sound(44100), rate=44100)
    refused("upsample", wide, "--to", 96000, "--prior", "speech", status=SETTING, says="nothing to add")


@pytest.mark.parametrize(
    ("level", "says"), [("0.9", "peak 0.5"), ("2", "peak 0.5"), ("0", "above 0"), ("-0.3", "above 0"),
                        ("x", "no number"), ("inf", "no number"), ("auto", "no clipping")]
)  # fmt: skip
def test_impossible_levels(refused, mix, level, says):
    refused("declip", mix, "--level", level, status=SETTING, says=says)


@pytest.mark.parametrize("bits", ["99", "1", "0", "-8", "17", "8.5", "x", "auto"])
def test_impossible_bits(refused, mix, bits):
    refused("dequantise", mix, "--bits", bits, status=SETTING)


@pytest.mark.parametrize("noise", ["x", "inf", "nan", "1e9", "-400", "auto"])
def test_impossible_noise(refused, mix, noise):
    refused("denoise", mix, "--noise-db", noise, status=SETTING)


def test_bad_noise_profiles(refused, mix, write):
    refused("denoise", mix, "--noise-profile", "no.wav", status=INPUT, says="no.wav does not exist")
    short = write("short.wav", sound()[:500], rate=16000)
    refused("denoise", mix, "--noise-profile", short, status=INPUT, says="give a longer part")
    silent = write("silent.wav", np.zeros((9000, 1)), rate=16000)
    refused("denoise", mix, "--noise-profile", silent, status=INPUT, says="without silence")


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("--quality", "pnf"), SETTING, "fast, balanced, best"),
        (("--quality", ""), SETTING, "fast, balanced, best"),
        (("--prior", "speeech"), MODEL, "did you mean tiny-speech"),
        (("--prior", "speech,piano"), SETTING, "one model or source"),
        (("--prior", "wavenet"), SETTING, "one model or source"),
        (("--prior", "tiny-separator"), SETTING, "separator"),
        (("--device", "cuda:99"), DEVICE, "cuda:99"),
        (("--device", "quantum"), DEVICE, "quantum"),
    ],
)
def test_bad_names(refused, mix, tiny_separator, options, status, says):
    refused("declip", mix, "--level", 0.3, *options, status=status, says=says)
    refused("declip", mix, "--level", 0.3, *options, "--dry-run", status=status, says=says)


COMMANDS = (
    ("inpaint", *GAP),
    ("dequantise", "--bits", 8),
    ("denoise", "--noise-db", 20),
    ("upsample", "--cutoff", 3000),
)


def test_a_file_with_all_that_the_priors_know_is_not_upsampled(refused, write, tiny_models):
    whole = write("whole.wav", sound(), rate=16000)
    for dry in ((), ("--dry-run",)):
        refused("upsample", whole, "--to", 32000, "--prior", "speech", *dry, status=2, says="nothing to add")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: str(c[0]))
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_nothing_to_work_on(refused, write, tiny_models, command, dry):
    verb, *options = command
    prior = ("--prior", "speech")
    silent = write("silent.wav", np.zeros((4000, 2)), rate=16000)
    refused(verb, silent, *options, *prior, *dry, status=INPUT, says="silence")
    refused(verb, silent, *options, *dry, status=INPUT, says="silence")
    broken = sound()
    broken[3000] = np.inf
    infinite = write("inf.wav", broken, rate=16000, subtype="FLOAT")
    refused(verb, infinite, *options, *prior, *dry, status=INPUT, says="outside the gaps")
    if verb != "inpaint":
        short = write("short.wav", sound()[:700], rate=16000)
        refused(verb, short, *options, *prior, *dry, status=INPUT, says="too short")


@pytest.mark.parametrize(
    "command", [*COMMANDS, ("declip", "--level", 0.3), ("declip",), ("restore", "--yes")]
)
def test_files_that_are_none(refused, write, command):
    verb, *options = command
    Path("empty.wav").touch()
    Path("text.wav").write_text("no sound at all\n" * 20)
    Path("album").mkdir()
    nothing = write("nothing.wav", np.zeros((0, 1)))
    for name, says in {
        "empty.wav": "is empty (0 bytes)",
        "text.wav": "cannot be read as audio",
        "no.wav": "no.wav does not exist",
        "album": "holds no audio files",
        nothing: "holds no samples",
    }.items():
        refused(verb, name, *options, status=INPUT, says=says)


def test_no_file_at_all(run):
    assert run("declip").exit_code == 2


@pytest.mark.parametrize(
    ("differs", "says"),
    [
        ({"rate": 44100}, "sample rate 44100, the result 16000"),
        ({"channels": 2}, "channels 2, the result 1"),
        ({"seconds": 0.2}, "length 3200, the result 4000"),
    ],
)
def test_references_of_another_shape_are_found_before_the_work(refused, mix, write, restoring, differs, says):
    rate = differs.get("rate", 16000)
    clean = write("clean.wav", sound(**differs), rate=rate)
    refused("inpaint", mix, *GAP, "--reference", clean, status=INPUT, says=says)
    assert restoring.calls == []


def test_other_bad_references(refused, mix, write, restoring):
    refused("inpaint", mix, *GAP, "--reference", "no.wav", status=INPUT, says="no.wav does not exist")
    silent = write("silent.wav", np.zeros((4000, 1)), rate=16000)
    refused("inpaint", mix, *GAP, "--reference", silent, status=INPUT, says="silent")
    other = write("other.wav", sound(), rate=16000)
    refused("inpaint", mix, other, *GAP, "--reference", silent, status=SETTING, says="2 are given")
    assert restoring.calls == []


def test_a_reference_has_the_rate_of_the_result(refused, mix, write, restoring, run):
    refused("upsample", mix, "--to", 32000, "--reference", mix, status=INPUT, says="the result 32000")
    clean = write("clean.wav", sound(32000), rate=32000)
    assert run("upsample", mix, "--to", 32000, "--reference", clean).exit_code == 0


def test_places_that_cannot_be_written(refused, mix, write, restoring):
    Path("file").write_text("no folder")
    refused("inpaint", mix, *GAP, "-o", "file", status=OUTPUT, says="file is not a folder")
    refused("inpaint", mix, *GAP, "-o", "file/deep/x.wav", status=OUTPUT, says="file is not a folder")
    Path("out/mix.wav").mkdir(parents=True)
    refused("inpaint", mix, *GAP, "-o", "out", "--overwrite", status=OUTPUT, says="out/mix.wav is a folder")
    other = write("other.wav", sound(), rate=16000)
    refused("inpaint", mix, other, *GAP, "-o", "one.wav", status=SETTING, says="give a folder")
    assert restoring.calls == []


def test_two_files_of_one_name(refused, mix, write):
    again = write("other/mix.flac", sound(), rate=16000)
    refused("inpaint", mix, again, *GAP, status=SETTING, says="would both become")
    shutil.copy(mix, "copy.wav")
    refused("inpaint", "copy.wav", "./copy.wav", "other/../copy.wav", *GAP, status=SETTING)


def test_no_room(refused, mix, monkeypatch, restoring):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    refused("inpaint", mix, *GAP, status=OUTPUT, says="free some space")
    assert restoring.calls == []


def test_clipping_that_was_coded_is_hinted_at(refused):
    x, rate = soundfile.read(Path(__file__).parents[2] / "samples" / "speech.wav")
    level = np.quantile(np.abs(x), 0.9)
    soundfile.write("talk.ogg", 0.5 / level * np.clip(x, -level, level), rate)
    refused("declip", "talk.ogg", status=SETTING, says=("samples pile up above 0.4", "give --level 0.4"))
    refused("restore", "talk.ogg", "--ops", "clip", status=SETTING, says="give clip:0.4")
