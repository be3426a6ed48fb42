"""Options that several commands have, written once and given to each."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any


def with_options(
    command: Callable[..., None],
    options: Mapping[str, tuple[Any, Any]],
    call: Callable[..., None] | None = None,
) -> Callable[..., None]:
    """A command whose last parameter is **common, with these options in its place, for Typer to see.

    options: name to type and default, in the order of the help; call: what is called with all of them in place of
    the command itself.
    """
    own = inspect.signature(command).parameters.values()
    hints = typing.get_type_hints(command, include_extras=True)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [p.replace(annotation=hints[p.name]) for p in own if p.kind is kind]
    added = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        (call or command)(**given)

    wrapper.__signature__ = inspect.Signature([*shown, *added])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in (*shown, *added)}
    del wrapper.__wrapped__  # Typer would look through it at the command itself
    return wrapper
