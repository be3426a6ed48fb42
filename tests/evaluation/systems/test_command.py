"""Any command line as a system: a real program, its results and its failures."""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from audiofix.errors import InputError, SettingError
from audiofix.evaluation.systems.base import RESTORED, load_system
from audiofix.evaluation.systems.command import Command, ToolError, command, filled, parse_stem_names
from tests.evaluation.systems.tasks import RATE, restoration, separation, stereo

HALVES = """
x, rate = soundfile.read(sys.argv[1])
folder = pathlib.Path(sys.argv[2], "model", "in")
folder.mkdir(parents=True)
soundfile.write(folder / "vocals.wav", 0.25 * x, rate, "FLOAT")
soundfile.write(folder / "rest.flac", 0.75 * x, rate, "PCM_24")
"""


@pytest.fixture
def tool(tmp_path):
    """Make a program in a folder with a space in its name; the beginning of its command line."""

    def write(body: str) -> str:
        file = tmp_path / "my tools" / "tool.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"import os, pathlib, subprocess, sys, time\nimport soundfile\n{body}")
        return f"{shlex.quote(sys.executable)} {shlex.quote(str(file))}"

    return write


def test_stems_are_found_by_their_names(tool):
    system = command(tool(HALVES) + " {in} {outdir}", stem_names="speech=vocals, piano=rest")
    task = separation()
    found = system.run(task)
    assert list(found) == ["speech", "piano"]
    torch.testing.assert_close(found["speech"], 0.25 * task.given.samples, atol=1e-6, rtol=0)
    torch.testing.assert_close(found["piano"], 0.75 * task.given.samples, atol=2**-23, rtol=0)


def test_a_source_of_several_stems_is_their_sum(tool):
    system = load_system("command", {"command": tool(HALVES) + " {in} {outdir}", "quality": None})
    task = separation(("vocals", "rest+vocals"))
    found = system.run(task)
    torch.testing.assert_close(found["vocals"], 0.25 * task.given.samples, atol=1e-6, rtol=0)
    torch.testing.assert_close(found["rest+vocals"], task.given.samples, atol=1e-6, rtol=0)


def test_a_restored_file_is_taken_whatever_its_name_and_at_its_rate(tool):
    body = """
x, rate = soundfile.read(sys.argv[1])
assert (rate, int(sys.argv[3])) == (8000, 16000)
soundfile.write(pathlib.Path(sys.argv[2]).parent / "tool_output.wav", x, rate, "FLOAT")
"""
    system = command(tool(body) + " {in} {out} {rate}")
    task = restoration("upsample")
    found = system.run(task)[RESTORED]
    expected = load_system("sinc").run(task)[RESTORED]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_lost_samples_reach_the_tool_as_silence_and_channels_come_back(tool):
    body = """
x, rate = soundfile.read(sys.argv[1])
soundfile.write(sys.argv[2], x.mean(axis=1), rate, "FLOAT")
"""
    task = stereo(restoration("inpaint"))
    found = command(tool(body) + " {in} {out}").run(task)[RESTORED]
    mean = torch.nan_to_num(task.given.samples).mean(dim=0, keepdim=True).expand(2, -1)
    torch.testing.assert_close(found, mean, atol=1e-6, rtol=0)


def test_no_shell_reads_the_command(tool, tmp_path):
    body = "open(sys.argv[3], 'w').write(sys.argv[4])\n" + HALVES
    said = tmp_path / "said.txt"
    line = tool(body) + f" {{in}} {{outdir}} {said} '$(touch {tmp_path}/x); {{oops'"
    command(line, stem_names="speech=vocals,piano=rest").run(separation())
    assert said.read_text() == f"$(touch {tmp_path}/x); {{oops"
    assert not (tmp_path / "x").exists()


def test_what_is_filled_in_is_not_looked_at_again():
    assert filled("-i{in}:{rate}", {"in": "/tmp/{rate}", "rate": "8"}) == "-i/tmp/{rate}:8"


def test_nothing_is_left_behind(tool, tmp_path, monkeypatch):
    place = tmp_path / "temporary files"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    system = command(tool(HALVES) + " {in} {outdir}", stem_names="speech=vocals,piano=rest")
    system.run(separation())
    with pytest.raises(ToolError):
        replace(system, stem_names={}).run(separation())
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "print('so much'); print('no model\\nfor you', file=sys.stderr); sys.exit(3)",
            "status 3: no model for you;",
        ),
        ("print('only here'); sys.exit(1)", "status 1: only here;"),
        ("os.kill(os.getpid(), 9)", "by signal 9;"),
        ("print('x' * 5000, file=sys.stderr); sys.exit(2)", "status 2: …x{400};"),
        ("pass", "no file named speech for the source speech: the tool left no audio file"),
        (HALVES, "the tool left model/in/rest.flac, model/in/vocals.wav; .* such as speech=rest"),
    ],
)
def test_a_failure_says_what_the_tool_said(tool, body, message):
    with pytest.raises(ToolError, match=message):
        command(tool(body) + " {in} {outdir}").run(separation())


def test_two_files_of_one_name_are_not_chosen_between(tool):
    body = HALVES + "soundfile.write(folder / 'vocals.flac', x, rate)\n"
    system = command(tool(body) + " {in} {outdir}", stem_names="speech=vocals,piano=rest")
    with pytest.raises(ToolError, match="more than one file named vocals"):
        system.run(separation())


def test_a_result_of_another_length_is_refused(tool):
    body = HALVES.replace("0.25 * x", "x[:8000]")
    system = command(tool(body) + " {in} {outdir}", stem_names="speech=vocals,piano=rest")
    with pytest.raises(ToolError, match=r"0\.50 s in vocals\.wav for 1\.00 s of both"):
        system.run(separation())


def test_a_few_samples_of_a_codec_are_cut(tool):
    body = HALVES.replace("0.25 * x", "[*(0.25 * x), *[0.5] * 576]")
    system = command(tool(body) + " {in} {outdir}", stem_names="speech=vocals,piano=rest")
    assert system.run(separation())["speech"].shape == (1, RATE)


def test_a_result_that_is_no_audio_is_refused(tool):
    body = "pathlib.Path(sys.argv[2], 'speech.wav').write_text('hello')"
    with pytest.raises(InputError, match=r"speech\.wav cannot be read"):
        command(tool(body) + " {in} {outdir}").run(separation())


def test_a_program_that_is_not_there():
    with pytest.raises(ToolError, match=r"no-such-tool cannot be run \(No such file"):
        command("no-such-tool {in} {outdir}").run(separation())


def test_what_cannot_work_is_refused_before_anything_runs(tool):
    with pytest.raises(SettingError, match="no-such-tool cannot be found"):
        command("no-such-tool {in} {outdir}").check("separate", ["speech"])
    system = command(tool(HALVES) + " {in} {outdir}", stem_names="speech=vocals,pinao=rest")
    system.check("separate", ["speech", "pinao"])
    with pytest.raises(
        SettingError,
        match="--stem-names is given for pinao, and the sources are speech, piano; give --stem",
    ):
        system.check("separate", ["speech", "piano"])


def test_a_tool_that_takes_too_long_is_stopped_with_all_it_started(tool, tmp_path):
    child = f"time.sleep(2); open({str(tmp_path / 'late')!r}, 'w')"
    body = f"subprocess.Popen([sys.executable, '-c', \"import time; {child}\"])\ntime.sleep(60)"
    began = time.monotonic()
    with pytest.raises(ToolError, match="stopped after 1 s"):
        command(tool(body) + " {in} {outdir}", timeout=1).run(separation())
    assert time.monotonic() - began < 10
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the process in /proc")
def test_ctrl_c_stops_the_tool(tool, tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    body = f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"

    def interrupted(self, timeout=None):
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.Popen.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command(tool(body) + " {in} {outdir}").run(separation())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    "template", [None, "", "tool", "tool {in}", "tool {outdir}", "tool {in} {outdir} {sample}"]
)
def test_a_template_without_its_places_is_refused(template):
    with pytest.raises(SettingError, match=r'such as "tool {in} -o {outdir}"'):
        command(template)


def test_an_open_quote_and_a_senseless_timeout_are_refused():
    with pytest.raises(SettingError, match="open quote"):
        command("tool '{in} {outdir}")
    with pytest.raises(SettingError, match="timeout is 0 s"):
        command("tool {in} {outdir}", timeout=0)


def test_stem_names_by_the_sources_of_the_models(tool):
    sources = {"vocals": "speech", "drums+bass+other": "piano"}
    line = tool(HALVES) + " {in} {outdir}"
    task = separation(tuple(sources))
    for text in ("speech=vocals,piano=rest", "drums+bass+other=rest"):
        system = command(line, stem_names=text, sources=sources)
        system.check("separate", list(sources))
        found = system.run(task)
        torch.testing.assert_close(found["drums+bass+other"], 0.75 * task.given.samples, atol=2**-23, rtol=0)
    twice = {"a": "speech", "b": "speech"}
    with pytest.raises(SettingError, match="the sources are a, b; give --stem-names a=FILE,b=FILE"):
        command(line, stem_names="speech=vocals", sources=twice).check("separate", list(twice))
    with pytest.raises(SettingError, match="gives a source twice"):
        command(line, stem_names="speech=vocals,vocals=rest", sources=sources)


def test_stem_names():
    assert parse_stem_names("speech=vocals, a+b=c+d") == {"speech": "vocals", "a+b": "c+d"}
    for text in ("", "speech", "=vocals", "speech=", "a=b+,c=d", "a=b,a=c"):
        with pytest.raises(SettingError, match="give each source once"):
            parse_stem_names(text)


def test_the_template_survives_the_way_to_a_worker():
    """With several jobs systems are made anew in each process, so nothing may hang on this one."""
    first, again = (load_system("command", {"command": "tool {in} {outdir}"}) for _ in range(2))
    assert isinstance(first, Command)
    assert first == again
