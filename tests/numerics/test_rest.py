"""Schedule, keyed noise, chunks, metrics, Tweedie."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audiofix.errors import InputError, SettingError
from audiofix.numerics.metrics import log_spectral_distance, sdr, si_sdr
from audiofix.numerics.rng import TILE, noise_source, unit_noise
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.numerics.tweedie import denoised_from_score, score_from_denoised
from audiofix.numerics.windows import equal_chunks, even_cuts, plan_chunks


def test_geometric_ladder() -> None:
    sigmas = geometric_sigmas(1.0, 0.001, 4)
    assert sigmas == pytest.approx((1.0, 0.1, 0.01, 0.001))
    assert geometric_sigmas(0.5, 0.1, 1) == (0.5,)
    assert Schedule(sigmas, 3, 0.5).step_size(1) == pytest.approx(0.005)
    assert Schedule(sigmas, 3, 0.5).total_steps == 12


@pytest.mark.parametrize(
    "values", [((), 1, 0.1), ((0.1, 0.2), 1, 0.1), ((0.1, 0.0), 1, 0.1), ((0.1,), 0, 0.1), ((0.1,), 1, 2.0)]
)
def test_bad_schedules_are_refused(values: tuple) -> None:
    with pytest.raises(SettingError):
        Schedule(*values)


@pytest.mark.parametrize("values", [(1.0, 0.1, 0), (0.1, 1.0, 3), (1.0, 0.0, 3)])
def test_bad_ladders_are_refused(values: tuple) -> None:
    with pytest.raises(SettingError):
        geometric_sigmas(*values)


@given(st.integers(0, 2 * TILE), st.integers(1, 300))
def test_part_of_the_noise_is_the_noise_of_the_part(start: int, length: int) -> None:
    stop = start + length
    whole = unit_noise((2, stop), 5, 1)
    assert torch.equal(unit_noise((2, length), 5, 1, start=start), whole[:, start:])


def test_noise_differs_by_every_part_of_its_key_and_repeats() -> None:
    noise = noise_source((1, 2, 40), seed=3)
    first = noise(0, 0)
    assert torch.equal(first, noise_source((1, 2, 40), seed=3)(0, 0))
    others = [
        noise(0, 1), noise(1, 0), noise(-1, 0),
        noise_source((1, 2, 40), seed=4)(0, 0), noise_source((1, 2, 40), seed=3, draw=1)(0, 0),
    ]  # fmt: skip
    assert not any(torch.equal(first, other) for other in others)


def test_noise_is_standard_normal_across_a_tile_border() -> None:
    noise = unit_noise((TILE + 50_000,), 9)
    # Mean and mean square of n independent normals: standard deviations 1/sqrt(n), sqrt(2/n); 5 of them.
    n = noise.numel()
    assert abs(noise.mean()) < 5 / math.sqrt(n)
    assert abs(noise.square().mean() - 1) < 5 * math.sqrt(2 / n)


@given(st.integers(0, 5000), st.integers(1, 900), st.integers(0, 700), st.sampled_from([1, 8, 64]))
def test_chunks_cover_once_with_halo(length: int, chunk: int, halo: int, grid: int) -> None:
    parts = plan_chunks(length, chunk, halo, grid)
    covered = [t for part in parts for t in range(part.start, part.stop)]
    assert covered == list(range(length))
    for part in parts:
        assert part.left % grid == 0
        assert part.left <= max(0, part.start - halo)
        assert part.right >= min(length, part.stop + halo)
        assert part.right <= length
        assert list(range(part.left, part.right))[part.inner] == list(range(part.start, part.stop))


@given(st.integers(0, 5000), st.integers(1, 900), st.integers(0, 20), st.sampled_from([1, 8, 64]), st.data())
def test_equal_chunks_cover_once_and_are_few(
    length: int, most: int, cells: int, grid: int, data: st.DataObject
) -> None:
    halo = cells * grid
    first = data.draw(st.integers(0, length // grid)) * grid
    last = data.draw(st.integers(first, length))
    parts = equal_chunks(length, most, halo, grid, first, last)
    covered = [t for part in parts for t in range(part.start, part.stop)]
    stop = min(length, -(-last // grid) * grid)
    assert covered == list(range(first, stop if last > first else first))
    for part in parts:
        assert part.left % grid == part.start % grid == 0
        assert part.left == max(0, part.start - halo)
        assert part.right == min(length, part.stop + halo)
    flights = [part.right - part.left for part in parts]
    inner = max(grid, most // grid * grid)
    if len(parts) > 1:
        assert max(flights) <= inner + 2 * halo
        assert max(flights) - min(flights) <= 2 * grid
        # One chunk less would be too few for them.
        assert sum(flights) - 2 * halo > (len(parts) - 1) * inner - 2 * grid
    elif parts and flights[0] < length:
        assert flights[0] <= max(inner, halo) + 2 * halo


def test_cuts_are_even() -> None:
    assert even_cuts(10, 3) == [0, 3, 6, 10]
    assert even_cuts(10, 3, 2, 2) == [0, 4, 6, 10]
    assert even_cuts(10, 1, 4, 4) == [0, 10]


@pytest.mark.parametrize(
    "wrong", [{"first": 3, "last": 2}, {"last": 11}, {"most": 0}, {"halo": -1}, {"grid": 0}]
)
def test_chunks_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingError, match="cannot plan chunks"):
        equal_chunks(**{"length": 10, "most": 5, "halo": 1, **wrong})


def test_si_sdr_ignores_scale_and_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    reference, error = torch.randn(2, 3, 4000, generator=generator, dtype=torch.float64)
    estimate = reference + 0.1 * error
    assert torch.allclose(si_sdr(estimate, reference), si_sdr(-3 * estimate + 0.5, reference), atol=1e-9)
    assert not torch.allclose(sdr(estimate, reference), sdr(3 * estimate, reference))


def test_si_sdr_of_orthogonal_error_is_known() -> None:
    t = torch.arange(1000) * 2 * math.pi / 1000
    # Whole periods: sine and cosine are orthogonal and without mean; 20 dB apart.
    assert si_sdr(torch.sin(5 * t) + 0.1 * torch.cos(7 * t), torch.sin(5 * t)).item() == pytest.approx(
        20, abs=1e-4
    )


def test_si_sdr_of_silence_is_refused() -> None:
    with pytest.raises(InputError, match="silent"):
        si_sdr(torch.ones(10), torch.zeros(10))


def test_log_spectral_distance() -> None:
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert log_spectral_distance(noise, noise).item() == 0
    # Ten times the amplitude is 100 times the power: distance 2 in every bin.
    assert log_spectral_distance(10 * noise, noise).item() == pytest.approx(2, abs=1e-4)


def test_tweedie_there_and_back() -> None:
    x, score = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(score_from_denoised(x, denoised_from_score(x, score, 0.3), 0.3), score, atol=1e-12)
