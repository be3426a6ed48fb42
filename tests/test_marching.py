"""A chain walked by sections, on disk, stopped and resumed: bit for bit the whole's numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiofix.errors import DivergenceError
from audiofix.marching import Ground, Route, Span, Walk, march
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.posterior import ScoreFn
from audiofix.runtime.checkpoint import Trail
from audiofix.runtime.ranks import UNIT
from audiofix.runtime.stores import Disk, MakeStore, Memory, in_memory, on_disk
from audiofix.samplers.base import Info, State
from audiofix.separation import SAMPLERS, draw_sources

HALO, GRID = 64, 32
LENGTH = 3 * UNIT + 777
SCHEDULE = Schedule(geometric_sigmas(0.5, 0.02, 4), steps=2, step_scale=0.9)
SCALES = {"heun": 0.3}
EMPTY = (2, 2)


def score(x: Tensor, sigma: float) -> Tensor:
    """Of sample t it holds samples t - HALO and t + HALO, of which nothing is known outside the file."""
    pad = torch.nn.functional.pad(x, (HALO, HALO))
    return (0.25 * pad[..., : -2 * HALO] + 0.25 * pad[..., 2 * HALO :] - x) / (0.01 + sigma**2)


def within(_span: Span) -> ScoreFn:
    return score


def mixture(channels: int = 2) -> Tensor:
    return 0.1 * torch.randn(channels, LENGTH, generator=torch.Generator().manual_seed(0))


def walk(sampler: str, ground: Ground, *, seed: int = 3, draw: int = 1) -> Walk:
    schedule = replace(SCHEDULE, step_scale=SCALES.get(sampler, SCHEDULE.step_scale))
    return Walk(Route(sampler, schedule, seed, draw), ground, Memory(mixture()[:, None]), within)


def ground(section: int | None = None, make: MakeStore = in_memory, halo: int = HALO) -> Ground:
    return Ground(LENGTH, halo, halo, GRID, section, make=make)


def whole(sampler: str) -> Tensor:
    schedule = replace(SCHEDULE, step_scale=SCALES.get(sampler, SCHEDULE.step_scale))
    return draw_sources(mixture(), score, 2, schedule, seed=3, sampler=sampler, draw=1)


@pytest.mark.parametrize("section", [None, UNIT, 2 * UNIT])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sections_give_the_whole_bit_for_bit(sampler: str, section: int | None, tmp_path: Path) -> None:
    make = on_disk(tmp_path) if section else in_memory
    found = march(walk(sampler, ground(section, make)), None, 2)
    assert isinstance(found, Disk if section else Memory)
    assert torch.equal(found.read(0, LENGTH), whole(sampler))


@pytest.mark.parametrize("sampler", ["consistent", "heun"])
def test_one_sample_less_of_halo_is_caught(sampler: str) -> None:
    """So is one halo where a step asks for two scores."""
    short = ground(UNIT, halo=HALO - GRID)
    assert not torch.equal(march(walk(sampler, short), None, 2).read(0, LENGTH), whole(sampler))


def test_a_given_start_and_single_levels() -> None:
    start = Memory(torch.stack([mixture(), torch.zeros(2, LENGTH)], dim=1))
    for sampler in SAMPLERS:
        one = Schedule((0.05,), steps=2, step_scale=SCALES.get(sampler, 1.0))
        expected = draw_sources(
            mixture(), score, 2, one, seed=3, sampler=sampler, draw=1, start=start.samples
        )
        there = replace(walk(sampler, ground(UNIT)), route=Route(sampler, one, 3, 1))
        assert torch.equal(march(there, start, 2).read(0, LENGTH), expected)


class Stopped(Exception):
    """In the middle of a run."""


def stop_after(sections: int):
    seen = 0

    def callback(_state: State, _info: Info) -> None:
        nonlocal seen
        seen += 1
        if seen > sections:
            raise Stopped

    return callback


@pytest.mark.parametrize("stopped", [0, 1, 5, 13, 27])
@pytest.mark.parametrize("every", [0.0, 1e9], ids=["saved", "not-saved"])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(stopped: int, every: float, tmp_path: Path) -> None:
    """Four sections a step: most stops are in the middle of one."""
    there = walk("consistent", ground(UNIT))
    counted: list[int] = []
    with pytest.raises(Stopped):
        march(
            there,
            None,
            2,
            trail=Trail(tmp_path / "t", "key", every=every, share=0),
            callback=stop_after(stopped),
        )
    trail = Trail(tmp_path / "t", "key")
    reached = trail.found()
    assert (reached is not None) == (every == 0 and stopped >= 4)
    found = march(there, None, 2, trail=trail, callback=lambda _, info: counted.append(info.done))
    assert torch.equal(found.read(0, LENGTH), whole("consistent"))
    assert counted[0] == (4 * (stopped // 4) + 1 if every == 0 else 1)
    trail.forget()
    assert not (tmp_path / "t").exists()


def test_what_another_run_left_is_not_taken_up(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        march(
            walk("consistent", ground(UNIT), seed=4), None, 2, trail=Trail(tmp_path, "other", every=0.0, share=0),
            callback=stop_after(20),
        )  # fmt: skip
    assert Trail(tmp_path, "key").found() is None
    found = march(walk("consistent", ground(UNIT)), None, 2, trail=Trail(tmp_path, "key"))
    assert torch.equal(found.read(0, LENGTH), whole("consistent"))


def test_only_the_newest_state_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        march(
            walk("consistent", ground()),
            None,
            2,
            trail=Trail(tmp_path, "k", every=0.0, share=0),
            callback=stop_after(5),
        )
    assert len(list(tmp_path.glob("*.f32"))) == 1
    assert not list(tmp_path.glob("*.part"))


def test_divergence_names_the_level() -> None:
    there = replace(walk("langevin", ground(UNIT)), score=lambda _: lambda x, sigma: x / sigma**2 * 1e30)
    with pytest.raises(DivergenceError, match="level 1, step 2"):
        march(there, None, 2)


def test_stores_hold_what_was_written(tmp_path: Path) -> None:
    signal = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(1))
    for make in (in_memory, on_disk(tmp_path)):
        store = make((2, 3), 100, 150)
        store.write(110, signal[..., 10:20])
        store.write(120, signal[..., 20:50])
        assert torch.equal(store.read(110, 150), signal[..., 10:])
        assert not store.read(100, 110).any()
        assert store.read(150, 150).shape == (2, 3, 0)
