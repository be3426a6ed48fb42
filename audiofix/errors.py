"""Errors that a user can act on. Each says what was given, what is possible and what to do."""

from __future__ import annotations


class AudiofixError(Exception):
    """Root of all errors that audiofix raises on purpose; `exit_status` is what the command line returns."""

    exit_status = 1


class SettingError(AudiofixError):
    """An option or argument that cannot be used."""

    exit_status = 2


class InputError(AudiofixError):
    """A file that cannot be read, is not audio, or does not fit the others."""

    exit_status = 3


class ModelError(AudiofixError):
    """A model that is unknown, incomplete, or not what its card says."""

    exit_status = 4


class DivergenceError(AudiofixError):
    """The sampler left the finite numbers."""

    exit_status = 5


class DeviceError(AudiofixError):
    """A device that is not there or has no memory left."""

    exit_status = 6


class OutputError(AudiofixError):
    """A result that cannot be written: exists already, no permission, no space."""

    exit_status = 7
