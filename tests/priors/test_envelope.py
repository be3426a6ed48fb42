"""The levels of missing bands, told and given: in parts as in the whole, and lowered by what a guess costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.numerics.envelope import AROUND, HOP, ROUNDS, WINDOW, levels, spectrum
from audiofix.priors.envelope import LOWERED, Envelope
from tests.hub.tiny import tiny_envelope

RATE, CUT = 16000, 3000.0
NETWORK = 2 * (1 + 2)  # frames that the tiny network looks at on each side
# A round looks at frames that hold a sample, which hold what lies a window around it.
NEEDED = NETWORK * HOP + ROUNDS * WINDOW
# Double precision: a thousand products of numbers around 1, and as much in three rounds of transforms.
TIE = 1e-10


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def envelope() -> Envelope:
    """In double precision, where hardly anything is rounding."""
    return Envelope(tiny_envelope().double(), RATE)


def test_a_part_with_its_halo_gives_what_the_whole_gives(envelope: Envelope) -> None:
    whole, length, halo = noise(2, 60 * HOP + 77), 9 * HOP + 50, envelope.halo
    assert (envelope.grid, halo % HOP) == (HOP, 0)
    assert halo >= NEEDED
    expected = envelope.shape(whole, CUT)
    assert (expected - whole).abs().max() > 0.01

    def apart(start: int, around: int, off: int = 0) -> float:
        """Of samples [start, start + length), worked out from so many around them."""
        left, right = max(0, start - around) + off, min(whole.shape[1], start + length + around)
        found = envelope.shape(whole[:, left:right], CUT)[:, start - left :][:, :length]
        return float((found - expected[:, start : start + length]).abs().max())

    middle = 26 * HOP
    assert middle >= halo > 20 * HOP
    for start in (middle, middle + 100, 0, 51 * HOP):
        assert apart(start, (halo + HOP - 1) // HOP * HOP + start % HOP) < TIE
    # Half as much is not enough (what rounds add dies away quickly), and neither is all of it off the grid.
    assert apart(middle, NEEDED // 2 // HOP * HOP) > 10 * TIE
    assert apart(middle, NEEDED // 4 // HOP * HOP) > 1e3 * TIE
    assert apart(middle, halo, off=HOP // 2) > 1e3 * TIE


def test_what_is_eased_needs_a_second_more_on_each_side() -> None:
    plain, envelope = (Envelope(tiny_envelope().double(), RATE, eased_db=most) for most in (0.0, 6.0))
    assert envelope.halo == plain.halo + AROUND * HOP
    whole, length, halo = noise(1, 120 * HOP), 9 * HOP, envelope.halo
    whole[:, : 15 * HOP] *= 30  # is heard within a second
    middle = 15 * HOP + halo
    expected = envelope.shape(whole, CUT)
    assert (expected - plain.shape(whole, CUT)).abs().max() > 0.01
    part = envelope.shape(whole[:, middle - halo : middle + length + halo], CUT)[:, halo:][:, :length]
    assert (part - expected[:, middle : middle + length]).abs().max() < TIE
    short = 15 * HOP + plain.halo  # what is loud lies beyond the halo, and is needed
    part = envelope.shape(whole[:, 15 * HOP : short + length + halo], CUT)[:, plain.halo :][:, :length]
    assert (part - expected[:, short : short + length]).abs().max() > 1e3 * TIE


def test_channels_do_not_see_each_other(envelope: Envelope) -> None:
    x = torch.stack([noise(5000), 100 * noise(5000, seed=1)])
    found = envelope.shape(x, CUT)
    for row in range(2):
        assert (found[row] - envelope.shape(x[row : row + 1], CUT)[0]).abs().max() < TIE * x[row].abs().max()


@pytest.mark.parametrize("wide", [torch.float32, torch.float64, torch.bfloat16])
def test_what_comes_back_has_the_precision_that_came(wide: torch.dtype) -> None:
    """Whatever the network's is; numbers are those of the network's precision."""
    envelope, x = Envelope(tiny_envelope(), RATE), noise(2, 5000).to(wide)
    found = envelope.shape(x, CUT)
    assert (found.dtype, found.device, found.shape) == (wide, x.device, x.shape)
    assert torch.equal(found, envelope.shape(x.float(), CUT).to(wide))


def test_nothing_is_told_by_what_is_missing(envelope: Envelope) -> None:
    """The levels are those of a wave without its upper band, but for a bin beside the edge."""
    low = noise(1, 30 * HOP)
    time = 2 * torch.pi * torch.arange(30 * HOP).double() / WINDOW
    high = 0.1 * (torch.cos(500 * time) + torch.cos(900 * time))
    inner = slice(NETWORK + 4, -NETWORK - 4)  # away from where the tones break off
    before = envelope.levels(low, CUT)
    assert before.shape == (1, 31, 128)
    assert (envelope.levels(low + high, CUT) - before)[:, inner].abs().max() < 1e-8
    assert (envelope.levels(low + high, 7900.0) - envelope.levels(low, 7900.0))[:, inner].abs().max() > 0.01


@pytest.mark.parametrize("told", [0.5, -0.5])
def test_a_shaped_draw_has_the_levels_that_are_told_less_what_a_guess_costs(told: float) -> None:
    envelope, x, first = Envelope(tiny_envelope(told=told).double(), RATE), noise(2, 60 * HOP), 48
    assert (envelope.levels(x, CUT) - told).abs().max() < 1e-6  # a bias in float32
    found = levels(spectrum(envelope.shape(x, CUT)))[:, 4:-4, first + 3 :]
    # Means over 55 frames of 77 bands of eight bins, of logarithms that vary by 0.31 (tests/numerics), twice.
    assert LOWERED < -0.1
    assert float(found.mean()) == pytest.approx(told + LOWERED, abs=5 * (0.31 * 4 / (2 * 53 * 77 * 8)) ** 0.5)


def test_a_rise_that_is_doubted_counts_half_beyond_what_is_trusted() -> None:
    x, first = 0.1 * noise(2, 60 * HOP), 48
    before = levels(spectrum(x))[:, 4:-4, first + 3 :]
    for told, trusted in ((0.5, 4.0), (0.5, 0.0), (-4.0, 0.0)):
        envelope = Envelope(tiny_envelope(told=told).double(), RATE, trusted_rise_db=10 * trusted)
        found = levels(spectrum(envelope.shape(x, CUT)))[:, 4:-4, first + 3 :]
        # Frame by frame so much below what is told; falls are reached, rises by what counts of them.
        rise = told + LOWERED - before
        expected = before + torch.where(rise > trusted, trusted + 0.5 * (rise - trusted), rise)
        # As above; where half of a rise counts the draw's own level stays in it, with its own error.
        assert float(found.mean()) == pytest.approx(float(expected.mean()), abs=0.05)


def test_its_own_levels_lower_a_draw_by_that_alone() -> None:
    class Own(Envelope):
        def levels(self, low: Tensor, _cutoff: float) -> Tensor:
            return levels(spectrum(low))

    x = 10 * noise(1, 5000)
    found = Own(tiny_envelope().double(), RATE).shape(x, 0.0)
    assert (found - 10 ** (LOWERED / 2) * x).abs().max() < 1e-6 * float(x.abs().max())


def test_the_network_learns_no_more() -> None:
    net = tiny_envelope()
    before = net.training
    Envelope(net, RATE)
    assert (before, net.training) == (True, False)
    assert not any(weight.requires_grad for weight in net.parameters())
