"""An operator of amplitude seen from the companded axis: same recording, same derivative, nearest there too."""

from __future__ import annotations

import pytest
import torch

from audiofix.numerics.companding import LINEAR, MU_LAW
from audiofix.operators.clip import Clip
from audiofix.operators.companded import Companded
from audiofix.operators.gap import Gap
from audiofix.operators.lowpass import LowPass
from audiofix.operators.quantise import Quantise

SHAPE = (2, 1, 60)
INNER = {
    "gap": Gap((torch.arange(SHAPE[-1]) % 7 < 5).double()),
    "clip": Clip(-0.2, 0.3),
    "quantise": Quantise(0.1),
    "lowpass": LowPass(2),
}


def on_axis(seed: int) -> torch.Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1.8 - 0.9


@pytest.mark.parametrize("name", INNER)
def test_the_recording_is_that_of_the_amplitude(name):
    u = on_axis(0)
    assert torch.equal(Companded(INNER[name], MU_LAW).forward(u), INNER[name].forward(MU_LAW.expand(u)))
    assert torch.equal(Companded(INNER[name], LINEAR).forward(u), INNER[name].forward(u))


@pytest.mark.parametrize("name", ["gap", "clip", "lowpass"])
def test_pullback_is_the_derivative_along_the_axis(name):
    operator, u = Companded(INNER[name], MU_LAW), on_axis(0).requires_grad_(True)
    y = operator.forward(u)
    v = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (expected,) = torch.autograd.grad((y * v).sum(), u)
    torch.testing.assert_close(operator.pullback(u.detach(), v), expected)


@pytest.mark.parametrize("name", ["gap", "clip", "quantise"])
def test_what_is_known_sample_by_sample_is_projected_to_the_nearest(name):
    operator = Companded(INNER[name], MU_LAW)
    y = operator.forward(on_axis(2))
    solved = operator.project(on_axis(0), y)
    torch.testing.assert_close(operator.forward(solved), y)
    torch.testing.assert_close(operator.project(solved, y), solved)
    # Of all that explains y, here a line of other solutions, none is nearer in u.
    other = operator.project(on_axis(3), y)
    for share in (0.1, 0.5, 1.0):
        assert ((on_axis(0) - torch.lerp(solved, other, share)).square().sum() >=
                (on_axis(0) - solved).square().sum() - 1e-12)  # fmt: skip


def test_start_is_on_the_axis():
    operator = Companded(INNER["gap"], MU_LAW)
    y = operator.forward(on_axis(0))
    torch.testing.assert_close(MU_LAW.expand(operator.start(y, 1)), INNER["gap"].start(y, 1))
