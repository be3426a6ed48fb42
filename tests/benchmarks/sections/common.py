"""Records of benchmarks, tables, plots: what all sections of the page share."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]  # what a script wrote
Row = dict[str, Any]
Files = dict[str, Record]  # records by the names of their files, without .json

PATTERNS = (
    "separate*.json", "peers.json", "upsample*.json", "inpaint*.json", "janssen.json", "restoring*.json",
    "musdb-excerpt.json", "learning*.json", "scale-ranks*.json",
)  # fmt: skip
MIXTURE = "the mixture itself"
TRUTH = "from the truth"  # chains that begin with the answer: neither in the table nor in the plots
DOMAINS = ("speech", "piano")
PROTOCOL = "../tests/benchmarks/eval/README.md"
# Okabe and Ito's colours: told apart with any colour vision, dark enough on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#767676"


@dataclass(frozen=True)
class Plot:
    """A plot of the page: the name of its file, what it shows in words, and how to draw it."""

    name: str
    alt: str
    draw: Callable[[], Any]  # gives a matplotlib Figure


Block = str | Plot

LIMITS = (
    "**What these figures are not.** They are of clips of speech and of pianos rendered from samples, at 16 "
    "kHz, some seconds each. MUSDB18, VCTK, recorded pianos, the weights that the authors of PnF published "
    "and those of Demucs were not at hand, so nothing here says how audiofix compares on them; `audiofix "
    "evaluate musdb|vctk` does where they are. Where discriminative systems were trained for the very task "
    "they win: on songs, which the shipped models (speech, piano) do not know, take a model of songs; for "
    "noise far below speech a Wiener filter is as good on pianos. GPUs were not at hand either."
)


def read(folder: Path, pattern: str) -> Files:
    """The records whose file names match, by name; none where there are none."""
    paths = sorted(folder.glob(pattern), key=lambda path: path.stem)
    return {path.stem: json.loads(path.read_text()) for path in paths}


def number(value: float | None, digits: int = 2) -> str:
    """As in a table; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; the first column is words, the others are numbers."""
    names = list(header)
    lines = [names, ["---"] + ["--:"] * (len(names) - 1), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def command(module: str, settings: Record) -> str:
    """The command that the settings of a record mean, every option spelled out."""
    words = [
        "python",
        "-m",
        f"tests.benchmarks.{module}",
        *([settings["task"]] if "task" in settings else []),
    ]
    for name, value in settings.items():
        values = [
            v for v in (value if isinstance(value, list) else [value]) if v is not None and v is not False
        ]
        if name != "task" and values:
            words += [f"--{name.replace('_', '-')}", *(str(v) for v in values if v is not True)]
    return shlex.join(words)


def clips(record: Record) -> str:
    """What a record was measured on, in words."""
    if "mixtures" in record:
        return f"{len(record['mixtures'])} mixtures of {record['seconds']:g} s"
    if "measured" in record:
        names = list(next(iter(record["measured"][0]["clips"].values())))
        counts = {domain: sum(name.startswith(f"{domain}/") for name in names) for domain in DOMAINS}
    else:
        counts = {row["domain"]: row["clips"] for row in record["rows"]}
    return " and ".join(f"{count} clips of {domain}" for domain, count in counts.items() if count)


def provenance(files: Files) -> str:
    """A list: the command, the clips and the seed of each record."""
    lines = []
    for name, record in files.items():
        settings = record.get("settings", {})
        module = "restore" if "task" in settings else re.split(r"[^a-z]", name)[0]
        seed = record.get("seed", settings.get("seed"))
        chance = "nothing random" if seed is None else f"seed {seed}"
        options = "" if settings else " (its options are not in the file)"
        cores = f", {record['cores']} cores" if "cores" in record else ""
        lines.append(f"- `{command(module, settings)}`{options}: {clips(record)}, {chance}{cores}")
    return "\n".join(lines)


def short(what: str) -> str:
    """A system's name without what follows in brackets or after a comma."""
    return re.split(r"[,(]", what)[0].strip()


def canvas(panels: int) -> tuple[Any, list[Any]]:
    """A figure and its axes, side by side. Ends the program with a message where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit("plots need matplotlib: python -m pip install -e '.[docs]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, panels, squeeze=False, sharey=True, figsize=(8, 4.5), layout="constrained"
    )
    for one in axes[0]:
        one.grid(color="#e0e0e0", linewidth=0.6)
        one.spines[["top", "right"]].set_visible(False)
        one.set_axisbelow(True)
    return figure, list(axes[0])


def cycled() -> Iterator[str]:
    """The colours, again and again."""
    while True:
        yield from COLOURS


def finish(axes: Any, title: str, ticks: list[int], across: str, up: str, form: str) -> None:
    """Title, ticks at the values measured, and what is what below the panel."""
    axes.set(title=title, xscale="log", xlabel=across)
    axes.set_xticks(ticks, [form.format(tick) for tick in ticks])
    axes.minorticks_off()
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel(up)
    if axes.has_data():
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False, fontsize=8)


def save(figure: Any, path: Path) -> None:
    """As SVG, without a date and with fixed names inside, so that it changes only where the figures do."""
    import matplotlib
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
