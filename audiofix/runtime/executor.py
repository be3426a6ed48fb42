"""Run priors' scores in chunks and give the same numbers as on the whole file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audiofix.errors import DeviceError
from audiofix.numerics.windows import Chunk, equal_chunks, plan_chunks
from audiofix.priors.base import Posterior, Prior, PullsBack


@dataclass(frozen=True)
class Executor:
    """Where and in what pieces: one device, chunks of so many samples, at least `halos` times a prior's halo.

    Chunks are counted from the file's start, in multiples of their length: so bits do not depend on who works on
    which part of the file. Where a prior says that its bits do not depend on where chunks begin (`anywhere`), a
    part is cut into the fewest chunks of equal size instead, since each cut costs two halos.

    Each channel is worked out on its own: in a batch the last bits of a product depend on how many there are.
    """

    device: torch.device
    chunk: int
    halos: int = 0

    def spread(self, prior: Prior) -> Callable[[Tensor, float], Tensor]:
        """A score function of (batch, time) equal to `prior.score` whose memory does not grow with the file.

        Each chunk is worked out with the prior's halo on both sides. A prior without halo runs whole.
        """
        together = self.together([prior])

        def score(x: Tensor, sigma: float) -> Tensor:
            return together(x[:, None], sigma)[:, 0]

        return score

    def together(
        self,
        priors: Sequence[Prior],
        given: Sequence[Tensor | None] | None = None,
        part: Chunk | None = None,
    ) -> Callable[[Tensor, float], Tensor]:
        """The scores of (batch, source, time), each source from its own prior, a thread for each source at most.

        Two networks on a core each are faster than one after the other on both (tests/benchmarks/threads.py):
        torch's own threads are divided among them. Work is handed out chunk by chunk, so that an interrupt waits
        for the chunks in hand only. `given`: for each source the waves (batch, wave, time) that condition it.
        `part`: samples [left, right) of the file are what x holds, and their score in [start, stop) is wanted: it
        is zero where no chunk was needed for that. Without it x is the file, and all of it is wanted.

        Raises DeviceError when the device's memory does not suffice.
        """

        def score(x: Tensor, sigma: float) -> Tensor:
            result = torch.zeros_like(x)

            def work(task: tuple[Chunk, int, int]) -> None:
                chunk, row, index = task
                span, waves = slice(chunk.left, chunk.right), given[index] if given else None
                # A prior that nothing conditions need not know of conditions.
                more = () if waves is None else (waves[row : row + 1, :, span].to(self.device),)
                piece = priors[index].score(x[row : row + 1, index, span].to(self.device), sigma, *more)
                result[row, index, chunk.start : chunk.stop] = piece[0, chunk.inner].to(x.device)

            tasks = [
                (chunk, row, index)
                for index, prior in enumerate(priors)
                for chunk in self.chunks(prior, x.shape[2], part)
                for row in range(len(x))
            ]
            tasks.sort(key=lambda task: task[0].start)
            self._share(work, tasks, len(priors))
            return result

        return score

    def jointly(
        self, posterior: Posterior, y: Tensor, part: Chunk | None = None
    ) -> Callable[[Tensor, float], Tensor]:
        """The denoiser of (batch, source, time) under a posterior given y (batch, ..., time), in chunks.

        Equal to `posterior.denoise(x, y, sigma)`; `part` as in `together`. Raises DeviceError when the device's
        memory does not suffice.
        """

        def denoise(x: Tensor, sigma: float) -> Tensor:
            result = torch.zeros_like(x)

            def work(task: tuple[Chunk, slice]) -> None:
                chunk, row = task
                span = slice(chunk.left, chunk.right)
                piece = posterior.denoise(
                    x[row, ..., span].to(self.device), y[row, ..., span].to(self.device), sigma
                )
                result[row, ..., chunk.start : chunk.stop] = piece[..., chunk.inner].to(x.device)

            rows = [slice(row, row + 1) for row in range(len(x))]
            chunks = self.chunks(posterior, x.shape[2], part)
            self._share(work, [(chunk, row) for chunk in chunks for row in rows], 1)
            return result

        return denoise

    def pulled(self, prior: PullsBack) -> Callable[[Tensor, float, Tensor], Tensor]:
        """The pullback of residuals (batch, 1, time) through a prior's denoiser at x and sigma, in chunks.

        Equal to `prior.pullback`. With two halos on each side: a sample enters outputs up to a halo away, and
        those see a halo further. What a backward pass keeps grows with the chunk: 0.08 GB a second of sound for
        the shipped score networks. Raises DeviceError when the device's memory does not suffice.
        """

        def pull(x: Tensor, sigma: float, residual: Tensor) -> Tensor:
            result = torch.empty_like(x)

            def work(task: tuple[Chunk, int]) -> None:
                part, row = task
                near = [v[row : row + 1, 0, part.left : part.right].to(self.device) for v in (x, residual)]
                piece = prior.pullback(near[0], sigma, near[1])
                result[row, 0, part.start : part.stop] = piece[0, part.inner].to(x.device)

            parts = self.chunks(prior, x.shape[2], reach=2)
            self._share(work, [(part, row) for part in parts for row in range(len(x))], 1)
            return result

        return pull

    def flight(self, prior: Prior | Posterior, length: int) -> tuple[int, int]:
        """Samples of a whole file that go through a prior for one score, with halos; the most of them at once."""
        sizes = [chunk.right - chunk.left for chunk in self.chunks(prior, length)]
        return sum(sizes), max(sizes, default=0)

    def _share(self, work: Callable[[Any], None], tasks: Sequence[Any], threads: int) -> None:
        whole = torch.get_num_threads()
        try:
            # Threads that start now get this share of torch's own; the caller's setting comes back. There are no
            # more of them than torch may have: two on one core take the caches from each other.
            threads = min(threads, whole)
            torch.set_num_threads(whole // threads)
            with ThreadPoolExecutor(max_workers=threads) as pool:
                for _ in pool.map(work, tasks):
                    pass
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise DeviceError(
                f"{self.device} has no memory left for chunks of {self.chunk} samples; free some or use "
                "--device cpu"
            ) from error
        finally:
            torch.set_num_threads(whole)

    def chunks(
        self, prior: Prior | Posterior | PullsBack, length: int, part: Chunk | None = None, reach: int = 1
    ) -> list[Chunk]:
        """What of `length` samples goes through a prior at once, for the score that is wanted in `part`.

        `reach`: halos on each side.
        """
        if prior.halo is None:
            return [Chunk(0, length, 0, length)]
        halo = reach * prior.halo
        origin, wanted = (0, slice(0, length)) if part is None else (part.left, part.inner)
        if getattr(prior, "anywhere", False):
            # A halo more than chunks that have their places: what they need not be a multiple of costs nothing.
            most = max(self.chunk, (self.halos + 1) * prior.halo if self.halos else 0)
            return equal_chunks(length, most, halo, prior.grid, wanted.start, wanted.stop)
        # Multiples of `chunk`, so that parts of a file which begin at one see the same chunks; or equal parts,
        # which a heavy network may want.
        chunk = self.chunk * max(1, -(-self.halos * prior.halo // self.chunk))
        parts = -(-self.chunk // getattr(prior, "chunk", self.chunk))
        if parts > 1 and self.chunk % parts == 0:
            chunk = self.chunk // parts
        planned = plan_chunks(length, chunk, halo, prior.grid, origin)
        return [one for one in planned if one.start < wanted.stop and wanted.start < one.stop]
