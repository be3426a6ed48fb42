"""Chunks of a posterior: the same numbers as on the whole file, on the sources and their sum alike."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from audiofix.errors import DeviceError
from audiofix.priors.score_network import MixturePosterior
from audiofix.runtime.executor import Executor
from tests.hub.tiny import tiny_mixer

# The network rounds to float32 at its end: where a chunk's last float64 bits differ, a number below 10 next to a
# tie moves by 1e-6, times spectra of about 1 and the preconditioner's 0.1.
TIE = 3e-7


def posterior() -> MixturePosterior:
    return MixturePosterior(tiny_mixer(2).double(), 16000, (1.0, 0.01))


def signals(length: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, y = (0.2 * torch.randn(2, n, length, generator=generator, dtype=torch.float64) for n in (2, 1))
    return x, y[:, 0]


def executor(chunk: int) -> Executor:
    return Executor(torch.device("cpu"), chunk)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 500, 1111])
@pytest.mark.parametrize("chunk", [1, 32, 100, 333, 5000])
@pytest.mark.parametrize("sigma", [0.1, math.inf])
def test_chunks_give_the_whole(length: int, chunk: int, sigma: float) -> None:
    whole, (x, y) = posterior(), signals(length)
    found = executor(chunk).jointly(whole, y)(x, sigma)
    expected = whole.denoise(x, y, sigma)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < TIE


@pytest.mark.parametrize("fault", ["halo", "grid"])
def test_half_the_halo_and_another_grid_are_caught(fault: str) -> None:
    whole, (x, y) = posterior(), signals(800)
    expected = whole.denoise(x, y, 0.1)
    if fault == "halo":
        whole.halo //= 4
    else:
        whole.grid, whole.halo = 1, whole.halo + 7
    assert (executor(96).jointly(whole, y)(x, 0.1) - expected).abs().max() > 100 * TIE


def test_the_sum_given_at_first_is_the_one_that_counts() -> None:
    whole, (x, y) = posterior(), signals(300)
    denoise = executor(100).jointly(whole, y)
    assert (denoise(x, 0.1) - whole.denoise(x, 2 * y, 0.1)).abs().max() > 100 * TIE
    assert (denoise(x, 0.1).sum(dim=1) - y).abs().max() < 1e-14


def test_one_that_cannot_be_chunked_runs_whole() -> None:
    class Counts:
        halo, grid, lengths = None, 1, []

        def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
            self.lengths.append((x.shape[-1], y.shape[-1]))
            return x + y[:, None] + sigma

    x, y = signals(300)
    found = executor(10).jointly(Counts(), y)(x, 0.5)  # type: ignore[arg-type]
    assert torch.equal(found, x + y[:, None] + 0.5)
    assert Counts.lengths == [(300, 300)] * len(x)  # channel by channel


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError(), DeviceError),
        (RuntimeError("CUDA out of memory."), DeviceError),
        (RuntimeError("shapes differ"), RuntimeError),
    ],
)
def test_memory_that_does_not_suffice_is_an_error_with_a_remedy(raised: Exception, expected: type) -> None:
    class Fails:
        halo, grid = 0, 1

        def denoise(self, *_: object) -> Tensor:
            raise raised

    x, y = signals(20)
    with pytest.raises(expected) as caught:
        executor(10).jointly(Fails(), y)(x, 0.5)  # type: ignore[arg-type]
    assert expected is RuntimeError or "chunks of 10 samples" in str(caught.value)


class Shown:
    """A prior whose score holds sample t of the first wave and sample t + 1 of the second."""

    halo, grid = 1, 1

    def score(self, x: Tensor, sigma: float, given: Tensor) -> Tensor:
        assert given.shape == (len(x), 2, x.shape[1])
        return given[:, 0] + functional.pad(given[:, 1, 1:], (0, 1)) - sigma * x


class Blind:
    """A prior that knows nothing of conditions."""

    halo, grid = 1, 1

    def score(self, x: Tensor, sigma: float) -> Tensor:
        return -sigma * x


@pytest.mark.parametrize("chunk", [1, 7, 10, 500])
def test_each_source_is_given_its_own_waves_where_its_samples_are(chunk: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 33, generator=generator)
    first, third = torch.randn(2, 2, 2, 33, generator=generator)
    priors = [Shown(), Blind(), Shown()]
    found = executor(chunk).together(priors, [first, None, third])(x, 0.5)  # type: ignore[arg-type]
    whole = [Shown().score(x[:, 0], 0.5, first), -0.5 * x[:, 1], Shown().score(x[:, 2], 0.5, third)]
    assert torch.equal(found, torch.stack(whole, dim=1))


class Watches:
    """Prior and posterior in one, that notes how many threads torch has while it works, and may fail."""

    halo, grid = 0, 1

    def __init__(self, error: BaseException | None = None) -> None:
        self.threads: list[int] = []
        self.error = error

    def score(self, x: Tensor, _: float) -> Tensor:
        self.threads.append(torch.get_num_threads())
        if self.error is not None:
            raise self.error
        return -x

    def denoise(self, x: Tensor, _: Tensor, sigma: float) -> Tensor:
        return self.score(x, sigma)


@pytest.fixture
def six_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(6)
    yield
    torch.set_num_threads(before)


def test_no_more_threads_work_than_torch_may_have() -> None:
    """Two sources and one thread: one after the other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    at_once, most = 0, 0

    def work(_: int) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1

    try:
        Executor(torch.device("cpu"), 1024)._share(work, range(6), 2)
        assert most == 1
        torch.set_num_threads(2)
        Executor(torch.device("cpu"), 1024)._share(work, range(6), 2)
        assert most == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("six_threads")
@pytest.mark.parametrize(("sources", "share"), [(1, 6), (2, 3), (4, 1), (8, 1)])
def test_torchs_threads_are_shared_and_come_back(sources: int, share: int) -> None:
    priors = [Watches() for _ in range(sources)]
    x = torch.ones(1, sources, 25)
    together = executor(10).together(priors)  # type: ignore[arg-type]
    for _ in range(2):  # the second call finds what the first one left
        assert torch.equal(together(x, 0.5), -x)
        assert torch.get_num_threads() == 6
    assert [prior.threads for prior in priors] == [[share] * 2 * 3] * sources


@pytest.mark.usefixtures("six_threads")
def test_a_posterior_has_all_threads() -> None:
    watches, (x, y) = Watches(), signals(25)
    executor(10).jointly(watches, y)(x, 0.5)  # type: ignore[arg-type]
    assert watches.threads == [6] * 3 * len(x)
    assert torch.get_num_threads() == 6


@pytest.mark.usefixtures("six_threads")
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError(), DeviceError),
        (RuntimeError("CUDA out of memory."), DeviceError),
        (RuntimeError("shapes differ"), RuntimeError),
        (ValueError("no"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_threads_come_back_after_an_error(raised: BaseException, expected: type[BaseException]) -> None:
    priors = [Watches(), Watches(raised)]
    with pytest.raises(expected):
        executor(10).together(priors)(torch.ones(1, 2, 25), 0.5)  # type: ignore[arg-type]
    assert priors[1].threads[0] == 3
    assert torch.get_num_threads() == 6
