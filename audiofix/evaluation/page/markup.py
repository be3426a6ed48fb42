"""HTML as text: everything that is not markup is escaped, and nothing refers to anything outside the page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

VOID = {"meta"}  # elements of HTML without content; those of SVG are closed
# Nothing may be fetched, whatever a result's name may hold; style, sound and the sorting are in the page itself.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src data:"


def text(value: object) -> str:
    """Plain text to HTML."""
    return escape(str(value), quote=True)


def tag(name: str, /, *content: str, **attributes: object) -> str:
    """An element around HTML; `text` makes HTML of anything else. class_ is class, under_score is under-score.

    Attributes that are None or False are left out, those that are True stand alone.
    """
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return f"<{name}{shown}>" if name in VOID else f"<{name}{shown}>{''.join(content)}</{name}>"


def section(heading: str, *content: str) -> str:
    """A part of the page; nothing where there is no content."""
    return tag("section", tag("h2", text(heading)), *content) if any(content) else ""


def folded(summary: str, *content: str, shown: bool = False) -> str:
    """What is shown on a click, or hidden by one; without JavaScript."""
    return tag("details", tag("summary", text(summary)), *content, open=shown)


def table(header: Iterable[str], rows: Iterable[Iterable[str]], class_: str | None = None) -> str:
    """A table of cells that are HTML elements already; wide ones scroll by themselves."""
    head = tag("thead", tag("tr", *header))
    body = tag("tbody", *(tag("tr", *row) for row in rows))
    return tag("div", tag("table", head, body, class_=class_), class_="wide")


def document(title: str, *content: str) -> str:
    """The whole page."""
    here = files("audiofix.evaluation.page")
    style, script = (here.joinpath(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(title)),
        tag("style", style),
    )
    body = tag("body", tag("main", *content), tag("script", script))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def number(value: float | None, places: int = 2) -> str:
    """A figure as people read it; a dash where there is none."""
    if value is None:
        return "–"
    shown = f"{value:.{places}f}"
    return (shown.lstrip("-") if float(shown) == 0 else shown).replace("-", "−")


def seconds(value: float | None) -> str:
    """Three digits at most."""
    if value is None:
        return "–"
    return f"{value:.3g}" if value >= 0.001 else "< 0.001"
