"""The time-frequency mixer: any length, as far a reach as it declares, and transforms that lose nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer, Trunk
from tests.hub.tiny import TINY_MIXER, tiny_mixer

WINDOW, HOP = TINY_MIXER.window, TINY_MIXER.hop
LENGTHS = (1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 511, 512, 513)
# The trunk's numbers are rounded to float32 whatever the rest is computed in. Where the rest differs in its last
# bits (1e-16), a number next to a tie may round to the other side: 1.2e-7 of it. A sample is a mean of such
# numbers (below 10) times spectra of about 1, so it moves by some 1e-6 at most.
TIE = 3e-6


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact(sources: int = 0) -> TimeFrequencyMixer:
    return tiny_mixer(sources).double().eval()


def at(*sigmas: float) -> Tensor:
    return torch.tensor(sigmas, dtype=torch.float64)


@pytest.mark.parametrize("length", LENGTHS)
def test_any_length_comes_back(length: int) -> None:
    alone = exact()(noise(2, 1, length), at(0.1, 0.5))
    several = exact(3)(noise(2, 4, length), at(0.1, 0.5))
    assert alone.shape == (2, 1, length)
    assert several.shape == (2, 3, length)
    assert torch.isfinite(alone).all()
    assert torch.isfinite(several).all()


def test_it_begins_with_silence() -> None:
    net = TimeFrequencyMixer(TINY_MIXER)
    assert torch.equal(net(noise(2, 1, 300).float(), torch.tensor([0.1, 1.0])), torch.zeros(2, 1, 300))


def test_items_do_not_see_each_other() -> None:
    net, x, sigma = exact(2), noise(3, 3, 200), at(0.01, 0.1, 1.0)
    whole = net(x, sigma)
    for i in range(3):
        assert torch.allclose(net(x[i : i + 1], sigma[i : i + 1])[0], whole[i], atol=TIE, rtol=0)


def test_the_noise_level_matters() -> None:
    net, x = exact(), noise(1, 1, 200)
    assert (net(x, at(0.01)) - net(x, at(0.5))).abs().max() > 0.01


def test_a_given_trunk_is_used() -> None:
    net, x = exact(), noise(1, 1, 200)
    assert torch.equal(net(x, at(0.1), trunk=net.trunk), net(x, at(0.1)))
    assert not net(x, at(0.1), trunk=lambda patches, _: 0 * net.trunk(patches, net.embed(at(0.1)))).any()


# What goes to which token.


def test_the_trunk_is_given_spectra_in_patches_with_magnitudes_as_roots() -> None:
    net, x, given = exact(2), noise(2, 3, 200), []
    net(
        x, at(0.1, 1), trunk=lambda patches, embedding: given.append(patches) or net.trunk(patches, embedding)
    )
    padded = torch.nn.functional.pad(x.flatten(0, 1), (0, 100))
    spectra = torch.stft(padded, WINDOW, HOP, window=net.taper, pad_mode="constant", return_complex=True)
    spectra = spectra.unflatten(0, (2, 3)) / WINDOW**0.5
    roots = torch.polar(spectra.abs().sqrt(), spectra.angle())
    for frame in range(10):
        numbers = given[0][:, frame // 2, :, 6 * (frame % 2) :][..., :6]  # three waves, real and imaginary
        expected = torch.view_as_real(roots[:, :, : WINDOW // 2, frame]).permute(0, 2, 1, 3).flatten(2)
        # Magnitudes m become m / sqrt(m + 1e-4): below their root by 0.5e-4 / sqrt(m), and by 0.01 at most.
        assert (numbers - expected).abs().max() < 0.01
        assert (numbers - expected).abs().mean() < 1e-3


def test_a_token_holds_the_bins_of_its_band() -> None:
    """Without blocks bands do not mix: bins see all of their own band in their own patch, no other."""
    net = TimeFrequencyMixer(replace(TINY_MIXER, dilations=())).double()
    for weight in net.leave:
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    patches = noise(1, 3, 32, 4).requires_grad_(True)
    numbers = net.trunk(patches, noise(1, 8))
    first = 0
    for count, width in TINY_MIXER.bands:
        for band in range(count):
            bins = slice(first + band * width, first + (band + 1) * width)
            for place in (bins.start, bins.stop - 1):
                (seen,) = torch.autograd.grad(numbers[0, 1, place].sum(), patches, retain_graph=True)
                assert (seen[0, 1, bins] != 0).all()
                assert (seen != 0).sum() == width * 4
        first += count * width


# How far it sees.


def reach(output: int, time: int = 960) -> tuple[int, int]:
    """How many samples back and ahead an output depends on, by one backward pass: no chance, no tolerance."""
    x = noise(1, 1, time).requires_grad_(True)
    (gradient,) = torch.autograd.grad(exact()(x, at(0.1))[0, 0, output], x)
    seen = gradient[0, 0].nonzero()
    return output - int(seen[0]), int(seen[-1]) - output


def test_receptive_field_is_true_and_not_wasteful() -> None:
    net = exact()
    reaches = [reach(output) for output in range(464, 464 + net.grid)]
    for side in zip(*reaches, strict=True):
        assert max(side) <= net.receptive_field
        # The Hann window's first sample is zero, twice; frames in a patch are one hop less apart than patches.
        assert max(side) >= net.receptive_field - (HOP + 2)


def test_a_change_further_away_changes_nothing_and_a_nearer_one_does() -> None:
    net, x, middle = exact(), noise(1, 1, 1200), 600
    before = net(x, at(0.1))[0, 0, middle]
    for sign in (-1, 1):
        far, near = x.clone(), x.clone()
        beyond = torch.arange(1200).sub(middle).mul(sign) > net.receptive_field
        far[..., beyond] += 1
        near[..., middle + sign * net.receptive_field // 2] += 1
        assert (net(far, at(0.1))[0, 0, middle] - before).abs() < TIE
        assert (net(near, at(0.1))[0, 0, middle] - before).abs() > 1e-4


def test_every_output_sees_every_input() -> None:
    net = exact(2)
    x = noise(1, 3, 200).requires_grad_(True)
    for output in range(2):
        (gradient,) = torch.autograd.grad(net(x, at(0.1))[0, output, 100], x)
        assert (gradient.abs().amax(dim=2) > 1e-3).all()


@pytest.mark.parametrize("cells", [1, 5])
def test_a_shift_by_the_grid_shifts_what_comes_out(cells: int) -> None:
    net, x = exact(), noise(1, 1, 1200)
    whole = net(x, at(0.1))[0, 0]

    def difference(shift: int) -> float:
        inner = slice(net.receptive_field, -net.receptive_field)
        shifted = net(x[..., shift:], at(0.1))[0, 0]
        return (whole[shift:][inner] - shifted[inner]).abs().max().item()

    assert difference(cells * net.grid) < TIE
    # Half the grid is a hop: the frames are the same, the patches are not.
    assert difference(cells * net.grid + net.grid // 2) > 1e-3


# Transforms.


def fixed_factors(net: TimeFrequencyMixer, index: int, factor: float = 1.0) -> Trunk:
    """A trunk whose complex factors are zero but one, the same for all bins, frames and outputs."""
    c = net.config

    def trunk(patches: Tensor, _: Tensor) -> Tensor:
        numbers = torch.zeros(*patches.shape[:3], c.patch, c.outputs, c.factors, 2)
        numbers[..., index, 0] = factor
        return numbers.flatten(3)

    return trunk


def half_rate_tones(time: int) -> Tensor:
    """(time, frame): the tone at half the sample rate as each frame sees it, wherever a hop may place frames."""
    t = torch.arange(time)
    offset = t[:, None] - torch.arange(0, time + WINDOW // 2, HOP) + WINDOW // 2
    taper = torch.hann_window(WINDOW).sqrt().double()  # rounded as the network has it
    inside = (offset >= 0) & (offset < WINDOW)
    return torch.where(inside, taper[offset.clamp(0, WINDOW - 1)], 0.0) * (1 - 2.0 * (t % 2))[:, None]


def without_half_rate(x: Tensor) -> Tensor:
    """The nearest signal that holds nothing of these tones."""
    basis, _ = torch.linalg.qr(half_rate_tones(x.shape[-1]))
    return x - x @ basis @ basis.T


@pytest.mark.parametrize("length", [9, 17, 32, 33, 100, 257, 512])
def test_factors_of_one_give_every_sample_back(length: int) -> None:
    """Bins at half the sample rate have no token and are left out: everything else returns, edges included."""
    x = without_half_rate(noise(2, 3, length))
    assert x.abs().max() > 0.1
    net, y, sources = exact(2), x[:, :1], x[:, 1:]
    own, recorded = net.config.factors - 2, 0
    # Float64 throughout (one is exact): an error of some 1e-16 over the windows' overlap, 0.5 or more.
    for index, factor, expected in ((own, 1, sources), (own, -0.5, -0.5 * sources), (recorded, 1, y)):
        found = net(x, at(0.1, 1), trunk=fixed_factors(net, index, factor))
        assert (found - expected).abs().max() < 1e-13


def test_what_is_missing_is_the_bin_at_half_the_rate_and_no_more() -> None:
    net, x, tones = exact(), noise(1, 1, 1000), half_rate_tones(1000)
    lost = x - net(x, at(1), trunk=fixed_factors(net, 0))
    # A frame's inverse transform divides by WINDOW; squared tapers a quarter window apart add up to 2.
    expected = x @ tones @ tones.T / (2 * WINDOW)
    inner = slice(WINDOW, -WINDOW)
    # The tapers are float32 and add up to 2 to some 1e-7.
    assert (lost - expected)[..., inner].abs().max() < 1e-6
    assert lost[..., inner].abs().max() > 0.1


@pytest.mark.parametrize("length", [33, 512])
def test_an_output_may_be_a_spectrum_of_its_own(length: int) -> None:
    net, x = exact(2), noise(2, 3, length)
    wanted = without_half_rate(noise(2, 2, length, seed=1))

    def trunk(patches: Tensor, _: Tensor) -> Tensor:
        """(batch, output, bin, frame) to (batch, patch, bin, frame in it, output, factor, part)."""
        parts = torch.view_as_real(net.spectra(wanted)).unflatten(3, (-1, net.config.patch))
        numbers = torch.zeros(*patches.shape[:3], net.config.patch, 2, net.config.factors, 2).double()
        numbers[..., -1, :] = parts.permute(0, 3, 2, 4, 1, 5)
        return numbers.flatten(3)

    # Spectra of about 1 as float32: 6e-8 of each, and a sample is a mean of them.
    assert (net(x, at(0.1, 1), trunk=trunk) - wanted).abs().max() < 1e-6


# Sizes.


def test_sizes_survive_a_card() -> None:
    for config in (MixerConfig(), TINY_MIXER, replace(TINY_MIXER, inputs=3, outputs=2, recorded=1)):
        plain = json.loads(json.dumps(config.to_dict()))
        again = MixerConfig.from_dict(plain)
        assert again == config
        assert hash(again) == hash(config)  # nested lists became tuples
        assert config.to_dict() == plain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bands": ((4, 4), (2, 7))}, "32 bins"),
        ({"window": 128}, "64 bins"),
        ({"outputs": 2}, "one for each output"),
        ({"recorded": 1}, "one for each output"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(TINY_MIXER, **change)
    with pytest.raises(ValueError, match=words):
        MixerConfig.from_dict({**TINY_MIXER.to_dict(), **change})


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(TypeError, match="depth"):
        MixerConfig.from_dict({"depth": 3})
