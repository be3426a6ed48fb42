"""The page of benchmarks: docs/benchmarks.md and its plots, from the JSON files that the other scripts here wrote.

    python -m tests.benchmarks.page                         benchmarks-out/*.json to docs/
    python -m tests.benchmarks.page --results DIR --docs DIR

What was measured is kept in docs/measured, so that the page can be made again where nothing was measured, and what
is measured anew takes the place of what has its name there.

Reads the files that PATTERNS name; what was not measured has no section. Nothing is measured here, and the same
files give the same page. Plots need matplotlib.
"""

from __future__ import annotations

import argparse
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


# Separation


def separation_rows(separate: Files, peers: Files) -> list[list[str]]:
    """The mixture, ours by quality, peers, and what was told the answer; each with the mixtures that it is of."""
    before: dict[tuple[str, ...], None] = {}
    ours: list[list[str]] = []
    others: list[list[str]] = []
    for record in [*separate.values(), *peers.values()]:
        for row in record["rows"]:
            line = separation_line(row, clips(record))
            if row["what"] == MIXTURE:
                before[tuple(line)] = None
            elif row["what"] == "preset":
                ours.append(line)
            elif "calls_per_source" not in row:
                others.append(line)
    return [*map(list, before), *ours, *others]


def separation_line(row: Row, mixtures: str) -> list[str]:
    """One line of the table of separation."""
    what = row["what"]
    if what == "preset":
        draws = f", mean of {row['draws']} draws" if row.get("draws", 1) > 1 else ""
        sampler = f", {row['sampler']}" if row.get("sampler") else ""
        what = f"audiofix, {row['quality']} ({row['models'].replace(' ', ', ')}{sampler}{draws})"
    calls = row.get("calls_per_source")
    figures = [number(row[name]) for name in ("speech", "piano", "all", "worst")]
    seconds = number(row.get("seconds_per_audio_second"), 3)
    return [what, mixtures.replace(" mixtures of ", " × "), str(calls or "–"), seconds, *figures]


def curves(separate: Files) -> dict[str, list[Row]]:
    """Rows that tell their network calls, by models, sampler and draws, and by mixtures where these differ."""
    several = len({clips(record) for record in separate.values()}) > 1
    found: dict[str, list[Row]] = {}
    for record in separate.values():
        for row in record["rows"]:
            if "calls_per_source" in row and row["what"] != TRUTH:
                parts = [row["models"].replace(" ", " + "), row.get("sampler") or "one call"]
                parts += [f"mean of {row['draws']} draws"] if row.get("draws", 1) > 1 else []
                parts += [clips(record)] if several else []
                found.setdefault(", ".join(parts), []).append(row)
    return {name: sorted(rows, key=lambda row: row["calls_per_source"]) for name, rows in found.items()}


def references(separate: Files, peers: Files) -> dict[str, Row]:
    """Rows without network calls of ours, by short name: the mixture, peers, what was told the answer."""
    found: dict[str, Row] = {}
    for record in [*peers.values(), *separate.values()]:
        for row in record["rows"]:
            if "calls_per_source" not in row:
                found.setdefault(short(row["what"]), row)
    return found


def separation(separate: Files, peers: Files) -> Iterator[Block]:
    """The section on separation, empty where nothing was measured."""
    files = {**separate, **peers}
    if not files:
        return
    yield (
        "## Separation\n\nSI-SDR of each stem against its clean clip, dB: mean over speech, over piano, over all, "
        "and the mean of both stems of the worst mixture."
    )
    header = ("", "mixtures", "calls per source", "s per s of audio", "speech", "piano", "all", "worst")
    yield markdown(header, separation_rows(separate, peers))
    if peers:
        yield (
            "The peers were trained elsewhere, on other sound; their weights are public. The seconds are of "
            "everything but loading. A system that hands its output over late is moved back by the delay that "
            "fits the clean speech best."
        )
    if len({clips(record) for record in files.values()}) > 1:
        yield "Not all rows are of the same mixtures, and only those of the same mixtures compare."
    ours, others = curves(separate), references(separate, peers)
    if ours:
        names = ", ".join(others)
        yield Plot(
            "separation-calls",
            f"SI-SDR against network calls per source, with lines at {names}",
            lambda: tradeoff(
                ours, others, "calls_per_source", "network calls per source, all draws together"
            ),
        )
        yield Plot(
            "separation-seconds",
            f"SI-SDR against seconds per second of audio, beside {names}",
            lambda: tradeoff(ours, others, "seconds_per_audio_second", "seconds per second of audio"),
        )
    yield provenance(files)


def tradeoff(ours: dict[str, list[Row]], others: dict[str, Row], across: str, label: str) -> Any:
    """SI-SDR of all stems over one cost: curves of ours, the others as points, or lines where they have none."""
    figure, (axes,) = canvas(1)
    for colour, (name, rows) in zip(cycled(), ours.items(), strict=False):
        axes.plot([r[across] for r in rows], [r["all"] for r in rows], "o-", color=colour, label=name)
        for row in rows:
            if row["what"] == "preset":
                spot(axes, row[across], row["all"], row["quality"], colour)
    for name, row in others.items():
        if across in row:
            axes.plot(row[across], row["all"], "s", color=GREY)
            spot(axes, row[across], row["all"], name, GREY)
        else:
            axes.axhline(row["all"], color=GREY, linestyle="--", linewidth=1)
            where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axes.annotate(name, (1, row["all"]), (4, 0), va="center", fontsize=8, color=GREY, **where)
    axes.set(xscale="log", xlabel=label, ylabel="SI-SDR, dB")
    axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower center", frameon=False, fontsize=8)
    return figure


def spot(axes: Any, x: float, y: float, name: str, colour: str) -> None:
    """A word below a point."""
    axes.annotate(name, (x, y), (0, -13), textcoords="offset points", ha="center", fontsize=8, color=colour)


# Upsampling and inpainting


def series(files: Files, domain: str) -> Iterator[tuple[str, dict[int, Row]]]:
    """(label, rows by factor or length of gap) of a domain, for each record that has it."""
    for record in files.values():
        rows = {row["value"]: row for row in record["rows"] if row["domain"] == domain}
        if rows:
            first = next(iter(rows.values()))
            label = f"{first['model']}, {record['settings']['sampler']}, {first['calls']} calls"
            yield label, dict(sorted(rows.items()))


def draws_of(rows: dict[int, Row]) -> int:
    """How many draws the mean is of; 1: there is no mean."""
    return max(row["draws"] for row in rows.values())


def values(files: Files) -> list[int]:
    """Factors or lengths of gaps that any record has."""
    return sorted({row["value"] for record in files.values() for row in record["rows"]})


def each(rows: dict[int, Row], columns: list[int], name: str) -> list[str]:
    """One figure at each factor or length."""
    return [number(rows[value][name] if value in rows else None) for value in columns]


def upsample_rows(files: Files) -> list[list[str]]:
    """For each domain the low-passed input, then for each model one draw and the mean of several."""
    factors = values(files)
    found: list[list[str]] = []
    for domain in DOMAINS:
        for label, rows in series(files, domain):
            # Several models had the same input: one line.
            found += [line for line in upsample_lines(domain, label, rows, factors) if line not in found]
    return found


def upsample_lines(domain: str, label: str, rows: dict[int, Row], factors: list[int]) -> Iterator[list[str]]:
    """What was given, one draw, and the mean of the draws where there are several: LSD, SNR, seconds."""

    def line(what: str, lsd: str | None, snr: str, seconds: float | None) -> list[str]:
        distances = each(rows, factors, lsd) if lsd else ["–"] * len(factors)
        return [f"{domain}: {what}", *distances, *each(rows, factors, snr), number(seconds)]

    seconds, draws = max(row["s_per_s_and_draw"] for row in rows.values()), draws_of(rows)
    yield line("low-passed input", "lsd_input", "snr_input", None)
    yield line(f"one draw ({label})", "lsd", "snr", seconds)
    if draws > 1:
        yield line(f"mean of {draws} draws ({label})", None, "snr_mean", seconds * draws)


def upsampling(files: Files) -> Iterator[Block]:
    """The section on upsampling, empty where nothing was measured."""
    if not files:
        return
    yield (
        "## Upsampling\n\nA clip is low-passed and decimated by 2, 4 or 8, then brought back. LSD: log-spectral "
        "distance to the clip, in powers of ten (1 is 10 dB), less is better. SNR: of the whole band, dB."
    )
    names = [f"{figure} ×{factor}" for figure in ("LSD", "SNR") for factor in values(files)]
    yield markdown(("", *names, "s per s of audio"), upsample_rows(files))
    yield Plot(
        "upsampling",
        "log-spectral distance by factor, of the low-passed input and of one draw",
        lambda: upsample_figure(files),
    )
    yield provenance(files)


def upsample_figure(files: Files) -> Any:
    """LSD by factor, a panel for each domain."""
    figure, panels = canvas(len(DOMAINS))
    for domain, axes in zip(DOMAINS, panels, strict=True):
        chosen = list(series(files, domain))
        given = {tuple((k, row["lsd_input"]) for k, row in rows.items()) for _, rows in chosen}
        for line in sorted(given):
            axes.plot(*zip(*line, strict=True), "s--", color=GREY, label="low-passed input")
        for colour, (label, rows) in zip(cycled(), chosen, strict=False):
            axes.plot(
                list(rows),
                [row["lsd"] for row in rows.values()],
                "o-",
                color=colour,
                label=f"one draw ({label})",
            )
        finish(axes, domain, values(files), "factor", "log-spectral distance", "×{}")
    panels[0].set_ylim(bottom=0)  # for all panels, once they are full
    return figure


def best_orders(janssen: Files) -> dict[str, dict[int, tuple[float, int]]]:
    """For each domain and length of gap the best SNR over orders and estimates, and the order that gave it."""
    found: dict[str, dict[int, tuple[float, int]]] = {domain: {} for domain in DOMAINS}
    for record in janssen.values():
        for row in record["rows"]:
            lengths = {int(key.split()[0]): snr for key, snr in row.items() if key.endswith(" ms")}
            for length, snr in lengths.items() if row["domain"] in found else ():
                best = found[row["domain"]]
                best[length] = max(best.get(length, (snr, row["order"])), (snr, row["order"]))
    return {domain: dict(sorted(best.items())) for domain, best in found.items() if best}


def gap_lengths(files: Files, janssen: Files) -> list[int]:
    """Lengths that any of them has, ms."""
    return sorted({*values(files), *(length for best in best_orders(janssen).values() for length in best)})


def inpaint_rows(files: Files, janssen: Files) -> list[list[str]]:
    """For each domain and model one draw and the mean of several, then the best of Janssen's orders."""
    lengths, best, found = gap_lengths(files, janssen), best_orders(janssen), []
    for domain in DOMAINS:
        for label, rows in series(files, domain):
            found.append([f"{domain}: one draw ({label})", *each(rows, lengths, "snr")])
            if (draws := draws_of(rows)) > 1:
                found.append([f"{domain}: mean of {draws} draws ({label})", *each(rows, lengths, "snr_mean")])
        if domain in best:
            chosen = [best[domain].get(length) for length in lengths]
            cells = [f"{number(pair[0])} (order {pair[1]})" if pair else "–" for pair in chosen]
            found.append([f"{domain}: Janssen, best order at each length", *cells])
    return found


def inpainting(files: Files, janssen: Files) -> Iterator[Block]:
    """The section on inpainting, empty where nothing was measured."""
    if not files and not janssen:
        return
    yield (
        "## Inpainting\n\nFour gaps in each clip. SNR inside the gaps of a clip together, dB, mean over clips; "
        "silence in the gaps has 0 dB."
    )
    yield markdown(("", *(f"{ms} ms" for ms in gap_lengths(files, janssen))), inpaint_rows(files, janssen))
    if janssen:
        yield (
            "Janssen is autoregressive interpolation (Janssen, Veldhuis & Vries 1986). Its order and estimate are "
            "chosen on these very clips, for each domain and length, which favours it."
        )
    shown = [*(["one draw, mean of draws"] if files else []), *(["best order of Janssen"] if janssen else [])]
    yield Plot(
        "inpainting",
        f"SNR inside gaps by their length: {', '.join(shown)}",
        lambda: inpaint_figure(files, janssen),
    )
    yield provenance({**files, **janssen})


def inpaint_figure(files: Files, janssen: Files) -> Any:
    """SNR by length of gap, a panel for each domain."""
    figure, panels = canvas(len(DOMAINS))
    best = best_orders(janssen)
    for domain, axes in zip(DOMAINS, panels, strict=True):
        chosen = list(series(files, domain))
        for colour, (label, rows) in zip(cycled(), chosen, strict=False):
            one, mean = ([row[name] for row in rows.values()] for name in ("snr", "snr_mean"))
            axes.plot(list(rows), one, "o-", color=colour, label=f"one draw ({label})")
            if (draws := draws_of(rows)) > 1:
                axes.plot(list(rows), mean, "o--", color=colour, label=f"mean of {draws} draws")
        if domain in best:
            heights = [snr for snr, _ in best[domain].values()]
            axes.plot(list(best[domain]), heights, "s:", color=GREY, label="Janssen, best order")
        axes.axhline(0, color=GREY, linewidth=0.5)
        finish(axes, domain, gap_lengths(files, janssen), "length of gap, ms", "SNR in the gaps, dB", "{}")
    return figure


# Drawing


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


# All restoring commands

RESTORED = {
    "upsample": ("Upsampling, log-spectral distance", "×{:g}"),
    "inpaint": ("Gaps, SNR in them", "{:g} ms"),
    "declip": ("Clipping, SDR over the clipped samples", "{:g} dB"),
    "dequantise": ("Rounding, SNR", "{:g} bits"),
    "denoise": ("White noise, SNR", "{:g} dB"),
}
# Columns that say how a run went, not how good it was.
ASIDE = re.compile(r"task|domain|value|clips|.* s|.* calls|.* recognised")


def restored_rows(rows: list[Row], task: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of one task's table: what was measured, by domain and value."""
    mine = [row for row in rows if row["task"] == task]
    figures = [name for name in dict.fromkeys(n for row in mine for n in row) if not ASIDE.fullmatch(name)]
    ours = [name.removesuffix(" calls") for name in mine[0] if name.endswith(" calls")]
    header = ["", *figures, *(f"{name}: calls" for name in ours), *(f"{name}: s per s" for name in ours)]
    lines = []
    for row in mine:
        cells = [number(row.get(name)) for name in figures]
        cells += [number(row.get(f"{name} calls"), 0) for name in ours]
        cells += [number(row.get(f"{name} s")) for name in ours]
        lines.append([f"{row['domain']}, {RESTORED[task][1].format(row['value'])}", *cells])
    return header, lines


def restoring(files: Files) -> Iterator[Block]:
    """The section on the restoring commands beside classical methods, empty where nothing was measured."""
    if not files:
        return
    yield (
        "## Restoring\n\nEach clip as a file through `audiofix upsample`, `inpaint`, `declip`, `dequantise`, "
        "`denoise`; the prior is recognised from the sound. What happened to the clip is told exactly, to "
        "the classical methods too. Log-spectral distance: less is better; the others are dB."
    )
    rows = [row for record in files.values() for row in record["rows"]]
    for task, (heading, _) in RESTORED.items():
        if any(row["task"] == task for row in rows):
            yield f"### {heading}"
            yield markdown(*restored_rows(rows, task))
    yield provenance(files)


# A song

UNTOUCHED = "mixture"  # the system that gives it back
CALLED = {UNTOUCHED: MIXTURE, "spleeter": "Spleeter, 2 stems", "ratio-mask": "oracle ratio mask, 64 ms"}


def song_rows(record: Record, sources: list[str]) -> list[list[str]]:
    """A line for each system: SI-SDR and SDR of each source, seconds; the mixture first, oracles last."""
    ordered = sorted(record["rows"], key=lambda row: (row["what"] != UNTOUCHED, row["oracle"]))
    lines = []
    for row in ordered:
        what = CALLED.get(row["what"], row["what"]) + (" (knows the answer)" if row["oracle"] else "")
        seconds = row["seconds_per_audio_second"] if row["what"] != UNTOUCHED else None
        figures = [number(row["scores"][source][name]) for name in ("si_sdr", "sdr") for source in sources]
        lines.append([what, *figures, number(seconds)])
    return lines


def verdict(record: Record, sources: list[str]) -> str:
    """What the SI-SDR of the song says of each of audiofix's rows, and who is best without knowing the answer."""
    means = {
        row["what"]: sum(row["scores"][source]["si_sdr"] for source in sources) / len(sources)
        for row in record["rows"]
        if not row["oracle"]
    }
    nothing = means.get(UNTOUCHED)
    found = []
    for what, mean in means.items() if nothing is not None else ():
        if what.startswith("audiofix"):
            how = "worse" if mean < nothing else "better"
            found.append(f"By SI-SDR `{what}` is {how} than doing nothing here.")
    best = max(means, key=lambda what: means[what])
    found.append(
        "Nothing wins over the mixture itself." if best == UNTOUCHED else f"{CALLED.get(best, best)} wins."
    )
    return " ".join(found)


def song(files: Files) -> Iterator[Block]:
    """The section on an excerpt of MUSDB18, empty where it was not measured."""
    for name, record in files.items():
        sources = list(record["rows"][0]["scores"])
        yield (
            f"## A song\n\nThe one excerpt of MUSDB18 in the package stempeg ({record['track']}, "
            f"{record['seconds']:.1f} s, stereo, 44.1 kHz), separated into {' and '.join(sources)}. The shipped "
            "models know speech and pianos, not songs: the speech model was asked for the vocals, the piano model "
            "for the rest. "
            f"**{verdict(record, sources)}** Use audiofix on speech and pianos."
        )
        header = [f"{label} {source}" for label in ("SI-SDR", "SDR") for source in sources]
        yield markdown(("", *header, "s per s of audio"), song_rows(record, sources))
        yield (
            "SDR: BSS Eval v4, median over seconds; unlike SI-SDR it counts a wrong gain too, and the mixture is "
            "far too loud for vocals. Seconds are without loading. One excerpt says nothing of how sure this is."
        )
        command_line = command("musdb_excerpt", record["settings"])
        cores = f"{record['cores']} core{'s' * (record['cores'] != 1)}"
        yield f"- `{command_line}` ({name}.json): seed {record['seed']}, {cores}"


# The page


def blocks(results: Path) -> list[Block]:
    """What the page consists of, in order, without its title; empty where nothing was measured."""
    from tests.benchmarks import pagesections  # which is made of what stands here

    separate, peers = read(results, "separate*.json"), read(results, "peers.json")
    upsample, inpaint = read(results, "upsample*.json"), read(results, "inpaint*.json")
    janssen = read(results, "janssen.json")
    restored = read(results, "restoring*.json")
    parts = [
        separation(separate, peers),
        restoring(restored),
        upsampling(upsample),
        inpainting(inpaint, janssen),
        song(read(results, "musdb-excerpt.json")),
        pagesections.learning(read(results, "learning*.json")),
        pagesections.processes(read(results, "scale-ranks*.json")),
    ]
    return [block for part in parts for block in part]


def page(parts: list[Block]) -> str:
    """The Markdown text; plots are links into plots/."""
    title = (
        "# Benchmarks\n\nWritten by `python -m tests.benchmarks.page` from what the benchmarks measured; "
        f"`make bench` measures again. All on the [fixed evaluation set]({PROTOCOL}). Each section ends with the "
        "commands that measured it."
    )
    texts = [f"![{p.alt}](plots/{p.name}.svg)" if isinstance(p, Plot) else p for p in parts]
    return "\n\n".join([title, LIMITS, *texts]) + "\n"


def keep(results: Path, measured: Path) -> None:
    """Copy what the page is made of to where it is kept."""
    for pattern in PATTERNS:
        for path in sorted(results.glob(pattern)):
            measured.mkdir(parents=True, exist_ok=True)
            (measured / path.name).write_text(path.read_text())


def main() -> None:
    """Read, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    measured = options.docs / "measured"
    keep(options.results, measured)
    parts = blocks(measured)
    if not parts:
        raise SystemExit(f"{options.results} holds no results; measure some with `make bench`")
    for part in parts:
        if isinstance(part, Plot):
            save(part.draw(), options.docs / "plots" / f"{part.name}.svg")
    options.docs.mkdir(parents=True, exist_ok=True)
    (options.docs / "benchmarks.md").write_text(page(parts))
    print(f"{options.docs / 'benchmarks.md'}, {sum(isinstance(p, Plot) for p in parts)} plots")


if __name__ == "__main__":
    main()
