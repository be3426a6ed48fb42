"""The report: it says what the results say, holds all it needs, and works in a real browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audiofix.datasets import folder
from audiofix.datasets.base import Group, Preparation
from audiofix.errors import InputError
from audiofix.evaluation.harness import Plan, Spec, items_of
from audiofix.evaluation.page.players import encoded, ranked
from audiofix.evaluation.page.plots import apart, scale_of
from audiofix.evaluation.page.results import read_results
from audiofix.evaluation.report import write_report
from audiofix.evaluation.runs import evaluate
from tests.evaluation.browser import visit

STAND_INS = "tests.evaluation.stand_ins"
NASTY = 'track <b>"2" & co'


def evaluated(place: Path, kind: str = "separate", values=(None,)) -> Path:
    """Results of three short tracks: of a system that fails at two of them, and of one that sees the answer."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(("track 0", "track 1", NASTY)):
        for stem in ("piano", "speech"):
            file = place / "set" / name / f"{stem}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            wave = 0.1 * (1 + number * (stem == "piano")) * generator.standard_normal(8000)
            soundfile.write(file, wave.clip(-1, 1), 16000)
    groups = (Group(("piano",), "piano"), Group(("speech",), "speech"))
    names = ("same", "truth", "fails") if kind == "separate" else ("same", "truth")
    plan = Plan(
        kind, items_of(folder.tracks(place / "set"), kind, groups, values), groups,
        tuple(Spec(name, f"{STAND_INS}:{name}") for name in names), Preparation(),
        ("si_sdr", "snr") if kind == "separate" else ("snr",), 0, place / "out",
    )  # fmt: skip
    settings = {"dataset": "folder", "path": "a/set", "task": kind, "metrics": list(plan.metrics), "seed": 0}
    evaluate(plan, "folder", settings, notes=["a remark <of> its own"], keep_audio=True)
    return plan.folder


@pytest.fixture(scope="module")
def separated(tmp_path_factory) -> Path:
    return evaluated(tmp_path_factory.mktemp("separated"))


@pytest.fixture(scope="module")
def page(separated) -> str:
    return write_report(separated).read_text(encoding="utf-8")


class Reading(HTMLParser):
    """Tables as lists of rows of texts, everything that an attribute names, and the page's text."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.cell = self.skipped = False

    def handle_starttag(self, tag, attrs):
        self.references += [
            value for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}
        ]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self.cell = True
        self.skipped = tag in {"style", "script"}

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in {"td", "th"}
        self.skipped = False

    def handle_data(self, data):
        if self.cell:
            self.tables[-1][-1][-1] += data
        if not self.skipped:
            self.texts.append(data)


def read(page: str) -> Reading:
    reading = Reading()
    reading.feed(page)
    return reading


def test_the_table_has_a_row_for_each_system_with_the_summarys_figures(separated, page):
    table = read(page).tables[0]
    summary = json.loads((separated / "summary.json").read_text(encoding="utf-8"))
    assert table[0] == ["system", "tracks", "SI-SDR, dB ↑", "SNR, dB ↑", "s per s", "failed"]
    assert [row[0] for row in table[1:]] == ["untouched", "same", "truth saw the answer", "fails"]
    for row, name, failed in zip(table[2:], ("same", "truth", "fails"), ("", "", "2"), strict=True):
        figure = summary["systems"][name]["si_sdr"]
        values = [float(part.replace("−", "-")) for part in re.findall(r"−?\d+\.\d\d", row[2])]
        known = [figure[key] for key in ("mean", "low", "high") if figure[key] is not None]
        assert values == pytest.approx(known, abs=0.0051)
        assert (row[1], row[5]) == (str(figure["n"]), failed)


def test_the_best_neither_saw_the_answer_nor_left_out_tracks(page):
    """`fails` did one track, that with the loudest piano, and has the better mean by it."""
    bold = re.findall(r"<tr><th scope=\"row\">(\w+)(?:(?!</tr>).)*<b>", page)
    assert bold
    assert set(bold) == {"same"}
    assert "same has the best mean SI-SDR" in page


def test_failures_settings_and_remarks_are_said(page):
    said = " ".join(read(page).texts)
    assert "too quiet for me; turn it up" in said
    assert "ZeroDivisionError: a fault of its own" in said
    assert "2 results failed" in said
    assert "a remark <of> its own" in said
    assert "Evaluation: separate, folder set" in said
    for name in ("seed", "versions", "torch", "cores"):
        assert name in read(page).texts


def test_names_are_text_wherever_they_stand(page):
    assert "<b>&quot;" not in page
    assert page.count(NASTY) == 0
    said = read(page)
    assert any(NASTY in text for text in said.texts)
    assert any(row[0] == NASTY for table in said.tables for row in table)


def test_nothing_outside_the_page_is_named(page):
    references = read(page).references
    assert references
    assert all(one.startswith("data:audio/") for one in references)
    assert not re.search(r"https?://|@import|url\(", page)


def test_the_players_have_the_best_and_the_worst_tracks(separated):
    results = read_results(separated)
    values = results.values("same", "", "si_sdr")
    order = sorted(values, key=values.get)
    assert len(order) == 3
    assert ranked(results, "") == (order[:0:-1], order[:1])


def test_sounds_beyond_the_budget_are_left_out_with_a_note(separated, tmp_path, page):
    small = write_report(separated, most_bytes=60_000).read_text(encoding="utf-8")
    assert 0 < small.count("data:audio/") < page.count("data:audio/")
    assert sum(len(one) for one in read(small).references) < 60_000 + 40 * small.count("data:audio/")
    left = int(re.search(r"(\d+) sounds are left out, so that the page stays below", small)[1])
    assert left + small.count("data:audio/") == page.count("data:audio/")
    write_report(separated)


def copy_of(separated: Path, place: Path, change) -> Path:
    """The results with rows and summary changed, no audio."""
    rows = [
        json.loads(line) for line in (separated / "results.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    summary = json.loads((separated / "summary.json").read_text(encoding="utf-8"))
    change(rows, summary)
    place.mkdir(parents=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (place / "results.jsonl").write_text(text, encoding="utf-8")
    (place / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return place


def test_a_summary_of_the_least_that_it_must_hold_is_enough(separated, tmp_path, page):
    def least(_rows, summary):
        for name in ("groups", "metrics", "notes", "errors", "machine"):
            del summary[name]

    found = write_report(copy_of(separated, tmp_path / "least", least)).read_text(encoding="utf-8")
    assert read(found).tables[0] == read(page).tables[0]


def test_files_outside_the_folder_or_gone_are_not_in_the_page(separated, tmp_path):
    secret = tmp_path / "secret.flac"
    soundfile.write(secret, np.zeros(100), 16000)

    def outside(rows, _summary):
        for row in rows:
            row["files"] = {"given": "../secret.flac", "clean/piano": str(secret), "piano": "audio/gone.flac"}

    found = write_report(copy_of(separated, tmp_path / "out", outside)).read_text(encoding="utf-8")
    assert "data:audio/" not in found
    assert "its file is not in the folder" in found
    assert "its file is not there, or damaged" in found


def test_where_everything_failed_the_report_says_so(separated, tmp_path):
    def all_failed(rows, summary):
        for row in rows:
            row.update(scores={}, error="no luck", files={})
        del summary["groups"]

    said = read(write_report(copy_of(separated, tmp_path / "bad", all_failed)).read_text(encoding="utf-8"))
    assert "Nothing came out." in said.texts
    assert [row[0] for row in said.tables[0][1:]].count("same") == 3


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no evaluation, for there is no .*summary\.json"):
        write_report(tmp_path)
    (tmp_path / "summary.json").write_text('{"settings": {}}', encoding="utf-8")
    with pytest.raises(InputError, match="holds no results yet"):
        write_report(tmp_path)


def test_long_sounds_are_cut_in_the_middle_and_loud_ones_turned_down(tmp_path):
    time = np.arange(3 * 16000) / 16000
    wave = np.where(np.abs(time - 1.5) < 0.5, 2.0, 0.01) * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "x.wav", wave, 16000, "FLOAT")
    clip = encoded(tmp_path / "x.wav", most_seconds=1)
    (tmp_path / "clip.flac").write_bytes(clip.data)
    found, rate = soundfile.read(tmp_path / "clip.flac")
    assert (clip.kind, rate, len(found)) == ("audio/flac", 16000, 16000)
    assert clip.remarks == ("1 of 3 s", "-6.0 dB, as it would clip")
    np.testing.assert_allclose(found, wave[16000:32000] / 2, atol=2**-15)


@pytest.mark.parametrize(("rate", "kind"), [(44100, "audio/mpeg"), (22048, "audio/flac")])
def test_what_does_not_compress_becomes_mp3_where_mp3_has_the_rate(tmp_path, rate, kind):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, (10 * rate, 2))
    soundfile.write(tmp_path / "x.wav", noise, rate)
    clip = encoded(tmp_path / "x.wav")
    assert clip.kind == kind
    assert ("MP3" in clip.remarks) == (kind == "audio/mpeg")
    if kind == "audio/mpeg":
        assert len(clip.data) < 400_000


@given(st.lists(st.floats(0, 340), min_size=1, max_size=20))
def test_labels_keep_their_order_and_their_distance(heights):
    found = apart(heights, 17)
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = [found[i] for i in order]
    assert all(b - a > 17 - 1e-6 for a, b in pairwise(placed))
    wide = all(heights[b] - heights[a] >= 17 for a, b in pairwise(order))
    if wide:
        assert found == pytest.approx(heights)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9))
def test_a_scale_holds_all_values_between_few_round_ticks(values):
    scale, ticks = scale_of(values)
    assert 2 <= len(ticks) <= 12
    assert all(3.9 <= scale.at(value) <= 96.1 for value in values)
    assert ticks[0] <= min(values) + 1e-6
    assert max(values) - 1e-6 <= ticks[-1]


def test_in_a_browser_all_sounds_play_and_nothing_is_fetched_or_complained_of(page, tmp_path):
    rows = 'document.querySelectorAll("table")[0].tBodies[0].rows.length'
    seen = visit(page, tmp_path, rows)
    assert len(seen.durations) == page.count("data:audio/") > 4
    assert seen.durations == [0.5] * len(seen.durations)  # seconds of each track
    assert seen.fetched == []
    assert seen.complaints == []
    assert seen.value == 4


def test_the_browser_would_have_told(page, tmp_path):
    """The same page with a picture from elsewhere, a damaged sound, and a fault in its script."""
    data = re.search(r"data:audio/flac;base64,[^\"]+", page)[0]
    bad = page.replace(data, data[:60], 1)
    bad = bad.replace("</main>", '<img src="http://127.0.0.1:9/x.png"><script>nowhere()</script></main>')
    seen = visit(bad, tmp_path)
    assert sum(one == "error 4" for one in seen.durations) >= 1
    assert any("x.png" in line for line in seen.complaints)
    assert any("nowhere is not defined" in line for line in seen.complaints)


def test_a_click_sorts_the_table(page, tmp_path):
    click = """(() => {
      const table = document.querySelector("table.sortable"), heads = table.tHead.rows[0].cells;
      const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.split(" ")[0]);
      const found = [];
      for (const column of [2, 2, 0]) {
        heads[column].querySelector("button").click();
        found.push([heads[column].getAttribute("aria-sort"), names()]);
      }
      return found;
    })()"""
    down, up, by_name = visit(page, tmp_path, click).value
    assert (down[0], up[0], by_name[0]) == ("descending", "ascending", "descending")
    assert down[1][0] == up[1][-1] == "truth"
    assert by_name[1] == ["untouched", "truth", "same", "fails"]


def test_it_fits_a_phone_and_keeps_to_dark_and_light(page, tmp_path):
    light = visit(page, tmp_path, "null", 390)
    dark = visit(page, tmp_path, "null", 390, "--blink-settings=preferredColorScheme=0")
    assert light.width[0] <= light.width[1]
    assert light.paper == "rgb(255, 255, 255)"
    assert dark.paper == "rgb(20, 23, 27)"


def test_a_restoration_has_a_part_for_each_strength(tmp_path):
    page = write_report(evaluated(tmp_path, "declip", (3, 7))).read_text(encoding="utf-8")
    assert re.findall(r"<h2>(Results[^<]*)</h2>", page) == ["Results, 3 dB", "Results, 7 dB"]
    seen = visit(page, tmp_path)
    assert seen.durations
    assert set(seen.durations) == {0.5}
    assert seen.complaints == []
