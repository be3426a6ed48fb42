"""From the options of `audiofix evaluate` to the systems that are measured, and what they are called."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.errors import SettingError

if TYPE_CHECKING:
    from audiofix.datasets.base import Group
    from audiofix.evaluation.harness import Spec

NAMED = re.compile(r"([\w.+-]+)=(.+)", re.DOTALL)  # no program that is there is called so


def specs(common: Mapping[str, Any], groups: Sequence[Group]) -> list[Spec]:
    """One for each system; audiofix at several qualities is several, and so are several command lines.

    What a system's figures depend on is in its label or in `told`, never in the settings of the whole folder.
    Raises SettingError for two of one name, ModelError for a prior's folder that holds none.
    """
    from audiofix.evaluation.harness import Spec

    commands = common["command"] or []
    names = list(dict.fromkeys(common["systems"] or ([] if commands else ["audiofix"])))
    if commands and "command" not in names:
        names.append("command")
    if any(":" in name for name in names):
        sys.path.insert(
            0, str(Path.cwd())
        )  # where a module of one's own lies; not there under an installed command
    shared = {
        "prior": common["prior"],
        "draws": common["draws"],
        "device": common["device"],
        "sources": {group.name: group.source for group in groups},
        "stem_names": common["stem_names"],
        "timeout": common["timeout"],
    }
    found: list[Spec] = []
    for name in names:
        if name == "audiofix":
            found += _own(common, shared)
        elif name == "command":
            found += [_command(text, shared) for text in commands] or [Spec(name, name, shared)]
        else:
            told = {key: common[key] for key in ("prior", "draws") if common[key] and ":" in name}
            found.append(Spec(name, name, shared, told))
    for label in (spec.label for spec in found):
        if sum(spec.label == label for spec in found) > 1:
            raise SettingError(
                f"two systems would be called {label}; give them names with --command NAME=TEMPLATE"
            )
    return found


def _own(common: Mapping[str, Any], shared: Mapping[str, Any]) -> list[Spec]:
    from audiofix.evaluation.harness import Spec

    prior, draws = common["prior"], common["draws"]
    more = f", prior {','.join(Path(part).name for part in prior.split(','))}" if prior else ""
    more += f", {draws} draws" if draws else ""
    told = _hashes(prior) if prior else {}
    if not common["quality"]:
        return [Spec(f"audiofix{more}", "audiofix", shared, told)]
    return [
        Spec(f"audiofix {quality}{more}", "audiofix", {**shared, "quality": quality}, told)
        for quality in dict.fromkeys(q.strip() for q in common["quality"].split(","))
    ]


def _hashes(prior: str) -> dict[str, str]:
    """Of models in folders, which other machines have elsewhere: what is in them."""
    from audiofix.hub.registry import model_hash, resolve_model

    named = [part for part in prior.split(",") if "/" in part or os.sep in part]
    return {Path(part).name: model_hash(resolve_model(part)[0]) for part in named}


def _command(text: str, shared: Mapping[str, Any]) -> Spec:
    """`NAME=TEMPLATE`, or a template, which has the name of its program."""
    from audiofix.evaluation.harness import Spec

    named = NAMED.match(text)
    template = named[2] if named else text
    words = template.split()
    label = named[1] if named else Path(words[0]).name if words else "command"
    told = {
        key: value for key, value in (("command", template), ("stem_names", shared["stem_names"])) if value
    }
    return Spec(label, "command", {**shared, "command": template}, told)
