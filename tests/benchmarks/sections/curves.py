"""The sections on upsampling and inpainting with one prior and one sampler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.sections.common import (
    DOMAINS,
    GREY,
    Block,
    Files,
    Plot,
    Row,
    canvas,
    cycled,
    finish,
    markdown,
    number,
    provenance,
)


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
