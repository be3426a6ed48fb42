"""Which models a run uses: those that were named, else the best measured ones."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from audiofix.errors import SettingError
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import FAMILIES, models_for_source, resolve_model, scan_models

AUTO = (None, "auto")
PRIORS = ("wavenet", "score", "pnf-wavenet")  # families that know a source by itself
# The figure that compares models for the same work, in dB on held-out clips, by what they are: a card without it
# comes last.
INPAINTING = "mean_snr_in_gaps_db"
ENVELOPE = "mean_envelope_error_db"  # here less is better
SEPARATION, DENOISING = "mean_si_sdr_db", "mean_denoise_gain_db"

Chosen = tuple[ModelCard, Path]


def choose_separator(sources: Sequence[str], prior: str | None) -> Chosen | None:
    """The best measured separator of exactly these kinds, in any order; None where `prior` rules it out.

    A source `speech-2` is of kind speech. Raises SettingError where `prior` names a separator of other sources.
    """
    kinds = kinds_of(sources)
    if prior in AUTO or prior == "separator":
        fitting = [
            (card, home)
            for card, home in scan_models().models.values()
            if card.family == "separator" and sorted(card.source.split(",")) == sorted(kinds)
        ]
        return max(fitting, key=lambda one: figure(one[0], SEPARATION), default=None)
    if "," in str(prior) or prior in FAMILIES:
        return None
    card, home = resolve_model(str(prior))
    if card.family != "separator":
        return None
    if sorted(card.source.split(",")) != sorted(kinds):
        raise SettingError(f"{card.name} separates {card.source}, not {','.join(kinds)}; give --sources so")
    return card, home


def shown_separator(cards: Sequence[ModelCard], sources: Sequence[str]) -> Chosen | None:
    """The separator whose estimate conditions these priors; None where there is none of exactly these sources."""
    found, wanted = scan_models().models, sorted(kinds_of(sources))
    named = [found[card.shown] for card in cards if card.shown in found]
    for card, home in named:
        if card.family == "separator" and sorted(card.source.split(",")) == wanted:
            return card, home
    return None


def choose_critic(kind: str, least: str) -> Chosen | None:
    """The WaveNet of a kind of source whose card has the figure `least`, to judge likeness by; else None."""
    for card, home in scan_models().models.values():
        if card.source == kind and card.family == "wavenet" and least in card.validation:
            return card, home
    return None


def choose_models(sources: Sequence[str], prior: str | None, any_axis: bool = False) -> list[Chosen]:
    """A prior for each source; a source `speech-2` is of kind speech.

    `prior` gives a name or a folder for each, or one family for all; without it, or with auto, the one of the
    highest denoise gain is taken, the figure that compares priors of different families. `any_axis`: those that
    were smoothed on another axis than linear amplitude will do.

    Raises SettingError where there is none, or one that was named will not do.
    """
    kinds = kinds_of(sources)
    if prior not in AUTO and prior not in FAMILIES:
        names = [name.strip() for name in str(prior).split(",")]
        if len(names) != len(sources):
            raise SettingError(
                f"--prior names {len(names)} models for {len(sources)} sources; give one for each source, "
                f"or one of the families {', '.join(FAMILIES)}"
            )
        named = [resolve_model(name) for name in names]
        for card, _ in named:
            if card.family not in PRIORS:
                raise SettingError(
                    f"{card.name} is of the family {card.family}, no prior of one source by itself; name models "
                    f"of the families {', '.join(PRIORS)}"
                )
            if not (any_axis or card.smoothing_axis == "linear"):
                raise SettingError(
                    f"{card.name} is smoothed on the {card.smoothing_axis} axis, where sounds neither add nor are "
                    "filtered: it serves inpaint, declip and dequantise; name a prior of linear amplitude"
                )
        return named
    chosen = []
    for kind in kinds:
        cards = models_for_source(kind)
        fitting = [card for card in cards if prior in (*AUTO, card.family) and card.family in PRIORS]
        fitting = [card for card in fitting if any_axis or card.smoothing_axis == "linear"]
        if not fitting:
            raise SettingError(f"no {prior} prior of {kind}; there are {', '.join(c.name for c in cards)}")
        chosen.append(resolve_model(max(fitting, key=lambda card: figure(card, DENOISING)).name))
    return chosen


def kinds_of(sources: Sequence[str]) -> list[str]:
    """What sources are, by name: speech-2 is speech."""
    return [re.sub(r"-\d+$", "", source) for source in sources]


def figure(card: ModelCard, name: str) -> float:
    """A validation figure of a card; minus infinity where it has none, or what is there is no finite number."""
    value = card.validation.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -math.inf
