"""A real browser without a window, for what a page does there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
PROBE = """<script>
addEventListener("load", async () => {
  const seen = {};
  seen.durations = await Promise.all([...document.querySelectorAll("audio")].map((audio) => new Promise((done) => {
    if (audio.readyState >= 1) return done(audio.duration);
    audio.addEventListener("loadedmetadata", () => done(audio.duration));
    audio.addEventListener("error", () => done("error " + audio.error.code));
    audio.load();
  })));
  const names = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.fetched = names.filter((name) => !name.startsWith("data:"));
  seen.width = [document.documentElement.scrollWidth, innerWidth];
  seen.paper = getComputedStyle(document.body).backgroundColor;
  seen.value = EXPRESSION;
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
</script></body>"""


@dataclass(frozen=True)
class Seen:
    """What the page had and did: durations of its sounds, what it fetched, an expression's value, complaints."""

    durations: list[Any]
    fetched: list[str]
    width: list[int]
    paper: str
    value: Any
    complaints: list[str]


def browser() -> str:
    """Its path. Skips the test where there is none."""
    named = os.environ.get("AUDIOFIX_CHROMIUM")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("needs a browser: chromium-headless-shell on PATH, or its path in AUDIOFIX_CHROMIUM")
    return found


def visit(page: str, folder: Path, expression: str = "null", width: int = 1000, *options: str) -> Seen:
    """Open a page as a file and look at it when all its sounds are known; `expression`: of JavaScript."""
    file = folder / "visited.html"
    file.write_text(page.replace("</body>", PROBE.replace("EXPRESSION", expression)), encoding="utf-8")
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
        "--virtual-time-budget=20000", f"--window-size={width},900", f"--user-data-dir={folder / 'profile'}",
        *options, file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    parser = _Root()
    parser.feed(done.stdout)
    assert parser.seen, f"the page never came to its end: {done.stderr}"
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(**json.loads(parser.seen), complaints=complaints)


class _Root(HTMLParser):
    seen: str | None = None

    def handle_starttag(self, tag, attrs):
        if tag == "html":
            self.seen = dict(attrs).get("data-seen")
