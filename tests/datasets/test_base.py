"""What is made of sounds on disk: the mixture that was recorded, shapes that fit, cuts at their place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiofix.datasets.base import Clip, Group, Preparation, Track, load, parse_groups
from audiofix.errors import InputError, SettingError
from tests.datasets.trees import sound, write


def group(name: str) -> Group:
    return Group(tuple(name.split("+")), name)


@pytest.fixture
def track(tmp_path) -> Track:
    """Stems a, b (mono) and c (stereo), and a mixture that is not their sum."""
    waves = {"a": sound(1, 0.1, 8000), "b": sound(2, 0.05, 8000), "c": sound(3, 0.1, 8000, 2)}
    clips = {name: Clip(write(tmp_path / f"{name}.wav", wave, 8000)) for name, wave in waves.items()}
    return Track("t", clips, Clip(write(tmp_path / "mix.wav", sound(9, 0.1, 8000, 2), 8000)))


def test_the_mixture_on_disk_counts_where_every_stem_is_taken_once(track):
    whole = load(track, [group("a"), group("b+c")], Preparation())
    part = load(track, [group("a"), group("c")], Preparation())
    assert torch.equal(whole.mixture, track.mixture.read().samples)
    torch.testing.assert_close(part.mixture, part.clean["a"] + part.clean["c"])


def test_short_and_mono_stems_fit_the_others(track):
    found = load(track, [group("a"), group("b+c")], Preparation())
    assert {wave.shape for wave in found.clean.values()} == {(2, 800)}
    short = track.stems["b"].read().samples
    stereo = track.stems["c"].read().samples
    torch.testing.assert_close(found.clean["b+c"][:, :400], stereo[:, :400] + short)
    torch.testing.assert_close(found.clean["b+c"][:, 400:], stereo[:, 400:])


@pytest.mark.parametrize(("place", "first"), [(0.0, 0), (0.5, 200), (1.0, 400)])
def test_a_cut_lies_at_its_place(track, place, first):
    clip = Clip(track.stems["a"].path, place=place)
    whole = clip.read().samples
    assert torch.equal(Preparation(seconds=0.05)(clip).samples, whole[:, first : first + 400])


def test_the_peak_is_that_of_the_whole_sound(track):
    clip = Clip(track.stems["a"].path, place=1.0)
    cut = Preparation(peak=True, seconds=0.05)(clip).samples
    whole = clip.read().samples
    torch.testing.assert_close(cut, whole[:, 400:] / whole.abs().max())


def test_what_the_peak_normalises_is_summed(track):
    found = load(track, [group("a"), group("b"), group("c")], Preparation(peak=True))
    torch.testing.assert_close(found.mixture, sum(found.clean.values()))


def test_other_rates_and_channels_are_refused(track, tmp_path):
    fast = Clip(write(tmp_path / "fast.wav", sound(1, 0.1, 16000), 16000))
    three = Clip(write(tmp_path / "three.wav", sound(1, 0.1, 8000, 3), 8000))
    for clip, message in ((fast, "--rate"), (three, "--mono")):
        other = Track("t", {"c": track.stems["c"], "other": clip})
        with pytest.raises(InputError, match=message):
            load(other, [group("c"), group("other")], Preparation())
    both = Track("t", {"c": track.stems["c"], "fast": fast, "three": three})
    found = load(both, [group("c"), group("fast+three")], Preparation(rate=8000, mono=True))
    assert found.clean["c"].shape == found.clean["fast+three"].shape == (1, 800)


def test_a_stem_that_is_not_there(track):
    with pytest.raises(SettingError, match="no stem 'flute'; it has a, b, c"):
        load(track, [group("flute")], Preparation())


def test_groups_as_written():
    assert parse_groups("speech=vocals, piano=drums+bass") == [
        Group(("vocals",), "speech"), Group(("drums", "bass"), "piano"),
    ]  # fmt: skip
    assert parse_groups("a,b+c") == [Group(("a",), "a"), Group(("b", "c"), "b+c")]
    for wrong in ("a,", "=b", "a=", "a,a", "a=b+"):
        with pytest.raises(SettingError):
            parse_groups(wrong)


def test_silence_survives_its_peak(tmp_path):
    clip = Clip(write(tmp_path / "silent.wav", np.zeros((800, 1), np.float32), 8000))
    assert not Preparation(peak=True)(clip).samples.any()
