"""Pictures of what was restored: what they hold, whatever the length."""

from __future__ import annotations

from pathlib import Path

import torch

from audiofix.cli.picture import restoration, save_restoration
from audiofix.numerics.overview import COLUMNS
from audiofix.runtime.stores import Memory

RATE = 16000


def recording(seconds: float) -> torch.Tensor:
    time = round(seconds * RATE)
    return 0.1 * torch.randn(1, 1, time, generator=torch.Generator().manual_seed(0))


def test_a_long_one_shows_its_short_gap_and_what_is_around_it() -> None:
    after = recording(60)
    before = after.clone()
    before[..., 40 * RATE : 40 * RATE + 80] = 0  # 5 ms
    figure = restoration(Memory(before), Memory(after), RATE)
    _, _, change, touched = figure.axes[:4]
    strip = touched.images[0].get_array()
    marked = [number for number, value in enumerate(strip[0]) if value > 0]
    columns = strip.shape[1]
    assert columns <= COLUMNS
    seconds = [60 * number / columns for number in marked]
    assert len(marked) in range(3, 8)  # wide enough to be seen
    assert all(abs(one - 40) < 0.3 for one in seconds)
    assert float(strip[0, marked[0]]) >= 0.3
    # A dot or more for a column: none is left out of the picture.
    figure.canvas.draw()
    assert touched.get_window_extent().width >= columns
    assert change.get_window_extent().width >= columns
    zoomed = [one for one in figure.axes if "where most was changed" in one.get_title()]
    assert len(zoomed) == 2
    assert zoomed[0].get_xlim()[0] < 40 < zoomed[0].get_xlim()[1] < 45


def test_a_short_one_is_shown_as_it_is(tmp_path: Path) -> None:
    after = recording(0.5)
    figure = restoration(Memory(0.5 * after), Memory(after), RATE)
    assert not [one for one in figure.axes if "where most" in one.get_title()]
    save_restoration(tmp_path / "x.png", Memory(after), Memory(after), RATE)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG\r\n")
