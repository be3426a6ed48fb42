"""What peers need that is no dependency: modules, and weights inside packages. Nothing is downloaded here."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from audiofix.errors import SettingError

Weights = Callable[[str], bytes]
"""Name of a file inside a package to its bytes."""


def install(package: str, alone: bool = False) -> str:
    """The command that installs a package; `alone`: without what that would pull in."""
    return f"{sys.executable} -m pip install {'--no-deps ' if alone else ''}{package}"


def needed(module: str, system: str, command: str) -> Any:
    """An optional module. Raises SettingError with the command that installs it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SettingError(f"{system} needs {module} ({error}); install it with: {command}") from error


def weights_of(package: str, version: str, hashes: dict[str, str], system: str) -> Weights:
    """Reader of the files of an installed package. None of its code runs, so its dependencies need not be there.

    hashes: file, as its wheel names it, to sha256: it is compared before anything else reads the file. Raises
    SettingError where the package is missing or a file is another.
    """
    command = install(f"{package}=={version}", alone=True)
    try:
        found = distribution(package)
    except PackageNotFoundError as error:
        raise SettingError(f"{system} needs the package {package}; install it with: {command}") from error

    def read(name: str) -> bytes:
        path = Path(str(found.locate_file(name)))
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != hashes[name]:
            raise SettingError(
                f"{system} knows the weights of {package} {version}, and {found.version} has others in {name}; "
                f"install that version with: {command}"
            )
        return data

    return read
