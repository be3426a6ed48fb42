"""Figures of what is read part by part are those of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.numerics.metrics import FRAME, HOP, log_spectral_distance, si_sdr, snr
from audiofix.scoring import PART, against_in_parts, in_parts


class Reader:
    """Reads a signal, and minds how much at once."""

    def __init__(self, samples: Tensor) -> None:
        self.samples, self.most = samples, 0

    def __call__(self, start: int, stop: int) -> Tensor:
        assert 0 <= start <= stop <= self.samples.shape[1]
        self.most = max(self.most, stop - start)
        return self.samples[:, start:stop]


def pair(length: int, apart: float = 0.3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    clean = 0.1 * torch.randn(2, length, generator=generator) + 0.01
    return clean + apart * 0.1 * torch.randn(2, length, generator=generator), clean


@pytest.mark.parametrize(
    "length", [1, 2, FRAME // 2, FRAME // 2 + 1, FRAME, HOP * 7 + 1, PART, PART + 1, 3 * PART - HOP + 77]
)
def test_sums_over_parts_are_those_of_the_whole(length: int) -> None:
    estimate, clean = pair(length)
    found = in_parts(Reader(estimate), Reader(clean), length)
    expected = {"snr_db": float(snr(estimate, clean).mean())}
    if length > 1:  # of one sample nothing is left without its mean
        expected["si_sdr_db"] = float(si_sdr(estimate, clean).mean())
    if length > FRAME // 2:
        expected["log_spectral_distance"] = float(log_spectral_distance(estimate, clean).mean())
    assert found.keys() - {"si_sdr_db"} == expected.keys() - {"si_sdr_db"}
    for name, figure in expected.items():
        if length != 2 or name != "si_sdr_db":  # two samples without their mean are one line: no error at all
            assert found[name] == pytest.approx(figure, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("apart", [1e-3, 1e-5])
def test_good_estimates_keep_their_figures(apart: float) -> None:
    """SI-SDR is a difference of sums: at 100 dB 1e-10 of them is left, of which a double has six digits."""
    estimate, clean = pair(PART + 5, apart)
    found = in_parts(Reader(estimate), Reader(clean), PART + 5)
    assert found["si_sdr_db"] == pytest.approx(float(si_sdr(estimate, clean).mean()), abs=1e-4)


def test_little_is_read_at_a_time() -> None:
    length = 4 * PART
    estimate, clean = (Reader(x) for x in pair(length))
    figures = against_in_parts(clean, estimate, clean, length)
    assert max(estimate.most, clean.most) <= PART + FRAME
    assert figures["log_spectral_distance"]["before"] == 0
    assert figures["snr_db"]["before"] == float("inf")
    assert figures["snr_db"]["after"] == pytest.approx(10.46, abs=0.1)  # 1 / 0.3^2
