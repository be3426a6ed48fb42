"""From a card to a prior, a function for each family. torch is imported inside, so that listing is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.hub.card import CARD_FILE, ModelCard, bad_model
from audiofix.hub.networks import LoadedLater, load_network
from audiofix.hub.weights import check_hash

if TYPE_CHECKING:
    import torch

    from audiofix.nets.mixer import TimeFrequencyMixer
    from audiofix.nets.pnf_wavenet import PnfWaveNet
    from audiofix.priors.envelope import Envelope
    from audiofix.priors.inpainting import Inpainter
    from audiofix.priors.pnf_wavenet import PnfPrior
    from audiofix.priors.score_network import MixturePosterior, ScorePrior
    from audiofix.priors.upsampling import Upsampler
    from audiofix.priors.wavenet import WaveNetPrior

_REMEDY = "correct the card, or export the model again"


def build_wavenet(
    card: ModelCard, folder: Path, device: str | torch.device = "cpu", bf16: bool = False
) -> WaveNetPrior:
    """One network conditioned on sigma, or one for each level. Raises as `load_network` does."""
    from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
    from audiofix.numerics.companding import mu_law_levels
    from audiofix.priors.wavenet import WaveNetPrior

    def make(sizes: dict[str, Any]) -> TieredWaveNet:
        config = WaveNetConfig.from_dict(sizes)
        return TieredWaveNet(config, mu_law_levels(config.levels))

    if card.conditioning == "none":
        expected = f"sigma or per-level for the family {card.family}"
        raise bad_model(folder / CARD_FILE, "conditioning", expected, card.conditioning, _REMEDY)
    nets = {sigma: load_network(card, folder, file, make, device) for sigma, file in card.weights.items()}
    return WaveNetPrior(nets, card.sample_rate, card.sigmas, bf16)


def build_pnf_wavenet(
    card: ModelCard,
    folder: Path,
    device: str | torch.device = "cpu",
    bf16: bool = False,  # noqa: ARG001
) -> PnfPrior:
    """A network for each level, read when it is first asked for. Raises as `load_network` does, of all files.

    Its input is a large number of which the small digits count, so `bf16` is not heeded.
    """
    from audiofix.nets.pnf_wavenet import PnfWaveNet, PnfWaveNetConfig
    from audiofix.numerics.companding import CURVES
    from audiofix.priors.pnf_wavenet import PnfPrior

    def make(sizes: dict[str, Any]) -> PnfWaveNet:
        return PnfWaveNet(PnfWaveNetConfig.from_dict(sizes))

    def load(sigma: float) -> PnfWaveNet:
        net: PnfWaveNet = load_network(card, folder, card.weights[sigma], make, device)
        return net.eval().requires_grad_(False)

    if card.conditioning != "per-level":
        expected = f"per-level for the family {card.family}"
        raise bad_model(folder / CARD_FILE, "conditioning", expected, card.conditioning, _REMEDY)
    for file, sha256 in card.files.items():  # now, not in the middle of a run
        check_hash(folder / file, sha256)
    return PnfPrior(LoadedLater(card.sigmas, load), card.sample_rate, CURVES[card.smoothing_axis])


def build_score(
    card: ModelCard, folder: Path, device: str | torch.device = "cpu", bf16: bool = False
) -> ScorePrior:
    """A score network of one source. Raises as `load_network` does."""
    from audiofix.priors.score_network import ScorePrior

    net = _mixer(card, folder, device, recorded=0)
    _same_number(card, folder, net.config.outputs)
    return ScorePrior(net, card.sample_rate, card.sigmas, bf16)


def build_separator(
    card: ModelCard, folder: Path, device: str | torch.device = "cpu", bf16: bool = False
) -> MixturePosterior:
    """The posterior of the sources that the card lists with commas. Raises as `load_network` does."""
    from audiofix.priors.score_network import MixturePosterior

    net = _mixer(card, folder, device, recorded=1)
    _same_number(card, folder, net.config.outputs)
    return MixturePosterior(net, card.sample_rate, card.sigmas, bf16)


def build_inpainter(
    card: ModelCard, folder: Path, device: str | torch.device = "cpu", bf16: bool = False
) -> Inpainter:
    """The posterior of one source's lost samples. Raises as `load_network` does."""
    from audiofix.numerics.fills import USUAL, Fills
    from audiofix.priors.inpainting import SHOWN, Inpainter

    net = _mixer(card, folder, device, recorded=SHOWN)
    _same_number(card, folder, net.config.outputs)
    fills = Fills(card.fill_orders or USUAL.orders, card.fill_kind or USUAL.kind)
    return Inpainter(net, card.sample_rate, card.sigmas, bf16, fills)


def build_upsampler(
    card: ModelCard, folder: Path, device: str | torch.device = "cpu", bf16: bool = False
) -> Upsampler:
    """The posterior of one source's upper band. Raises as `load_network` does."""
    from audiofix.priors.upsampling import Upsampler

    net = _mixer(card, folder, device, recorded=1)
    _same_number(card, folder, net.config.outputs)
    return Upsampler(net, card.sample_rate, card.sigmas, bf16)


def build_envelope(
    card: ModelCard,
    folder: Path,
    device: str | torch.device = "cpu",
    bf16: bool = False,  # noqa: ARG001
) -> Envelope:
    """What tells the levels of one source's missing bands; too small for `bf16` to gain. As `load_network`."""
    from audiofix.nets.envelope import EnvelopeConfig, EnvelopeNet
    from audiofix.numerics.envelope import BANDS, FEATURES
    from audiofix.priors.envelope import Envelope

    def make(sizes: dict[str, Any]) -> EnvelopeNet:
        return EnvelopeNet(EnvelopeConfig.from_dict(sizes))

    if card.conditioning != "none":
        expected, got = f"none for the family {card.family}", card.conditioning
        raise bad_model(folder / CARD_FILE, "conditioning", expected, got, _REMEDY)
    _same_number(card, folder, 1)
    (file,) = card.weights.values()
    net: EnvelopeNet = load_network(card, folder, file, make, device)
    for key, size in (("inputs", FEATURES), ("bands", BANDS)):
        if (got := getattr(net.config, key)) != size:
            raise bad_model(folder / CARD_FILE, f"network.{key}", str(size), got, _REMEDY)
    return Envelope(net, card.sample_rate, card.trusted_rise_db, card.eased_db or 0.0)


def _mixer(card: ModelCard, folder: Path, device: str | torch.device, recorded: int) -> TimeFrequencyMixer:
    """The card's network, which is shown so many recordings beside the noisy sources."""
    from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer

    def make(sizes: dict[str, Any]) -> TimeFrequencyMixer:
        return TimeFrequencyMixer(MixerConfig.from_dict(sizes))

    if card.conditioning != "sigma":
        expected, got = f"sigma for the family {card.family}", card.conditioning
        raise bad_model(folder / CARD_FILE, "conditioning", expected, got, _REMEDY)
    (file,) = card.weights.values()
    net: TimeFrequencyMixer = load_network(card, folder, file, make, device)
    if net.config.recorded != recorded:
        expected, got = (
            f"{recorded} for the family {card.family}",
            str(net.config.recorded),
        )
        raise bad_model(folder / CARD_FILE, "network.recorded", expected, got, _REMEDY)
    return net


def _same_number(card: ModelCard, folder: Path, outputs: int) -> None:
    if outputs != len(card.source.split(",")):
        expected = f"{outputs} names with commas" if outputs > 1 else "one name"
        raise bad_model(folder / CARD_FILE, "source", expected, repr(card.source), _REMEDY)
