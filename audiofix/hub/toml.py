"""Write plain tables as TOML; the standard library reads TOML but does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dump_toml(values: Mapping[str, Any]) -> str:
    """Text that `tomllib` reads back as `values`: text, numbers, booleans, lists, tables and lists of tables.

    Keys keep their order, except that plain values come before tables, as TOML needs. Raises TypeError for
    anything else, None included.
    """
    return "\n".join(_table(values, ())).strip() + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {k: v for k, v in values.items() if not isinstance(v, Mapping) and not _is_tables(v)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for key, value in values.items():
        if key in plain:
            continue
        inner = (*path, key)
        dotted = ".".join(_key(part) for part in inner)
        if isinstance(value, Mapping):
            lines += ["", f"[{dotted}]", *_table(value, inner)]
        else:
            for item in value:
                lines += ["", f"[[{dotted}]]", *_table(item, inner)]
    return lines


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(v, Mapping) for v in value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)  # a subclass such as NumPy's prints its type too
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    raise TypeError(f"TOML has no form for {value!r}")
