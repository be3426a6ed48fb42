"""The format of a result: the input's own wherever that changes no sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from audiofix.audio import files
from audiofix.audio.files import bytes_needed, output_format, peak_of, quantise, read_audio, write_audio
from audiofix.errors import InputError, OutputError
from audiofix.types import Audio
from tests.audio.signals import INTEGERS, LOSSLESS, LOSSY, RATE, noise, tone


def test_output_looks_like_the_input() -> None:
    for container, subtype, suffix in [*LOSSLESS, *LOSSY]:
        like = Audio(torch.zeros(2, 1), RATE, subtype, container)
        assert output_format(like, 0.5) == (container, subtype, f".{suffix}")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "ULAW"])
def test_integers_that_would_clip_become_float(subtype: str) -> None:
    like = Audio(torch.zeros(1, 1), RATE, subtype)
    assert output_format(like, 1.0) == ("WAV", "FLOAT", ".wav")
    assert output_format(like, 0.9999)[1] == subtype
    flac = Audio(torch.zeros(1, 1), RATE, "PCM_16", "FLAC")
    assert output_format(flac, 1.2) == ("WAV", "FLOAT", ".wav")


@pytest.mark.parametrize(("container", "subtype", "suffix"), [("WAV", "FLOAT", "wav"), *LOSSY])
def test_what_holds_more_than_full_scale_stays(container: str, subtype: str, suffix: str) -> None:
    like = Audio(torch.zeros(1, 1), RATE, subtype, container)
    assert output_format(like, 1.7) == (container, subtype, f".{suffix}")


def test_rounding_decides_whether_a_peak_fits() -> None:
    like = Audio(torch.zeros(1, 1), RATE, "PCM_16")
    assert output_format(like, 1 - 0.51 / 32768)[1] == "PCM_16"
    assert output_format(like, 1 - 0.5 / 32768)[1] == "FLOAT"


@pytest.mark.parametrize(
    ("container", "subtype", "rate", "wanted"),
    [
        ("OGG", "OPUS", 44_100, "FLOAT"),  # Opus has five rates
        ("WAV", "IMA_ADPCM", RATE, "FLOAT"),  # pads to whole blocks
        ("HTK", "PCM_16", 44_100, "PCM_16"),  # cannot hold this rate exactly
        ("SD2", "PCM_16", RATE, "PCM_16"),  # two files in one
        ("AIFF", "PCM_S8", RATE, "FLOAT"),  # pads to an even length; WAV has no signed bytes
        ("CAF", "ALAC_24", RATE, "FLOAT"),  # libsndfile writes some sounds wrong
        ("MP3", "MPEG_LAYER_I", RATE, "FLOAT"),  # can be read but not written
    ],
)
def test_formats_that_would_change_the_samples_become_wav(
    container: str, subtype: str, rate: int, wanted: str
) -> None:
    assert output_format(Audio(torch.zeros(1, 1), rate, subtype, container), 0.5) == ("WAV", wanted, ".wav")


def test_too_many_channels_for_the_container() -> None:
    like = Audio(torch.zeros(12, 1), RATE, "PCM_16", "FLAC")
    assert output_format(like, 0.5) == ("WAV", "PCM_16", ".wav")


def test_more_than_32_bits_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MOST_BYTES", 10_000)
    audio = Audio(tone(), RATE, "PCM_16")
    assert output_format(audio, 0.5) == ("RF64", "PCM_16", ".wav")
    assert output_format(replace(audio, container="AIFF"), 2.0) == ("RF64", "FLOAT", ".wav")
    assert output_format(replace(audio, container="FLAC"), 0.5) == ("FLAC", "PCM_16", ".flac")
    write_audio(tmp_path / "a.wav", audio)
    back = read_audio(tmp_path / "a.wav")
    assert back.container == "RF64"
    assert torch.equal(back.samples, quantise(audio.samples, "PCM_16"))
    with pytest.raises(OutputError, match="AIFF"):
        write_audio(tmp_path / "a.aiff", replace(audio, container="AIFF"))


@given(st.sampled_from(INTEGERS), st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=50))
def test_quantise_is_a_grid(subtype: str, values: list[float]) -> None:
    x = torch.tensor(values)
    q = quantise(x, subtype)
    steps = 2 ** (int(subtype[-2:].strip("SU_")) - 1)
    assert torch.equal(q, quantise(q, subtype))
    assert ((q.double() * steps) % 1 == 0).all()
    assert ((q - x).double().abs() * steps <= 0.5).all()


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE", "VORBIS", "ULAW"])
def test_quantise_leaves_the_rest_alone(subtype: str) -> None:
    x = noise()
    assert torch.equal(quantise(x, subtype), x)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_rounded_stems_and_their_residual_add_up_in_the_files(tmp_path: Path, subtype: str) -> None:
    mixture = quantise(noise(2, 5000), subtype)
    stems = [quantise(mixture * share, subtype) for share in (0.3141, 0.2718, 0.1414)]
    stems.append(mixture - sum(stems))
    for index, stem in enumerate(stems):
        write_audio(tmp_path / f"{index}.wav", Audio(stem, RATE, subtype))
    read = [read_audio(tmp_path / f"{index}.wav").samples for index in range(4)]
    assert torch.equal(sum(read, torch.zeros(())), mixture)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "ULAW", "FLOAT"])
def test_a_recording_that_touches_minus_one_keeps_its_format(tmp_path: Path, subtype: str) -> None:
    audio = Audio(quantise(noise(), subtype), RATE, subtype)
    assert output_format(audio, peak_of(audio.samples, subtype))[1] == subtype
    write_audio(tmp_path / "a.wav", audio)
    # The tolerance is mu-law's, which is coarse there.
    assert read_audio(tmp_path / "a.wav").samples[0, 0] == pytest.approx(-1, abs=0.03)


@given(st.sampled_from(INTEGERS), st.floats(0.875, 1.125, width=32), st.sampled_from([-1.0, 1.0]))
def test_what_peak_of_lets_through_is_never_clipped(subtype: str, peak: float, sign: float) -> None:
    x = torch.tensor([[sign * peak]])
    steps = 2 ** (int(subtype[-2:].strip("SU_")) - 1)
    if output_format(Audio(x, RATE, subtype), peak_of(x, subtype))[1] == subtype:
        assert -steps <= int(quantise(x, subtype).double() * steps) <= steps - 1


def test_peak_of_nothing_is_zero() -> None:
    assert peak_of(torch.zeros(2, 0), "PCM_16") == 0.0


def test_bytes_needed() -> None:
    assert bytes_needed(2, 1000, "PCM_24") == 6000
    assert bytes_needed(1, 1000, "FLOAT") == 4000


def test_audio_knows_its_size() -> None:
    audio = Audio(torch.zeros(2, 8000), RATE)
    assert (audio.channels, audio.length, audio.seconds) == (2, 8000, 0.5)
    assert (audio.subtype, audio.container, audio.tags) == ("FLOAT", "WAV", {})


@pytest.mark.parametrize("samples", [torch.zeros(9), torch.zeros(1, 2, 3), torch.zeros(1, 9).short()])
def test_audio_refuses_other_shapes(samples: Tensor) -> None:
    with pytest.raises(InputError, match=r"\(channel, time\)"):
        Audio(samples, RATE)
    with pytest.raises(InputError, match="positive"):
        Audio(torch.zeros(1, 1), 0)
