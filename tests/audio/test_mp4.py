"""AAC and ALAC in MP4: length, samples, tags, channels and rate there and back; what cannot be read or written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from audiofix.audio import mp4
from audiofix.audio.files import output_format, quantise, read_audio, write_audio
from audiofix.errors import InputError, OutputError
from audiofix.types import Audio
from tests.audio.signals import RATE, TAGS, leftovers, noise, tone

av = pytest.importorskip("av", reason="PyAV is an extra: audiofix[m4a]")


def tones(channels: int, length: int, rate: int) -> torch.Tensor:
    """A tone a channel, each of its own, so that none can be taken for another, and no end is silent."""
    time = torch.arange(length) / rate
    return torch.stack([0.4 * torch.cos(2 * torch.pi * (440 + 90 * c) * time + c) for c in range(channels)])


# Around a frame of AAC (1024) and of ALAC (4096), where padding and delay would show.
@pytest.mark.parametrize("length", [1, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 11127])
@pytest.mark.parametrize("subtype", ["AAC", "ALAC_16", "ALAC_24"])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (16000, 1)])
def test_the_length_is_the_same_to_the_sample(
    tmp_path: Path, length: int, subtype: str, rate: int, channels: int
) -> None:
    samples = quantise(tones(channels, length, rate), subtype)
    write_audio(tmp_path / "a.m4a", Audio(samples, rate, subtype, "MP4"))
    back = read_audio(tmp_path / "a.m4a")
    assert (back.sample_rate, back.subtype, back.container) == (rate, subtype, "MP4")
    assert back.samples.shape == samples.shape
    if subtype != "AAC":
        assert torch.equal(back.samples, samples)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_aac_has_no_delay(tmp_path: Path, rate: int) -> None:
    samples = tones(2, rate, rate)
    write_audio(tmp_path / "a.m4a", Audio(samples, rate, "AAC", "MP4"))
    back, inner = read_audio(tmp_path / "a.m4a").samples, slice(2048, -2048)
    error = (back - samples)[:, inner].square().mean()
    late = (back.roll(1, dims=1) - samples)[:, inner].square().mean()
    assert error < 1e-3 * samples.square().mean()
    assert late > 3 * error  # a broken twin: one sample off


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("subtype", ["AAC", "ALAC_24"])
def test_channels_stay_in_their_order(tmp_path: Path, channels: int, subtype: str) -> None:
    samples = quantise(tones(channels, 9000, 48000), subtype)
    like = Audio(samples, 48000, subtype, "MP4")
    assert output_format(like, 0.5) == ("MP4", subtype, ".m4a")
    write_audio(tmp_path / "a.m4a", like)
    back = read_audio(tmp_path / "a.m4a").samples
    # The fourth of six is the one of low frequencies, where AAC keeps no more than those.
    for channel in [c for c in range(channels) if (channels, c) != (6, 3) or subtype != "AAC"]:
        match = (back[channel] * samples).sum(dim=1).abs()
        assert match.argmax() == channel


def test_tags_come_back(tmp_path: Path) -> None:
    tags = {**TAGS, "album": "Nights", "tracknumber": "3/9", "album_artist": "All", "composer": "Someone"}
    for subtype in ("AAC", "ALAC_16"):
        write_audio(tmp_path / "a.m4a", Audio(tone(), RATE, subtype, "MP4", tags))
        assert read_audio(tmp_path / "a.m4a").tags == tags
    # What wav has no place for is left out there, as for other containers.
    write_audio(tmp_path / "a.wav", Audio(tone(), RATE, "PCM_16", "WAV", tags))
    assert read_audio(tmp_path / "a.wav").tags["title"] == TAGS["title"]


def test_aac_holds_more_than_full_scale_and_integers_do_not(tmp_path: Path) -> None:
    assert output_format(Audio(tone(), RATE, "AAC", "MP4"), 1.5) == ("MP4", "AAC", ".m4a")
    assert output_format(Audio(tone(), RATE, "ALAC_16", "MP4"), 1.5) == ("WAV", "FLOAT", ".wav")
    loud = tone(peak=1.5)
    write_audio(tmp_path / "a.m4a", Audio(loud, RATE, "AAC", "MP4"))
    assert read_audio(tmp_path / "a.m4a").samples.abs().max() > 1.3


@pytest.mark.parametrize(
    ("subtype", "rate", "channels"), [("AAC", 11127, 1), ("AAC", RATE, 9), ("HE", RATE, 1)]
)
def test_what_mp4_does_not_take_becomes_wav(tmp_path: Path, subtype: str, rate: int, channels: int) -> None:
    audio = Audio(torch.zeros(channels, 99), rate, subtype, "MP4")
    assert output_format(audio, 0.5) == ("WAV", "FLOAT", ".wav")
    with pytest.raises(OutputError, match="write WAV FLOAT"):
        write_audio(tmp_path / "a.m4a", audio)
    assert leftovers(tmp_path) == []


def test_integers_of_any_value_survive(tmp_path: Path) -> None:
    for subtype in ("ALAC_16", "ALAC_24"):
        samples = quantise(noise(2, 9001), subtype)
        write_audio(tmp_path / "a.m4a", Audio(samples, RATE, subtype, "MP4"))
        assert torch.equal(read_audio(tmp_path / "a.m4a").samples, samples)


def test_the_same_samples_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.m4a", "b.m4a"):
        write_audio(tmp_path / name, Audio(tone(), RATE, "AAC", "MP4", TAGS))
    assert (tmp_path / "a.m4a").read_bytes() == (tmp_path / "b.m4a").read_bytes()


def test_an_edit_counted_in_milliseconds_is_not_believed_to_the_sample(tmp_path: Path) -> None:
    """As most encoders write it: the last packet is as long as what is left, the edit rounded."""
    x = tones(1, 44099, 44100)
    with av.open(str(tmp_path / "a.m4a"), "w", format="ipod") as file:
        stream = file.add_stream("aac", rate=44100, layout="mono")
        stream.codec_context.open()
        for start in range(0, 44099, 1024):
            frame = av.AudioFrame.from_ndarray(
                x[:, start : start + 1024].numpy(), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert read_audio(tmp_path / "a.m4a").length == 44099


@pytest.mark.parametrize(
    ("decoded", "packets", "edit", "end"),
    [
        (2048, 2000, 2000, 2000),  # the last packet is short: exact
        (2048, 2000, 1970, 2000),  # and an edit in milliseconds
        (2048, 2048, 1900, 1900),  # whole packets: the edit says what is padding
        (2048, 2048, 2040, 2048),  # less than its rounding
        (2048, 2048, None, 2048),  # none
        (2048, 2048, 2060, 2048),  # rounded up
    ],
)
def test_where_a_recording_ends(decoded: int, packets: int, edit: int | None, end: int) -> None:
    def seconds(n: int | None) -> Fraction | None:
        return None if n is None else Fraction(n, 44100)

    assert mp4._end(seconds(decoded), seconds(packets), seconds(edit)) == seconds(end)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    write_audio(path, Audio(noise(1, 60000), RATE, "AAC", "MP4"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.m4a cannot be read as audio"):
        read_audio(path)
    path.write_bytes(whole[:8])
    with pytest.raises(InputError, match=r"a\.m4a cannot be read as audio"):
        read_audio(path)


def test_what_holds_no_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        file.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds no audio"):
        read_audio(path)


def test_without_pyav_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.m4a"
    audio = Audio(tone(), RATE, "AAC", "MP4")
    write_audio(path, audio)
    before = path.read_bytes()
    monkeypatch.setattr(mp4, "_library", lambda: None)
    for refused in (lambda: read_audio(path), lambda: write_audio(path, audio)):
        with pytest.raises(
            (InputError, OutputError), match=r"a\.m4a .*pip install 'audiofix\[m4a\]'"
        ) as raised:
            refused()
        assert len(str(raised.value).splitlines()) == 1
    assert output_format(audio, 0.5) == ("WAV", "FLOAT", ".wav")
    assert path.read_bytes() == before
    assert leftovers(tmp_path) == ["a.m4a"]
