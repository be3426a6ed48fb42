"""A picture of any length: exact where columns suffice, nothing short is lost where not, memory stays flat."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.numerics import overview as module
from audiofix.numerics.overview import Read, overview
from audiofix.numerics.spread import HOP, level_db


def reader(x: Tensor, longest: list[int] | None = None) -> Read:
    def read(start: int, stop: int) -> Tensor:
        assert 0 <= start <= stop <= x.shape[1]
        if longest is not None:
            longest.append(stop - start)
        return x[:, start:stop]

    return read


def noise(time: int, channels: int = 1) -> Tensor:
    return 0.1 * torch.randn(channels, time, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("time", [100, 700, 5000, 8 * HOP])
def test_short_ones_are_the_spectrograms_themselves(time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER", 7)
    before, after = noise(time, 2), noise(time, 2).roll(1, dims=1)
    found = overview(reader(before), reader(after), 0, time)
    assert found.frames == 1
    for levels, wave in ((found.before, before), (found.after, after), (found.change, after - before)):
        expected = level_db(wave.mean(dim=0))
        assert levels.shape == expected.shape
        loud = expected > -60  # below, what float32 leaves of a sum of a thousand numbers
        assert torch.allclose(levels[loud], expected[loud], atol=1e-2)


def test_a_column_is_the_mean_of_its_frames_and_the_loudest_change() -> None:
    time, columns = 40 * HOP - 1, 9
    before, after = noise(time), noise(time) * torch.linspace(0.5, 2, time)
    found = overview(reader(before), reader(after), 0, time, columns)
    assert (found.frames, found.columns) == (5, 8)
    for levels, wave in ((found.before, before), (found.after, after)):
        power = 10 ** (level_db(wave[0]).double() / 10)
        expected = power.unflatten(1, (8, 5)).mean(dim=2)
        assert torch.allclose(10 ** (levels.double() / 10), expected, rtol=1e-3)
    change = level_db((after - before)[0]).unflatten(1, (8, 5)).amax(dim=2)
    assert torch.allclose(found.change, change, atol=1e-2)


def test_one_changed_sample_in_minutes_is_seen_in_flat_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER", 64)
    reads: dict[int, list[int]] = {}
    for time in (200_000, 1_600_000):
        before, place = noise(time, 2), time // 3
        after = before.clone()
        after[1, place] += 0.5
        reads[time] = []
        found = overview(reader(before, reads[time]), reader(after), 0, time, 50)
        assert found.columns <= 50
        (column,) = found.touched.nonzero().flatten().tolist()
        assert found.sample(column) <= place < found.sample(column + 1)
        assert float(found.touched[column]) == pytest.approx(1 / (found.frames * HOP), rel=1e-5)
        assert found.most == column
        assert float(found.change[:, column].max()) > -20  # half of 0.5 through a window that is 1 at most
    # A column of the longer one has 125 frames; eight times the length is less than twice as much at once.
    assert max(reads[1_600_000]) < 2.1 * max(reads[200_000])


def test_a_part_begins_where_it_says() -> None:
    x = noise(9000)
    found = overview(reader(x), reader(2 * x), 4000, 6000)
    assert found.sample(0) == 4000
    assert torch.allclose(found.after, level_db(2 * x[0, 4000:6000]), atol=1e-2)
    assert bool((found.touched[: 2000 // HOP] == 1).all())
