"""Stop signals that wait while results are moved and written down, and interrupt at once elsewhere."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Guard:
    """A handler of signals: the first raises KeyboardInterrupt, at once or when `hold` ends; others do nothing."""

    def __init__(self) -> None:
        self.held = self.heard = self.raised = False

    def __call__(self, *_: Any) -> None:
        """A signal has come."""
        self.heard = True
        if not self.held:
            self._interrupt()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let signals wait until the end."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
        self._interrupt()

    @contextlib.contextmanager
    def free(self) -> Iterator[None]:
        """Within `hold`: let signals interrupt."""
        try:
            self.held = False
            self._interrupt()
            yield
        finally:
            self.held = True

    @contextlib.contextmanager
    def handling(self, *names: str) -> Iterator[None]:
        """Be the handler of these signals, where the platform has them and this is the main thread."""
        before: dict[signal.Signals, Any] = {}
        with contextlib.suppress(ValueError):
            for number in (signal.Signals[name] for name in names if name in signal.Signals.__members__):
                before[number] = signal.signal(number, self)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self) -> None:
        if self.heard and not self.raised:
            self.raised = True
            raise KeyboardInterrupt
