"""`restore` spells out each of the settings, and hands all of them on."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch

from audiofix import repair
from audiofix.settings import Settings
from audiofix.types import Audio


def test_restore_has_the_same_names_in_that_order_and_defaults() -> None:
    parameters = inspect.signature(repair.restore).parameters.values()
    spelt = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert spelt.pop("progress") is None
    assert list(spelt.items()) == list(dataclasses.asdict(Settings()).items())


def test_restore_hands_each_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def prepared(*given: object) -> None:
        raise Seen(given[-1])

    monkeypatch.setattr(repair, "prepared", prepared)
    given = Settings(48000, "piano", "a-model", "best", 3, True, 7, "cpu")
    with pytest.raises(Seen) as caught:
        repair.restore(Audio(torch.zeros(1, 800), 8000), [], **dataclasses.asdict(given))
    assert caught.value.args == (given,)
