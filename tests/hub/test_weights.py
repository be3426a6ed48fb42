from __future__ import annotations

import hashlib
import io
import pickle

import pytest
import torch

from audiofix.errors import ModelError
from audiofix.hub.weights import load_weights, save_weights, sha256_of


@pytest.fixture
def state(generator):
    return {
        "matrix": torch.randn(4, 6, generator=generator).t(),
        "vector": torch.randn(64, generator=generator),
        "long": torch.randn(65, generator=generator),
        "count": torch.tensor(3),
    }


def test_matrices_lose_half_their_bits_and_short_vectors_none(state, tmp_path):
    sha = save_weights(tmp_path / "w.safetensors", state)
    assert sha == sha256_of(tmp_path / "w.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
    back = load_weights(tmp_path / "w.safetensors", sha)
    assert {k: v.dtype for k, v in back.items()} == {
        "matrix": torch.float32,
        "vector": torch.float32,
        "long": torch.float32,
        "count": torch.int64,
    }
    assert torch.equal(back["vector"], state["vector"])
    for name in ("matrix", "long"):
        assert torch.equal(back[name], state[name].half().float())
    assert back["count"] == 3


def test_tied_weights_are_written(tmp_path):
    shared = torch.ones(2, 2)
    sha = save_weights(tmp_path / "w.safetensors", {"a": shared, "b": shared})
    assert torch.equal(load_weights(tmp_path / "w.safetensors", sha)["b"], shared)


def test_exact_weights_lose_nothing(state, tmp_path):
    sha = save_weights(tmp_path / "w.safetensors", state, exact=True)
    back = load_weights(tmp_path / "w.safetensors", sha)
    for name, value in state.items():
        assert torch.equal(back[name], value.float() if value.is_floating_point() else value)


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_what_float16_cannot_hold_is_refused(tmp_path, value):
    with pytest.raises(ModelError, match="matrix: expected values within float16"):
        save_weights(tmp_path / "w.safetensors", {"matrix": torch.full((2, 2), value)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 4, 9, 60, -1])
def test_a_cut_file_is_noticed_by_its_hash_and_by_its_content(state, tmp_path, keep):
    path = tmp_path / "w.safetensors"
    sha = save_weights(path, state)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="sha256: expected"):
        load_weights(path, sha)
    with pytest.raises(ModelError, match="do not parse"):
        load_weights(path, sha256_of(path))


def test_nothing_is_unpickled(tmp_path):
    """A pickle with the right hash is refused as not parsing; its payload never runs."""
    evil = tmp_path / "evil"

    class Payload:
        def __reduce__(self):
            return evil.touch, ()

    for data in (pickle.dumps(Payload()), _torch_file(Payload())):
        path = tmp_path / "w.safetensors"
        path.write_bytes(data)
        with pytest.raises(ModelError, match="do not parse"):
            load_weights(path, hashlib.sha256(data).hexdigest())
        assert not evil.exists()


def _torch_file(value: object) -> bytes:
    memory = io.BytesIO()
    torch.save(value, memory)
    return memory.getvalue()


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelError, match="file: expected a weights file"):
            load_weights(path, "")
        with pytest.raises(ModelError, match="file: expected a weights file"):
            sha256_of(path)
