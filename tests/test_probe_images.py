"""The images that probes look at, cut from the originals, and their masks."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headtohead.config.images import PicturesSpec
from headtohead.core.errors import DataError, UsageError
from headtohead.data.decode import decode_file
from headtohead.data.pipeline import look_at
from headtohead.data.prepared import PreparedSet
from headtohead.data.resize import resize
from headtohead.data.sources import Source
from headtohead.probes import probe_images as probe
from ledgers import study_ledger
from photographs import write_pictures

PETS = Path(__file__).parents[2] / "shared/data"
SIDE = 24


def nothing(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def prepare(
    folder: Path, cache: Path, side: int = SIDE, limit: int | None = None
) -> tuple[Source, PreparedSet]:
    spec = PicturesSpec(image_size=side, limit=limit)
    return look_at(str(folder), spec, cache=cache, progress=nothing)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, PreparedSet]:
    folder = write_pictures(tmp_path_factory.mktemp("source"), {"cat": 9, "dog": 5})
    return prepare(folder, tmp_path_factory.mktemp("cache"))


def test_classes_take_turns(prepared: tuple[Source, PreparedSet]) -> None:
    """Else the first dozen in a figure are a dozen cats."""
    _, pictures = prepared
    rows = probe.probe_rows(pictures, np.arange(14), 128)
    assert sorted(rows) == list(range(14))
    assert pictures.labels[rows[:10]].tolist() == [0, 1] * 5


def test_the_choice_hangs_on_names_alone(prepared: tuple[Source, PreparedSet]) -> None:
    """Else heads and seeds are looked at on different images."""
    _, pictures = prepared
    everything = probe.probe_rows(pictures, np.arange(14), 128)
    few = np.array([1, 2, 4, 7, 9, 12])
    kept = [row for row in everything if pictures.labels[row] == 0 and row in few]
    found = probe.probe_rows(pictures, few, 128)
    assert [row for row in found if pictures.labels[row] == 0] == kept
    assert probe.probe_rows(pictures, np.arange(14), 4).tolist() == everything[:4].tolist()


def test_large_pictures_do_not_fill_the_disk() -> None:
    """Else a study of large photographs keeps a gigabyte for its probes."""
    assert probe.most_of(124) == 96
    assert probe.most_of(634) == 53
    assert probe.most_of(1270) == 16


def test_wide_pictures_come_from_the_originals(prepared: tuple[Source, PreparedSet]) -> None:
    """Else windows move over images that were shrunk and blown up again, or over borders."""
    source, pictures = prepared
    rows = np.array([5, 0])
    found = probe.collect_images(source, pictures, rows, margin=8, progress=nothing)
    assert found.wide.shape == (2, SIDE + 16, SIDE + 16, 3)
    np.testing.assert_array_equal(found.pixels, pictures.images[rows])
    for index, row in enumerate(rows):
        original = decode_file(source.root / pictures.names[row])
        wanted = resize(original, (SIDE + 16, SIDE + 16), pictures.resize)
        np.testing.assert_array_equal(found.wide[index], wanted)


def test_an_original_that_is_gone_is_named(
    prepared: tuple[Source, PreparedSet], tmp_path: Path
) -> None:
    """Else the study stops at a file with a traceback."""
    source, pictures = prepared
    elsewhere = Source(tmp_path, source.classes, ())
    with pytest.raises(DataError, match=r"cat-000\.jpg cannot be read"):
        probe.collect_images(elsewhere, pictures, np.array([0]), margin=8, progress=nothing)


def test_windows_reach_a_stride_in_every_direction() -> None:
    """Else single-pixel steps run out of image."""
    assert probe.margin_of(100, 8) == 12
    assert probe.margin_of(48, 8) == 8


def write_mask(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.mark.parametrize(
    ("inside", "outside"), [(1, 2), (255, 0), (1, 0), (17, 0)], ids=["trimap", "255", "1", "17"]
)
def test_masks_of_every_convention_mean_the_same(
    prepared: tuple[Source, PreparedSet], tmp_path: Path, inside: int, outside: int
) -> None:
    """Else object and background are swapped, and every score is upside down."""
    values = np.full((40, 40), outside)
    values[:20] = inside
    write_mask(tmp_path / "cat/cat-000.png", values)
    found = probe.collect_masks(tmp_path, prepared[1], np.array([0, 1]))
    assert (found.masks[0, :12] == 1).all()
    assert (found.masks[0, 12:] == 0).all()
    assert (found.masks[1] == 255).all()


def test_a_cut_out_is_object_where_it_is_not_transparent(tmp_path: Path) -> None:
    """Else a black dog is background, and the colours under what is transparent are object."""
    pixels = np.full((40, 40, 4), 90, np.uint8)
    pixels[..., 3] = 0
    pixels[:20] = (0, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    mask = probe.read_mask(tmp_path / "cut.png", SIDE)
    assert (mask[:12] == 1).all()
    assert (mask[12:] == 0).all()
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "whole.png")
    mask = probe.read_mask(tmp_path / "whole.png", SIDE)
    assert (mask[:12] == 0).all()
    assert (mask[12:] == 1).all()


def test_a_trimaps_border_is_unknown(prepared: tuple[Source, PreparedSet], tmp_path: Path) -> None:
    """Else the border, half of it animal, counts as background."""
    values = np.full((48, 48), 2)
    values[:16], values[16:32] = 1, 3
    write_mask(tmp_path / "cat-000.png", values)  # all masks in one folder
    mask = probe.collect_masks(tmp_path, prepared[1], np.array([0])).masks[0]
    assert (mask[:8] == 1).all()
    assert (mask[8:16] == 255).all()
    assert (mask[16:] == 0).all()


def test_mistakes_with_masks_are_named(
    prepared: tuple[Source, PreparedSet], tmp_path: Path
) -> None:
    """Else a wrong folder passes unnoticed, or ends in a traceback."""
    rows = np.array([0])
    with pytest.raises(UsageError, match="nowhere is not a folder"):
        probe.collect_masks(tmp_path / "nowhere", prepared[1], rows)
    with pytest.raises(UsageError, match=r"no mask .* 1 .*cat/cat-000\.png"):
        probe.collect_masks(tmp_path, prepared[1], rows)
    (tmp_path / "cat-000.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"cat-000\.png cannot be read"):
        probe.collect_masks(tmp_path, prepared[1], rows)


def png(header: bytes) -> bytes:
    """A PNG with this header and no pixel."""
    chunks = (b"IHDR" + header, b"IDAT")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


GIGAPIXELS = png(struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0))


@pytest.mark.parametrize("content", [GIGAPIXELS, png(b"")], ids=["large", "cut"])
def test_a_mask_that_is_damaged_is_named(tmp_path: Path, content: bytes) -> None:
    """Else one damaged mask ends a study in a traceback, which does not say which."""
    (tmp_path / "cat-000.png").write_bytes(content)
    with pytest.raises(DataError, match=r"cat-000\.png"):
        probe.read_mask(tmp_path / "cat-000.png", 24)


def test_a_mask_that_may_be_of_two_images_is_refused(
    prepared: tuple[Source, PreparedSet], tmp_path: Path
) -> None:
    """Else the maps of one image are scored against the animal of another."""
    pictures = prepared[1]
    names = tuple(name.replace("dog-", "cat-") for name in pictures.names)
    twins = replace(pictures, names=names)
    row = np.array([0])
    write_mask(tmp_path / "cat-000.png", np.full((40, 40), 1))
    with pytest.raises(DataError, match=r"cat-000\.png may be of cat/cat-000.* dog/cat-000"):
        probe.collect_masks(tmp_path, twins, row)
    write_mask(tmp_path / "cat/cat-000.png", np.full((40, 40), 1))
    assert (probe.collect_masks(tmp_path, twins, row).masks == 1).all()


def test_a_mask_that_lies_on_its_side_is_refused(
    prepared: tuple[Source, PreparedSet], tmp_path: Path
) -> None:
    """A mask of the pixels as stored, of a photograph that Exif turns: the object is elsewhere."""
    upright = replace(prepared[1], original_sizes=np.array([[300, 200]] * len(prepared[1].names)))
    row = np.array([0])
    write_mask(tmp_path / "cat-000.png", np.full((200, 300), 1))
    with pytest.raises(DataError, match=r"300 × 200 .* 200 × 300"):
        probe.collect_masks(tmp_path, upright, row)
    for whole in ((300, 200), (150, 100), (64, 64), (299, 201)):
        write_mask(tmp_path / "cat-000.png", np.full(whole, 1))
        assert (probe.collect_masks(tmp_path, upright, row).masks == 1).all()


def test_masks_are_kept_with_the_images(
    prepared: tuple[Source, PreparedSet], tmp_path: Path
) -> None:
    """Else class maps are scored without the masks that the user gave."""
    for number in range(9):
        write_mask(tmp_path / f"cat/cat-00{number}.png", np.full((40, 40), 1))
    ledger = study_ledger(tmp_path / "out", data="photographs")
    source, pictures = prepared

    def keep(masks: Path | None) -> bool:
        probe.keep_images(
            ledger,
            {0},
            source=source,
            prepared=pictures,
            margin=3,
            masks=masks,
            progress=nothing,
        )
        place = probe.masks_path(ledger.out, 0)
        return probe.read_masks(place, ledger.file.digest) is not None

    assert [keep(None), keep(tmp_path), keep(None)] == [False, True, True]


def test_a_folder_without_any_mask_is_refused_before_the_work(tmp_path: Path) -> None:
    """Else a wrong folder is noticed when everything is trained."""
    (tmp_path / "cat").mkdir()
    with pytest.raises(UsageError, match="no mask of any image"):
        probe.check_masks_folder(tmp_path, ["cat/1.jpg", "dog/2.jpg"])
    write_mask(tmp_path / "cat/1.png", np.full((40, 40), 1))
    probe.check_masks_folder(tmp_path, ["cat/1.jpg", "dog/2.jpg"])


@pytest.mark.skipif(not PETS.is_dir(), reason="needs the photographs with trimaps")
def test_real_trimaps_fit_their_photographs(tmp_path: Path) -> None:
    """Else claim 3 is measured against masks that are empty or not of these images."""
    _, pictures = prepare(PETS / "pets_with_masks", tmp_path, side=48, limit=30)
    rows = probe.probe_rows(pictures, np.arange(len(pictures.names)), 128)
    masks = probe.collect_masks(PETS / "pets_with_masks_trimaps", pictures, rows).masks
    assert len(masks) == 30
    shares = [(masks == value).mean(axis=(1, 2)) for value in (1, 0)]
    assert all((share > 0).all() for share in shares)
    assert 0.2 < shares[0].mean() < 0.5  # animals fill about a third of these photographs
