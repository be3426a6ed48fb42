"""From names and options to a `Setup`: which models, loaded onto a device, and the ladder between their levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from audiofix.choosing import AUTO, choose_models, choose_separator, kinds_of, shown_separator
from audiofix.errors import SettingError
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import load_prior
from audiofix.priors.base import Posterior
from audiofix.priors.score_network import InOrder
from audiofix.runtime.devices import pick_device, wants_bf16
from audiofix.runtime.executor import Executor
from audiofix.separation import QUALITIES, WITHOUT_SEPARATOR, lay_out, wanted_range
from audiofix.setup import CHUNK, HALOS, Setup


def prepare(
    sources: Sequence[str],
    prior: str | None,
    levels: int | None,
    steps: int | None,
    step_scale: float | None,
    device: str,
    sampler: str | None,
    quality: str | None = None,
    begun: bool = False,
    condition: bool = True,
    precision: str = "auto",
) -> Setup:
    """Choose and load the models for the sources, and lay out the schedule between the levels they know.

    `precision`: auto (bf16 where the hardware has it), fp32 or bf16. `condition`: let priors see the mixture where
    they can and the separator that they are shown is there.
    `begun`: the chain starts from stems that the caller has. Without a quality: "pnf" where Langevin dynamics is
    asked for, by name or by several steps a level; "best" where there are stems to begin with; else "balanced".
    Qualities that begin with a separator need one that knows all the sources; where there is none, or where
    `prior` names priors, the chain starts from the mixture and follows the priors.

    Raises SettingError for what does not exist or does not go together.
    """
    if quality is None:
        langevin = sampler == "langevin" or (sampler is None and steps is not None and steps > 1)
        quality = "pnf" if langevin else "best" if begun else "balanced"
    if quality not in QUALITIES:
        raise SettingError(f"there is no quality {quality!r}; choose one of {', '.join(QUALITIES)}")
    choice = QUALITIES[quality]
    where = pick_device(device)
    bf16 = wants_bf16(precision, where)
    if begun and choice.follow is None:
        raise SettingError(f"quality {quality} has no chain to improve stems by; take balanced or best")
    wants = choice.estimate and (not begun or prior not in AUTO or choice.follow == "separator")
    separator = choose_separator(sources, prior) if wants else None
    if separator is None and wants:
        choice = replace(choice, follow="prior") if begun else WITHOUT_SEPARATOR
    elif separator is not None and prior not in AUTO and choice.follow:
        choice = replace(choice, follow="separator")  # no other model was named
    if begun:
        choice = replace(choice, estimate=False)
    wanted_prior = choice.family if prior in AUTO and choice.family else prior
    chosen = choose_models(sources, wanted_prior) if choice.follow == "prior" else []
    loaded = [load_prior(home, where, bf16=bf16) for _, home in chosen]
    posterior = load_separator(separator, sources, where, bf16) if separator else None
    shown = shown_separator([card for card, _ in chosen], sources) if condition else None
    telling = None
    if shown is not None:
        telling = posterior if shown == separator else load_separator(shown, sources, where, bf16)
    rates = {p.sample_rate for p in [*loaded, *(p for p in (posterior, telling) if p)]}
    if len(rates) > 1:
        raise SettingError(
            f"the priors have different sample rates {sorted(rates)}; choose priors of one rate"
        )
    given_sampler, sampler = sampler, sampler or choice.sampler
    followed = loaded or [posterior]
    schedule, wanted = None, None
    if choice.follow:
        wanted = wanted_range(choice, sampler)
        known = [p.sigmas for p in followed]
        stepped = all(getattr(p, "stepped", False) and p.sigmas == known[0] for p in followed)
        schedule = lay_out(choice, sampler, known, levels, steps, step_scale, known[0] if stepped else ())
    elif levels or steps or step_scale or given_sampler:
        raise SettingError(
            f"quality {quality} has no ladder for --levels, --steps, --step-scale or --sampler; take balanced "
            "or best"
        )
    listed = [separator] if shown == separator else [separator, shown]
    cards = tuple(card for card, _ in [*(one for one in listed if one), *chosen])
    return Setup(
        quality, choice, cards, tuple(loaded), posterior, Executor(where, CHUNK, HALOS), schedule, sampler, bf16,
        wanted, telling,
    )  # fmt: skip


def load_separator(
    chosen: tuple[ModelCard, Path], sources: Sequence[str], device: torch.device, bf16: bool
) -> Posterior:
    """The separator, its sources in the order that is wanted. Raises ModelError."""
    card, home = chosen
    posterior: Posterior = load_prior(home, device, bf16=bf16)
    own, order = card.source.split(","), list[int]()
    for kind in kinds_of(sources):  # a kind that is there twice is taken in its own order
        order.append(next(i for i, name in enumerate(own) if name == kind and i not in order))
    return posterior if order == sorted(order) else InOrder(posterior, order)
