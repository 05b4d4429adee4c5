"""The folders that sets of a hub are unpacked into; `extras/test_hubs.py` reads real sets."""

import sys
from pathlib import Path

import pytest

from headtohead.core.errors import StorageError, UsageError
from headtohead.data import hubs
from headtohead.data.sources import Source, open_source
from quiet import silent
from stated import stated


def opened(source: str, tmp_path: Path) -> Source:
    return open_source(source, cache=tmp_path / "cache", progress=silent)


def of_a_hub(identity: str = "pets") -> hubs.HubSet:
    """A set of two classes, 20 images of 1,000 bytes."""
    pictures = [(bytes(1000), number % 2) for number in range(20)]
    return hubs.HubSet(identity, ("cat", "dog"), {"train": 20}, lambda split: pictures)


def test_a_disk_that_takes_no_more_of_a_hubs_set_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a full disk reads as a set that may not be read, and half of it stays on that disk."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(hubs, "HUBS", {"hf": lambda name, columns: of_a_hub()})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(StorageError) as caught:
            opened("hf:pets", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    told = stated(str(caught.value), "read", "cannot write", "train-0000000.bin")
    assert {"cannot write", "train-0000000.bin"} <= set(told)
    assert "read" not in told
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".bin"]
    assert len(opened("hf:pets", tmp_path).files) == 20


@pytest.mark.parametrize("source", ["tfds:~nobody-of-this-name/pets", "hf:~nobody-of-this-name#a"])
def test_a_home_that_there_is_not_is_told(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a misspelt name of a user ends in a traceback."""
    for library in ("tensorflow_datasets", "datasets"):
        monkeypatch.setitem(sys.modules, library, object())
    with pytest.raises(UsageError, match="nobody-of-this-name"):
        opened(source, tmp_path)
