"""Any other tool: a command line with places for the recording and for what comes back."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from audiofix.audio.files import read_audio, write_audio
from audiofix.errors import AudiofixError, SettingError
from audiofix.evaluation.systems.base import KINDS, RESTORED, Task
from audiofix.evaluation.systems.roles import answered
from audiofix.types import Audio

PLACES = ("in", "out", "outdir", "rate")
TIMEOUT = 3600.0  # seconds for one item
MOST_OFF = 0.1  # seconds by which a result may be longer or shorter: codecs pad to whole blocks
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".opus")
LISTED, QUOTED = 8, 400  # files named and characters of stderr quoted in an error


class ToolError(AudiofixError):
    """A tool that did not run, ran too long, failed, or left something else than it should."""


@dataclass(frozen=True)
class Command:
    """A template such as "tool {in} -o {outdir}", run without a shell, once for each item.

    Attributes
    ----------
    words
        Of the template. {in} is the recording as a 32-bit float WAV, {outdir} an empty folder in which the stems
        are looked for by name, at any depth; {out} a file to write where there is but one; {rate} the result's Hz.
    stem_names
        Source to the name of the tool's file without its ending; "drums+bass" adds two files up where there is
        none of that name. Sources that are not in it have files of their own name.
    timeout
        Seconds for one item, > 0.
    """

    words: tuple[str, ...]
    stem_names: Mapping[str, str] = field(default_factory=dict)
    timeout: float = TIMEOUT
    name: str = "command"
    kinds: frozenset[str] = frozenset(KINDS)
    oracle: bool = False

    def check(self, _kind: str, names: Sequence[str]) -> None:
        """Raises SettingError for a program that is not there, and for stem names of sources that are not."""
        if shutil.which(self.words[0]) is None:
            raise SettingError(
                f"{self.words[0]} cannot be found; install it, or give its whole path in the command"
            )
        unknown = [source for source in self.stem_names if source not in names]
        if unknown:
            raise SettingError(
                f"--stem-names is given for {', '.join(unknown)}, and the sources are {', '.join(names)}; give "
                f"--stem-names {','.join(f'{name}=FILE' for name in names)}"
            )

    def run(self, task: Task) -> dict[str, Tensor]:
        """Run the tool on one item. Raises ToolError, and InputError for files that cannot be read."""
        with tempfile.TemporaryDirectory(prefix="audiofix-") as name:
            recording, stems = Path(name, "in.wav"), Path(name, "out")
            stems.mkdir()
            given = task.given
            samples = torch.where(given.samples.isfinite(), given.samples, 0.0)
            write_audio(recording, Audio(samples, given.sample_rate))
            places = {
                "in": str(recording), "outdir": str(stems), "out": str(stems / f"{RESTORED}.wav"),
                "rate": str(task.rate),
            }  # fmt: skip
            execute([filled(word, places) for word in self.words], Path(name), self.timeout)
            return {source: self.found(stems, source, truth, task) for source, truth in task.clean.items()}

    def found(self, folder: Path, source: str, truth: Tensor, task: Task) -> Tensor:
        """What the tool made of one source, in the shape of the truth."""
        written = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        name = self.stem_names.get(source, source)
        if len(task.clean) == 1 and source not in self.stem_names and len(written) == 1:
            name = written[0].stem
        named = [name] if any(path.stem == name for path in written) else name.split("+")
        parts = [self.read(stem_file(written, folder, name, source), truth, task) for name in named]
        return torch.stack(parts).sum(dim=0)

    def read(self, path: Path, truth: Tensor, task: Task) -> Tensor:
        """A file at the rate and shape of the truth. Raises ToolError for a length that is another."""
        audio = read_audio(path)
        seconds = truth.shape[1] / task.rate
        if abs(audio.seconds - seconds) > MOST_OFF:
            raise ToolError(
                f"{self.words[0]} gave {audio.seconds:.2f} s in {path.name} for {seconds:.2f} s of {task.track}; "
                "a result must be as long as the recording"
            )
        return answered(audio.samples, audio.sample_rate, truth, task.rate)


def filled(word: str, places: Mapping[str, str]) -> str:
    """A word of a template with its places filled; in one pass, so that what is filled in is not looked at."""
    return re.sub(r"\{(\w+)\}", lambda match: places[match[1]], word)


def stem_file(written: Sequence[Path], folder: Path, name: str, source: str) -> Path:
    """The one file of that name, whatever its ending. Raises ToolError."""
    fitting = [path for path in written if path.stem == name]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(str(path.relative_to(folder)) for path in written[:LISTED]) or "no audio file"
    many = "more than one file" if fitting else "no file"
    raise ToolError(
        f"{many} named {name} for the source {source}: the tool left {listed}; say which is which with stem names "
        f"such as {source}={written[0].stem if written else 'vocals'}"
    )


def execute(words: Sequence[str], folder: Path, timeout: float) -> None:
    """Run a program without a shell and without input. Raises ToolError, with what it wrote last.

    What it writes to its outputs goes to files in `folder`: pipes could fill up.
    """
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        except OSError as error:
            raise ToolError(
                f"{words[0]} cannot be run ({error.strerror}); install it, or give its whole path in the command"
            ) from error
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{words[0]} was stopped after {timeout:g} s{quoted(err)}; give it more time or shorter items"
            ) from error
        finally:  # a timeout, or Ctrl-C, which a session of its own does not get
            stop(process)
        if status:
            how = f"with status {status}" if status > 0 else f"by signal {-status}"
            raise ToolError(f"{words[0]} ended {how}{quoted(err) or quoted(out)}; try the command by itself")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it has started."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def quoted(file: IO[bytes]) -> str:
    """The end of what a program wrote, in one line, after a colon; nothing if it wrote nothing."""
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - 4 * QUOTED))
    text = " ".join(file.read().decode(errors="replace").split())
    return f": {'…' if len(text) > QUOTED else ''}{text[-QUOTED:]}" if text else ""


def parse_stem_names(text: str) -> dict[str, str]:
    """A table from text such as "speech=vocals,piano=drums+bass+other". Raises SettingError for anything else."""
    names: dict[str, str] = {}
    for part in text.split(","):
        source, sign, name = (piece.strip() for piece in part.partition("="))
        if not (source and sign and all(name.split("+"))) or source in names:
            raise SettingError(
                f"stem names are {text!r}; give each source once, such as speech=vocals,piano=drums+bass+other"
            )
        names[source] = name
    return names


def by_name(stem_names: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, str]:
    """Stem names with the names in tasks for keys, where they have the source that stands for just one of them."""
    known = list(sources.values())
    names = {source: name for name, source in sources.items() if known.count(source) == 1}
    found = {
        source if source in sources else names.get(source, source): file
        for source, file in stem_names.items()
    }
    if len(found) < len(stem_names):
        raise SettingError(f"--stem-names gives a source twice: {', '.join(stem_names)}; give each once")
    return found


def command(
    command: str | None = None,
    stem_names: str | None = None,
    timeout: float = TIMEOUT,
    sources: Mapping[str, str] | None = None,
) -> Command:
    """The system for a template. Raises SettingError for one that cannot work.

    `sources`: the model's source for each name in a task, which `stem_names` may say instead of the name.
    """
    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise SettingError(f"the command {command!r} has an open quote ({error}); close it") from error
    used = {place for word in words for place in re.findall(r"\{(\w+)\}", word)}
    if "in" not in used or not used & {"out", "outdir"} or used - set(PLACES):
        raise SettingError(
            f"the command is {command!r}; give one with {{in}} and {{outdir}} or {{out}}, with {{rate}} if "
            'need be, such as "tool {in} -o {outdir}"'
        )
    if not timeout > 0:
        raise SettingError(f"the timeout is {timeout:g} s; give more than 0")
    found = by_name(parse_stem_names(stem_names), sources or {}) if stem_names else {}
    return Command(tuple(words), found, timeout)
