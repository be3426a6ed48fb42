"""What the benchmarks say of draws: their SNR beside the input's, and how well the known band came back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.benchmarks.restore import upsampled
from tests.benchmarks.restoring import snr_of_draws, upsampling

TIME, FACTOR, DRAWS = 8000, 4, 8


def noise(seed: int, time: int = TIME) -> Tensor:
    return torch.randn(time, generator=torch.Generator().manual_seed(seed))


def band(wave: Tensor, low: float, high: float) -> Tensor:
    """What lies between two shares of the Nyquist frequency."""
    spectrum = torch.fft.rfft(wave.double())
    place = torch.linspace(0, 1, len(spectrum))
    return torch.fft.irfft(spectrum * ((place >= low) & (place < high)), n=wave.shape[-1]).float()


def test_draws_beside_the_input() -> None:
    """Highs of a draw that are as loud as the true ones and independent cost 3 dB; of the mean of 8 it is 0.5."""
    highs = [0.02 * band(noise(seed), 0.3, 1) for seed in range(DRAWS + 1)]
    clip = 0.2 * band(noise(99), 0, 0.2) + highs[0]
    case = upsampling(clip, FACTOR, 0)
    draws = [case.start + one for one in highs[1:]]
    plain = torch.stack(draws).mean(dim=0)
    found = snr_of_draws(case, clip, draws[0], plain, case.start)
    for name, wave in (("draw", draws[0]), ("plain mean", plain), ("mean", case.start)):
        assert found[f"{name} less input"] == pytest.approx(found[f"SNR {name}"] - found["SNR input"])
        error = (wave - clip).square().sum() / (case.start - clip).square().sum()
        assert found[f"{name} less input"] == pytest.approx(-10 * float(error.log10()), abs=1e-3)
    # Powers of independent noise add, each known to some percent from 5,600 numbers.
    assert found["draw less input"] == pytest.approx(-3.0, abs=0.3)
    assert found["plain mean less input"] == pytest.approx(-0.5, abs=0.2)
    assert found["mean less input"] == 0
    # Resampling leaves what float32 does, and the highs have nothing below.
    assert found["low band"] < -60
    spoilt = snr_of_draws(case, clip, draws[0] * 1.01, plain, plain)
    assert spoilt["low band"] == pytest.approx(-40, abs=0.1)


def test_the_other_benchmark_says_the_same_of_its_own_draws() -> None:
    clip = 0.2 * band(noise(99), 0, 0.2) + 0.02 * band(noise(0), 0.3, 1)

    def method(operator, y: Tensor, draws: int) -> list[Tensor]:  # type: ignore[no-untyped-def]
        start = operator.start(y, 1)
        return [start + 0.02 * band(noise(k + 1, start.shape[-1]), 0.3, 1) for k in range(draws)]

    found = upsampled(clip, FACTOR, method, DRAWS)
    assert found["snr_less_input"] == pytest.approx(found["snr"] - found["snr_input"])
    assert found["snr_mean_less_input"] == pytest.approx(found["snr_mean"] - found["snr_input"])
    assert found["snr_less_input"] == pytest.approx(-3.0, abs=0.4)
    assert found["snr_mean_less_input"] == pytest.approx(-0.5, abs=0.3)
    assert found["low_band_db"] < -60
