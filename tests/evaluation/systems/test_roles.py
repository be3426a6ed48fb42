"""Which stem answers to which source is told by names."""

from __future__ import annotations

import pytest
import torch

from audiofix.errors import SettingError
from audiofix.evaluation.systems.roles import answered, heard, stems_of, voice_and_rest
from audiofix.types import Audio

STEMS = ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (STEMS, {name: (name,) for name in STEMS}),
        (("speech", "piano"), {"speech": ("vocals",), "piano": ("drums", "bass", "other")}),
        (("piano", "Vocals"), {"piano": ("drums", "bass", "other"), "Vocals": ("vocals",)}),
        (
            ("vocals", "drums+bass+other"),
            {"vocals": ("vocals",), "drums+bass+other": ("drums", "bass", "other")},
        ),
        (("drums+bass", "guitar"), {"drums+bass": ("drums", "bass"), "guitar": ("other", "vocals")}),
    ],
)
def test_stems_of_demucs(sources, expected):
    assert stems_of(STEMS, sources, "demucs") == expected


@pytest.mark.parametrize(
    "sources", [("speech", "piano", "flute"), (*STEMS, "flute"), ("speech", "voice", "piano")]
)
def test_what_names_do_not_tell_is_refused(sources):
    with pytest.raises(SettingError, match="at most one source"):
        stems_of(STEMS, sources, "demucs")


def test_the_voice_is_known_by_its_name_in_any_place():
    assert voice_and_rest(["piano", "Speech"], "x") == ("Speech", "piano")
    assert voice_and_rest(["vocals", "drums+bass+other"], "x") == ("vocals", "drums+bass+other")


def test_there_and_back_through_another_rate_and_number_of_channels():
    time = torch.arange(8000) / 16000
    tone = torch.sin(2 * torch.pi * 440 * time)[None]
    there = heard(Audio(tone, 16000), 44100, channels=2)
    assert there.shape == (2, 22050)
    back = answered(there, 44100, torch.zeros(1, 8000), 16000)
    torch.testing.assert_close(back[:, 500:-500], tone[:, 500:-500], atol=1e-3, rtol=0)
