"""The sparse solver: its pieces against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from audiofix.baselines.spade import Spade, analyse, keep_largest, norms, solve, sparsest, synthesise
from audiofix.errors import SettingError


def test_the_frame_is_parseval():
    x = np.random.default_rng(0).standard_normal((3, 64))
    z = analyse(x, 2)
    # Two FFTs of 128 points: errors of order log2(128) * 2^-53.
    np.testing.assert_allclose(synthesise(z, 64, 2), x, atol=1e-14)
    np.testing.assert_allclose(norms(z), np.linalg.norm(x, axis=1), rtol=1e-14)


def test_synthesis_is_the_adjoint_of_analysis():
    generator = np.random.default_rng(1)
    x = generator.standard_normal((1, 16))
    full = np.fft.fft(generator.standard_normal((1, 32)), norm="ortho")
    left = np.sum(np.fft.fft(x, 32, axis=1, norm="ortho").conj() * full).real
    assert left == pytest.approx(float(np.sum(x * synthesise(full[:, :17], 16, 2))), abs=1e-13)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 20])
def test_the_largest_stay(count):
    generator = np.random.default_rng(2)
    z = generator.standard_normal((4, 9)) + 1j * generator.standard_normal((4, 9))
    kept = keep_largest(z, count)
    for row, was in zip(kept, z, strict=True):
        largest = np.argsort(-np.abs(was))[:count]
        assert set(np.flatnonzero(row)) == set(largest)
        np.testing.assert_array_equal(row[largest], was[largest])


def test_a_tone_on_a_bin_is_found_from_half_its_samples():
    """One coefficient is enough, so k = 1 must find it, to the tolerance."""
    time = 256
    truth = np.cos(2 * np.pi * 10 * np.arange(time) / time)[None]
    known = np.random.default_rng(5).random((1, time)) < 0.5
    lower, upper = np.where(known, truth, -2.0), np.where(known, truth, 2.0)
    how = Spade(frame=time, redundancy=1)
    found = solve(np.where(known, truth, 0.0), lower, upper, np.array([1e-3]), how)
    # In a Parseval frame what is left over bounds the distance of x from the sparse signal, and half the
    # samples are exact: a pair of bins is off by no more than twice that.
    assert np.linalg.norm(found - truth) < 4e-3
    assert np.linalg.norm(np.where(known, truth, 0.0) - truth) > 5


def written_out(
    x: np.ndarray, lower: np.ndarray, upper: np.ndarray, enough: float, dual: float = 1.0
) -> np.ndarray:
    """The algorithm for one frame with the matrix A; `dual` 0 leaves the sum of what was left over away."""
    time = len(x)
    matrix = np.fft.fft(np.eye(2 * time), norm="ortho")[:, :time]
    u, count = np.zeros(2 * time, complex), 0
    while True:
        count += 1
        z = matrix @ x + u
        half = np.argsort(-np.abs(z[: time + 1]))[count:]
        z[half], z[-half] = 0, 0
        x = np.clip((matrix.conj().T @ (z - u)).real, lower, upper)
        left_over = matrix @ x - z
        if np.linalg.norm(left_over) <= enough or count == time + 1:
            return x
        u = u + dual * left_over


def test_as_written_in_the_paper():
    generator = np.random.default_rng(8)
    truth = generator.standard_normal((5, 32))
    known = generator.random((5, 32)) < 0.5
    x = np.where(known, truth, np.clip(truth, -0.5, 0.5))
    lower, upper = np.where(known, x, x - 1), np.where(known, x, x + 1)
    enough = np.linspace(0.1, 2, 5)  # frames end at different iterations
    found = solve(x, lower, upper, enough, Spade(frame=32))
    frames = list(zip(x, lower, upper, enough, strict=True))
    # Some 30 iterations, each of which rounds by 1e-15.
    np.testing.assert_allclose(found, [written_out(*frame) for frame in frames], atol=1e-12)
    assert not np.allclose(found, [written_out(*frame, dual=0.0) for frame in frames], atol=0.01)


def test_a_box_that_leaves_no_freedom_gives_its_only_point():
    x = np.random.default_rng(6).standard_normal(3000)
    np.testing.assert_array_equal(sparsest(x, x, x, None, Spade()), x)


@pytest.mark.parametrize(
    "wrong",
    [{"frame": 1001}, {"overlap": 3}, {"overlap": 1}, {"redundancy": 0}, {"rise": 0}, {"tolerance": 0}],
)
def test_wrong_settings(wrong):
    with pytest.raises(SettingError, match="give"):
        Spade(**wrong)
