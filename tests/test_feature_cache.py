"""The feature cache: computed once, whoever computes it and however often they are killed."""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from headtohead.backbones.frozen import frozen_backbone
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.config.recipe import AugmentSpec
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import DataError, UsageError
from headtohead.core.files import sha256_of
from headtohead.data.feature_cache import DONE, FEATURES, Extraction, FeatureKey, open_features
from headtohead.training.augment import Augmentation
from headtohead.training.feature_extraction import CachedFeatures
from headtohead.training.inputs import Features, without_copy

CPU = torch.device("cpu")
COUNT, SIZE, BATCH = 70, 36, 32


def frozen_spec(folder: Path) -> BackboneSpec:
    """A backbone with weights in a file, and statistics that are none of a fresh one's."""
    torch.manual_seed(3)
    network = TutorialCNN((4, 6))
    for name, buffer in network.named_buffers():
        buffer.copy_(torch.rand_like(buffer) + ("variance" in name))
    path = folder / "weights.safetensors"
    save_file(network.state_dict(), path)
    return BackboneSpec(
        options={"widths": [4, 6]}, weights=str(path), weights_sha256=sha256_of(path)
    )


def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8)


def key(spec: BackboneSpec, **changes: Any) -> FeatureKey:
    usual = FeatureKey("prepared", spec.trunk(), SIZE, "float16", 1, "cpu")
    return replace(usual, **changes)


def cached_features(cache: Path, spec: BackboneSpec, **changes: object) -> CachedFeatures:
    return CachedFeatures(key(spec, **changes), spec, cache, 0, CPU)


def computed(
    source: CachedFeatures, tell: Callable[[int, int, float], None] = lambda *_: None
) -> NDArray[np.generic]:
    source.compute(images(), tell)
    found = open_features(source.folder)
    assert found is not None
    return found


class Loud(TutorialCNN):
    """Maps beyond float16's largest number, 65,504."""

    gain = 1e6

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return super().forward(pictures) * self.gain + self.gain


class Lost(Loud):
    """Maps that are no numbers."""

    gain = float("nan")


def test_features_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    """Else every head is trained on infinity, and the cache keeps it for the next study."""
    loud = BackboneSpec(name="test_feature_cache:Loud", train="none")
    with pytest.raises(UsageError, match=r"float16, .*features: float32"):
        computed(cached_features(tmp_path, loud))
    assert open_features(cached_features(tmp_path, loud).folder) is None
    assert np.isfinite(computed(cached_features(tmp_path, loud, dtype="float32"))).all()
    lost = BackboneSpec(name="test_feature_cache:Lost", train="none")
    with pytest.raises(UsageError, match="gives NaN or infinity"):
        computed(cached_features(tmp_path, lost))


def test_features_are_what_the_backbone_makes_of_the_images(tmp_path: Path) -> None:
    """Else heads are compared on something else; mirrored views are of mirrored images."""
    spec = frozen_spec(tmp_path)
    found = computed(cached_features(tmp_path, spec, views=2, dtype="float32"))
    pixels = torch.from_numpy(images()).permute(0, 3, 1, 2).float() / 255
    backbone = frozen_backbone(spec, 0)
    with torch.no_grad():
        expected = [backbone(pixels), backbone(pixels.flip(3))]
    assert found.shape == (2, COUNT, 7, 7, 6)
    for view in (0, 1):
        kept = without_copy(np.asarray(found[view])).permute(0, 3, 1, 2)
        torch.testing.assert_close(kept, expected[view], rtol=1e-5, atol=1e-5)
    half = computed(cached_features(tmp_path, spec))
    np.testing.assert_array_equal(half[0], np.asarray(found[0]).astype(np.float16))


def test_a_killed_extraction_goes_on_and_is_bit_equal(tmp_path: Path) -> None:
    """Else minutes of work are lost, or worse, a resumed cache holds other numbers."""
    spec = frozen_spec(tmp_path)
    whole = computed(cached_features(tmp_path / "a", spec))

    def killed(done: int, total: int, left: float) -> None:
        assert total == COUNT
        raise KeyboardInterrupt

    source = cached_features(tmp_path / "b", spec)
    folder = source.folder
    with pytest.raises(KeyboardInterrupt):
        computed(source, killed)
    assert open_features(folder) is None
    assert list((folder.with_suffix(".part") / DONE).read_bytes()) == [1, 0, 0]
    said: list[int] = []
    resumed = computed(source, lambda done, total, left: said.append(done))
    assert said == [64, 70]
    np.testing.assert_array_equal(resumed, whole)
    assert sorted(p.name for p in folder.iterdir()) == [
        DONE,
        "features.npy",
        "layout",
        "manifest.json",
    ]


@pytest.mark.parametrize("late", [0.0, 0.05, 1.0])
def test_several_compute_one_cache_together(tmp_path: Path, late: float) -> None:
    """Else workers compute the same twice, late ones too, or wait for one another for ever."""
    work = key(BackboneSpec())
    folder = tmp_path / "f"
    written: list[int] = []

    def share() -> None:
        with Extraction.begin(folder, work, COUNT, (1, 1, 1), 2) as mine:
            for number in mine.to_compute():
                rows = mine.batches[number][1]
                written.append(number)
                values = np.arange(rows.start, rows.stop, dtype=np.float16)
                mine.write(number, values[:, None, None, None])
            mine.finish()

    threads = [threading.Thread(target=share) for _ in range(2)]
    threads.append(threading.Timer(late, share))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    found = open_features(folder)
    assert found is not None
    assert sorted(written) == list(range(COUNT // 2))
    np.testing.assert_array_equal(np.asarray(found).ravel(), np.arange(COUNT))
    assert not (tmp_path / "f.part").exists()


def test_locks_that_another_removes_at_that_moment_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run fails because another worker had just finished the last batch."""
    real = Path.mkdir
    told: list[Path] = []

    def mkdir(self: Path, *args: Any, **options: Any) -> None:
        if self.suffix == ".locks" and not told:
            told.append(self)
            raise FileExistsError(self)  # it was there, and is gone
        real(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    found = computed(cached_features(tmp_path, frozen_spec(tmp_path)))
    assert len(told) == 1
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"prepared": "other"},
        {"image_size": 40},
        {"dtype": "float32"},
        {"views": 2},
        {"device": "cuda"},
        {"seed": 1},
        {"backbone": {"name": "other"}},
    ],
)
def test_all_that_decides_the_numbers_is_in_the_key(changes: dict[str, object]) -> None:
    """Else a study is trained on another's features."""
    spec = BackboneSpec()
    assert key(spec, **changes).digest() != key(spec).digest()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts a file's blocks")
def test_the_room_that_features_take_is_claimed_at_the_beginning(tmp_path: Path) -> None:
    """Else a disk that another program fills meanwhile ends hours of computing."""
    wanted = key(frozen_spec(tmp_path))
    with Extraction.begin(tmp_path / "features", wanted, 1000, (64, 7, 7), BATCH):
        file = tmp_path / "features.part" / FEATURES
        assert file.stat().st_blocks * 512 >= file.stat().st_size > 2 * 1000 * 64 * 49


def test_a_damaged_cache_is_told(tmp_path: Path) -> None:
    """Else a run is trained on rubbish."""
    source = cached_features(tmp_path, frozen_spec(tmp_path))
    computed(source)
    (source.folder / "features.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match=r"features\.npy|damaged"):
        open_features(source.folder)


def test_a_flip_draws_the_mirrored_view_of_the_same_images(tmp_path: Path) -> None:
    """Else augmentation pairs one image's features with another's label."""
    views = np.arange(2 * 5, dtype=np.float16).reshape(2, 5, 1, 1, 1)
    source = Features(views, np.arange(5), CPU)
    draws = torch.full((3, 7), 0.9)
    draws[1, 3] = 0.1
    flip = Augmentation(AugmentSpec(flip=True), CPU)
    maps, labels = source.augmented(torch.tensor([4, 2, 0]), draws, flip)
    assert maps.dtype == torch.float32
    assert maps.flatten().tolist() == [4, 5 + 2, 0]
    assert labels.tolist() == [4, 2, 0]
    with pytest.raises(ValueError, match="1 views"):
        Features(views[:1], np.arange(5), CPU).augmented(torch.tensor([0]), draws[:1], flip)
