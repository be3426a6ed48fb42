"""The page of benchmarks says what the files say, and nothing about what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import musdb_excerpt, page
from tests.benchmarks.sections import common as shared
from tests.benchmarks.sections import curves, separation
from tests.benchmarks.sections import song as a_song

FIGURES = {"speech": 9.0, "piano": 10.0, "all": 9.5, "worst": -1.25}


def ours(what="preset", calls=13, **changes):
    row = {"what": what, "quality": "balanced", "models": "both", "sampler": "consistent", "draws": 1}
    return {**row, "calls_per_source": calls, "seconds_per_audio_second": 0.5, **FIGURES, **changes}


def separate(*rows, mixtures=4):
    mixture = {"what": shared.MIXTURE, **FIGURES}
    names = [f"speech {i:02d} + piano {i:02d}" for i in range(mixtures)]
    return {"mixtures": names, "seconds": 2.56, "seed": 7, "rows": [mixture, *rows]}


def peers(mixtures=4):
    peer = {"what": "Known, 2 stems (known==1)", "seconds_per_audio_second": 0.3, **FIGURES, "all": 8.0}
    oracle = {"what": "oracle ratio mask (needs the answer)", **FIGURES, "all": 14.0}
    settings = {"every": 8, "seconds": 2.56, "name": "peers"}
    return {**separate(peer, oracle, mixtures=mixtures), "seed": None, "settings": settings}


def restored(task, draws=1, **figures):
    settings = {"task": task, "prior": "score", "sampler": "heun", "values": None, "seed": 3}
    common = {"model": "m", "clips": 4, "calls": 61, "draws": draws, "s_per_s_and_draw": 0.25}
    rows = [
        {"domain": domain, "value": value, **common, **figures}
        for domain in shared.DOMAINS
        for value in (8, 2)
    ]
    return {"settings": settings, "rows": rows}


UPSAMPLED = {"lsd_input": 2.5, "lsd": 1.25, "snr_input": 12.0, "snr": 11.0, "snr_mean": 11.5}
INPAINTED = {"snr": 3.0, "snr_mean": 5.0}


def janssen():
    def row(order, short, long, domain="speech"):
        return {"method": "covariance", "order": order, "domain": domain, "2 ms": short, "8 ms": long}

    rows = [row(32, 9.0, 1.0), row(512, 7.0, 4.0), row(32, 50.0, 50.0, "all"), row(32, 2.0, 1.0, "piano")]
    clips = {"2": {"speech/00": 1.0, "speech/04": 1.0, "piano/00": 1.0}}
    return {"iterations": 5, "rows": rows, "measured": [{"clips": clips}]}


def song():
    def row(what, vocals, rest, oracle=False):
        scores = {"vocals": {"si_sdr": vocals, "sdr": -1.0}, "drums+bass": {"si_sdr": rest, "sdr": 2.0}}
        return {"what": what, "oracle": oracle, "seconds_per_audio_second": 0.25, "scores": scores}

    rows = [
        row("audiofix fast", -3, 1),
        row("ratio-mask", 9, 9, True),
        row("mixture", -2, 2),
        row("spleeter", 4, 5),
    ]
    settings = {"systems": ["mixture", "spleeter"], "quality": ["fast"]}
    return {"settings": settings, "track": "A - B", "seconds": 6.08, "seed": 0, "cores": 1, "rows": rows}


EVERYTHING = {
    "separate": separate(ours()), "separate-more": separate(ours("calls", 97), ours("calls", 7)), "peers": peers(),
    "upsample": restored("upsample", **UPSAMPLED), "inpaint": restored("inpaint", 8, **INPAINTED),
    "janssen": janssen(),
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """Write records into a folder of results."""

    def write(*names: str) -> Path:
        for name in names:
            record = song() if name == "musdb-excerpt" else EVERYTHING[name]
            (tmp_path / f"{name}.json").write_text(json.dumps(record))
        return tmp_path

    return write


def test_nothing_measured_is_an_empty_page(tmp_path):
    assert page.blocks(tmp_path) == []
    assert page.blocks(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("names", "headings", "plots"),
    [
        (["peers"], ["Separation"], []),
        (["separate"], ["Separation"], ["separation-calls", "separation-seconds"]),
        (["upsample"], ["Upsampling"], ["upsampling"]),
        (["janssen"], ["Inpainting"], ["inpainting"]),
        (["inpaint"], ["Inpainting"], ["inpainting"]),
        (["musdb-excerpt"], ["A song"], []),
    ],
)
def test_the_page_has_the_sections_that_were_measured(written, names, headings, plots):
    parts = page.blocks(written(*names))
    text = page.page(parts)
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == headings
    assert [part.name for part in parts if isinstance(part, shared.Plot)] == plots
    assert all(f"(plots/{name}.svg)" in text for name in plots)


def test_names_only_what_is_there(written):
    assert "peers" not in page.page(page.blocks(written("separate")))
    assert "Janssen" not in page.page(page.blocks(written("inpaint")))


def test_separation_lists_the_mixture_once_then_ours_then_peers():
    best = ours(quality="best", draws=2, calls=98)
    files = {"separate": separate(ours(), best, ours(shared.TRUTH), ours("calls"))}
    rows = separation.separation_rows(files, {"peers": peers()})
    assert [row[0] for row in rows] == [
        shared.MIXTURE,
        "audiofix, balanced (both, consistent)",
        "audiofix, best (both, consistent, mean of 2 draws)",
        "Known, 2 stems (known==1)",
        "oracle ratio mask (needs the answer)",
    ]
    assert rows[1][1:] == ["4 × 2.56 s", "13", "0.500", "9.00", "10.00", "9.50", "−1.25"]
    assert rows[0][2:4] == ["–", "–"]


def test_rows_of_other_mixtures_are_told_apart():
    files, few = {"separate": separate(ours())}, {"peers": peers(mixtures=2)}
    assert [row[1] for row in separation.separation_rows(files, few)][:2] == ["4 × 2.56 s", "2 × 2.56 s"]
    assert any("compare" in str(part) for part in separation.separation(files, few))
    assert not any("compare" in str(part) for part in separation.separation(files, {"peers": peers()}))


def test_curves_join_the_same_models_sampler_and_draws_in_the_order_of_calls():
    rows = [ours("calls", 97), ours("calls", 7), ours(draws=2), ours(shared.TRUTH, 25), ours(sampler="heun")]
    found = separation.curves({"separate": separate(*rows), "separate-more": separate(ours(calls=49))})
    assert {name: [row["calls_per_source"] for row in line] for name, line in found.items()} == {
        "both, consistent": [7, 49, 97],
        "both, consistent, mean of 2 draws": [13],
        "both, heun": [13],
    }


def test_curves_of_other_mixtures_are_not_joined():
    found = separation.curves({"separate": separate(ours()), "separate-more": separate(ours(), mixtures=2)})
    assert len(found) == 2


def test_upsampling_compares_input_draw_and_mean():
    files = {f"upsample{i}": restored("upsample", 1 + i, **UPSAMPLED) for i in range(2)}
    rows = curves.upsample_rows(files)[:4]
    assert rows[0] == ["speech: low-passed input", "2.50", "2.50", "12.00", "12.00", "–"]
    assert rows[1] == ["speech: one draw (m, heun, 61 calls)", "1.25", "1.25", "11.00", "11.00", "0.25"]
    assert rows[2][0].startswith("speech: mean of 2 draws")
    assert rows[2][1:] == ["–", "–", "11.50", "11.50", "0.50"]
    assert rows[3][0] == "piano: low-passed input"


def test_inpainting_takes_the_best_order_at_each_length():
    assert curves.best_orders({"janssen": janssen()}) == {
        "speech": {2: (9.0, 32), 8: (4.0, 512)},
        "piano": {2: (2.0, 32), 8: (1.0, 32)},
    }
    rows = curves.inpaint_rows({"inpaint": restored("inpaint", 8, **INPAINTED)}, {"janssen": janssen()})
    assert rows[:3] == [
        ["speech: one draw (m, heun, 61 calls)", "3.00", "3.00"],
        ["speech: mean of 8 draws (m, heun, 61 calls)", "5.00", "5.00"],
        ["speech: Janssen, best order at each length", "9.00 (order 32)", "4.00 (order 512)"],
    ]


def test_a_length_that_was_not_measured_is_a_dash():
    files = {"inpaint": restored("inpaint", **INPAINTED)}
    files["inpaint"]["rows"] = [row for row in files["inpaint"]["rows"] if row["value"] == 8]
    assert curves.inpaint_rows(files, {"janssen": janssen()})[0][1:] == ["–", "3.00"]


def test_the_command_can_be_typed():
    settings = {
        "task": "inpaint",
        "step_scale": 0.2,
        "values": [20, 50],
        "quality": [None],
        "calls": True,
        "name": None,
    }
    expected = "python -m tests.benchmarks.restore inpaint --step-scale 0.2 --values 20 50 --calls"
    assert shared.command("restore", settings) == expected


def test_each_record_tells_its_clips_and_seed():
    lines = shared.provenance(EVERYTHING).splitlines()
    assert len(lines) == len(EVERYTHING)
    assert "`python -m tests.benchmarks.separate`" in lines[0]
    assert lines[0].endswith("4 mixtures of 2.56 s, seed 7")
    assert lines[2].endswith("--every 8 --seconds 2.56 --name peers`: 4 mixtures of 2.56 s, nothing random")
    assert "restore upsample" in lines[3]
    assert lines[3].endswith("4 clips of speech and 4 clips of piano, seed 3")
    assert lines[5].endswith("2 clips of speech and 1 clips of piano, nothing random")


def test_a_song_says_plainly_who_wins():
    head, table, *_, command = a_song.song({"musdb-excerpt": song()})
    assert "**By SI-SDR `audiofix fast` is worse than doing nothing here. Spleeter, 2 stems wins.**" in head
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [
        "| the mixture itself", "| audiofix fast", "| Spleeter, 2 stems",
        "| oracle ratio mask, 64 ms (knows the answer)",
    ]  # fmt: skip
    assert "| audiofix fast | −3.00 | 1.00 | −1.00 | 2.00 | 0.25 |" in table
    assert "`python -m tests.benchmarks.musdb_excerpt --systems mixture spleeter --quality fast`" in command
    better = song()
    better["rows"][0]["scores"]["vocals"]["si_sdr"] = 20
    said = a_song.verdict(better, ["vocals", "drums+bass"])
    assert said == "By SI-SDR `audiofix fast` is better than doing nothing here. audiofix fast wins."


def test_a_song_names_who_was_not_there():
    record = song()
    assert "Not installed" not in " ".join(map(str, a_song.song({"musdb-excerpt": record})))
    names = [row["what"] for row in record["rows"] if row["what"] != "spleeter"]
    record["settings"]["systems"] = [*names, "spleeter", "open-unmix"]
    record["rows"] = [row for row in record["rows"] if row["what"] != "spleeter"]
    said = " ".join(map(str, a_song.song({"musdb-excerpt": record})))
    assert "Not installed where this was measured: Spleeter, 2 stems, open-unmix." in said


def test_a_failure_is_no_record_of_a_song():
    done = {"track": "A - B", "audio_seconds": 2.0, "system": "mixture", "oracle": False, "seconds": 1.0}
    row = {**done, "scores": {"vocals": {"si_sdr": 1.23456, "sdr": 2.0}}}
    (found,) = musdb_excerpt.record([row])["rows"]
    assert found["scores"] == {"vocals": {"si_sdr": 1.235, "sdr": 2.0}}
    assert found["seconds_per_audio_second"] == 0.5
    with pytest.raises(SystemExit, match="mixture failed: no luck"):
        musdb_excerpt.record([row, {**done, "scores": {}, "error": "no luck"}])


def test_a_table_is_markdown():
    assert (
        shared.markdown(("", "dB"), [["a", shared.number(-1.5)]]) == "|  | dB |\n| --- | --: |\n| a | −1.50 |"
    )


def test_the_plots_are_drawn_and_do_not_change_by_themselves(written, tmp_path):
    pytest.importorskip("matplotlib", reason="plots are an extra: docs")
    for part in page.blocks(written(*EVERYTHING)):
        if isinstance(part, shared.Plot):
            first, again = tmp_path / part.name / "plot.svg", tmp_path / "again" / part.name / "plot.svg"
            shared.save(part.draw(), first)
            shared.save(part.draw(), again)
            assert first.read_bytes() == again.read_bytes()
            assert b"<svg" in first.read_bytes()


def test_what_was_measured_is_kept(tmp_path, monkeypatch):
    results, docs = tmp_path / "out", tmp_path / "docs"
    results.mkdir()
    rows = [{"gain_db": 5.0, "plain_hours": 0.25, "our_hours": 0.05, "times": 5.0},
            {"gain_db": 6.5, "plain_hours": 0.5, "our_hours": None, "times": None}]  # fmt: skip
    settings = {"recipe": "speech-wavenet", "hours": 0.1}
    curves = {"speech-wavenet": [[0.05, 5.5], [0.1, 6.25]], "plain WaveNet": [[0.25, 5.0], [0.5, 6.5]]}
    (results / "learning.json").write_text(json.dumps({"settings": settings, "curves": curves, "rows": rows}))
    ranks = {"audio_seconds": 30.0, "seconds_1": 52.0, "seconds_2": 28.0, "efficiency": 0.93, "machine": 0.99}
    (results / "scale-ranks.json").write_text(json.dumps([{**ranks, "same_files": True}]))
    (results / "separate.json").write_text(json.dumps(separate(ours())))
    (results / "other.json").write_text("{}")

    def made():
        monkeypatch.setattr("sys.argv", ["page", "--results", str(results), "--docs", str(docs)])
        page.main()
        return (docs / "benchmarks.md").read_text()

    first = made()
    assert "| 0.250 | 5.00 | 0.050 | 5.0 |" in first
    assert "| 0.500 | 6.50 | – | – |" in first
    assert "| 30 s | 52.0 | 28.0 | 0.93 | 0.99 | yes |" in first
    assert sorted(path.name for path in (docs / "measured").iterdir()) == [
        "learning.json", "scale-ranks.json", "separate.json",
    ]  # fmt: skip
    for path in results.iterdir():
        path.unlink()
    assert made() == first
    (results / "separate.json").write_text(json.dumps(separate(ours(speech=3.21))))
    assert "3.21" in made()
    (docs / "measured" / "remarks.md").write_text("**Seconds.** Of a slow machine.\n")
    assert "\n\n**Seconds.** Of a slow machine.\n\n## Separation" in made()
