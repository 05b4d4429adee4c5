"""Checkpoints: whole, checked, and nothing else."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headtohead.training import checkpoint

TENSORS = {
    "weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2),
    "step": torch.tensor(3.0),
    "empty": torch.zeros(0),
}


def test_what_is_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", TENSORS, key="k", epoch=4, best=None)
    tensors, metadata = checkpoint.read(tmp_path / "a.safetensors")
    assert metadata == {"key": "k", "epoch": 4, "best": None}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_channels_last_weights_come_back_equal(tmp_path: Path) -> None:
    weight = torch.rand(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    checkpoint.save(tmp_path / "a.safetensors", {"w": weight})
    assert torch.equal(checkpoint.read(tmp_path / "a.safetensors")[0]["w"], weight)


def test_a_missing_file_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoint.read(tmp_path / "none.safetensors")


@given(st.data())
def test_no_damage_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A weight altered on disk must never be trained on or shipped."""
    path = tmp_path_factory.mktemp("damage") / "a.safetensors"
    checkpoint.save(path, TENSORS, epoch=1)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut short"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        tensors, metadata = checkpoint.read(path)
    except checkpoint.DamagedCheckpointError:
        return
    # A flip in the header's padding may change nothing at all.
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert metadata == {"epoch": 1}


def test_tied_weights_are_written_once_and_come_back_under_both_names(tmp_path: Path) -> None:
    """Else a head that uses one layer twice trains an epoch and cannot be saved."""
    layer = torch.rand(50, 40)
    tensors = {"linear": layer, "again": layer, "flat": layer.view(-1), "row": layer[3]}
    checkpoint.save(tmp_path / "a.safetensors", tensors, key="k")
    found, metadata = checkpoint.read(tmp_path / "a.safetensors")
    assert metadata == {"key": "k"}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    twice = {"linear": layer, "again": layer}
    checkpoint.save(tmp_path / "twice.safetensors", twice)
    assert layer.nbytes < (tmp_path / "twice.safetensors").stat().st_size < 1.2 * layer.nbytes
