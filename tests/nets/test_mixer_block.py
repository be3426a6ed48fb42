"""A block of the mixer: in pieces and in place it is what it is for gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.nets import mixer_block
from audiofix.nets.mixer import MixerConfig
from audiofix.nets.mixer_block import TAPS, MixerBlock, normalised

CONFIG = MixerConfig(features=32, hidden=64, band_features=16, band_hidden=32, sigma_width=8)
BANDS = 6


def block(dilation: int) -> MixerBlock:
    """With weights everywhere, the noise level's too."""
    torch.manual_seed(0)
    made = MixerBlock(CONFIG, BANDS, dilation).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(0.3 * torch.randn_like(weight))
    return made


def drawn(patches: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    make = torch.Generator().manual_seed(1)
    x = torch.randn(batch, patches, BANDS, CONFIG.features, generator=make, dtype=torch.float64)
    return x, torch.randn(batch, CONFIG.sigma_width, generator=make, dtype=torch.float64)


@pytest.mark.parametrize("piece", [1, 3, 8, 1000])
@pytest.mark.parametrize("dilation", [1, 4])
@pytest.mark.parametrize("patches", [1, 2, 7, 24])
def test_without_gradients_it_is_the_same_but_for_rounding(
    patches: int, dilation: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixer_block, "PIECE", piece)
    made, (x, embedding) = block(dilation), drawn(patches)
    expected, before = made(x, embedding), x.clone()
    with torch.no_grad():
        found = made(x, embedding)
    # Sums of some tens of products of numbers around 1, a handful of layers deep.
    assert float((found - expected.detach()).abs().max()) < 1e-12 * float(expected.detach().abs().max())
    assert torch.equal(x, before)
    assert not torch.equal(found, x)


@pytest.mark.parametrize("patches", [*range(1, 40), 200])
@pytest.mark.parametrize("piece", [8, 16, 128])
def test_pieces_are_in_order_and_none_is_short_beside_others(
    patches: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixer_block, "PIECE", piece)
    found = mixer_block.pieces(patches)
    assert [patch for first, last in found for patch in range(first, last)] == list(range(patches))
    assert all(piece // 2 < last - first <= 3 * piece // 2 for first, last in found) or len(found) == 1


@pytest.mark.parametrize("piece", [8, 16, 100])
def test_bits_do_not_depend_on_where_a_piece_begins(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    made = MixerBlock(MixerConfig(), 44, 2)  # sizes of the shipped ones: whole vectors everywhere
    x, embedding = torch.randn(1, 131, 44, 128), torch.randn(1, 32)
    with torch.no_grad():
        expected = made(x, embedding)
        monkeypatch.setattr(mixer_block, "PIECE", piece)
        assert torch.equal(made(x, embedding), expected)
        # Nor on what lies beyond the filter's reach.
        reach = TAPS // 2 * 2
        assert torch.equal(made(x[:, 7:], embedding)[:, reach:], expected[:, 7 + reach :])
        assert not torch.equal(made(x[:, 7:], embedding)[:, : reach - 1], expected[:, 7 : 6 + reach])


def test_reduced_precision_is_that_of_autocast() -> None:
    made, (x, embedding) = block(1).float(), drawn(9)
    with torch.autocast("cpu", torch.bfloat16):
        expected = made(x.float(), embedding.float()).detach()
        with torch.no_grad():
            found = made(x.float(), embedding.float())
    exact = made(x.float(), embedding.float()).detach()
    assert found.dtype == torch.float32
    # Both err by bfloat16's rounding, 2^-9 of numbers around, and by about the same.
    errors = [float((some - exact).square().mean().sqrt()) for some in (found, expected)]
    assert 0 < errors[0] < 1.2 * errors[1]
    assert errors[1] < 0.05 * float(exact.square().mean().sqrt())


def test_gradients_come_through() -> None:
    made, (x, embedding) = block(1), drawn(5)
    x.requires_grad_(True)
    made(x, embedding).square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())
    assert all(weight.grad is not None for weight in made.parameters())


def test_normalised_is_rms_norm_scaled_and_shifted() -> None:
    x, _ = drawn(4)
    x[0, 0] = 0
    scale, shift = (torch.randn(2, 1, 1, CONFIG.features, dtype=torch.float64) for _ in range(2))
    expected = torch.nn.functional.rms_norm(x, (CONFIG.features,)) * scale + shift
    assert torch.allclose(normalised(x, scale, shift), expected, rtol=1e-13, atol=1e-13)
