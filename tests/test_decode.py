"""Decoding is whole and upright or refused."""

import csv
import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from headtohead.data import decode as module
from headtohead.data.decode import (
    Undecodable,
    decode,
    decode_file,
    read_file,
)
from headtohead.data.resize import resize
from photographs import SHARED, needs_photographs, smooth
from stated import stated


def written(image: Image.Image, format_name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


PICTURE = Image.fromarray(smooth(19, 23))
FILES = {
    "jpeg": written(PICTURE, "JPEG"),
    "jpeg progressive": written(PICTURE, "JPEG", progressive=True),
    "jpeg cmyk": written(PICTURE.convert("CMYK"), "JPEG"),
    "png": written(PICTURE, "PNG"),
    "png palette": written(PICTURE.convert("P"), "PNG"),
    "gif": written(PICTURE, "GIF"),
    "gif animated": written(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(90)]),
    "webp": written(PICTURE, "WEBP"),
    "tiff": written(PICTURE, "TIFF"),
    "bmp": written(PICTURE, "BMP"),
    "jpeg 2000": written(PICTURE, "JPEG2000"),
    "ppm": written(PICTURE, "PPM"),
}


def reason(data: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(data)
    return caught.value.reason


def outcome(data: bytes) -> NDArray[np.uint8] | str:
    """The image, or the reason why there is none; any other exception fails the test."""
    try:
        return decode(data)
    except Undecodable as error:
        return error.reason


@pytest.mark.parametrize("name", FILES)
def test_every_usual_format_is_decoded_by_its_content(name: str) -> None:
    """A user with anything but JPEG loses images."""
    picture = decode(FILES[name])
    assert picture.shape == (19, 23, 3)
    assert picture.dtype == np.uint8
    # Palettes and JPEG at this size are rough; a wrong channel or a turn differs far more.
    assert np.abs(picture.astype(int) - np.asarray(PICTURE)).mean() < 30


@pytest.mark.parametrize("name", FILES)
def test_a_picture_cut_anywhere_is_whole_or_refused(name: str) -> None:
    """A half-grey photograph would be trained on, unseen."""
    data = FILES[name]
    whole = decode(data)
    for length in {*range(0, len(data), 13), len(data) // 2, len(data) - 1}:
        result = outcome(data[:length])
        assert isinstance(result, str) or np.array_equal(result, whole), f"{length} bytes"


@given(
    name=st.sampled_from(sorted(FILES)),
    flips=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.integers(0, 40),
)
def test_hostile_bytes_give_a_picture_or_undecodable(
    name: str, flips: list[tuple[int, int]], cut: int
) -> None:
    """One damaged file would end the preparation of all others, with a traceback."""
    data = bytearray(FILES[name])
    for place, value in flips:
        data[place % len(data)] = value
    result = outcome(bytes(data[: len(data) - cut]))
    if isinstance(result, str):
        assert 0 < len(result) < 120
        assert result.isprintable()
    else:
        assert result.ndim == 3
        assert result.shape[2] == 3
        assert result.dtype == np.uint8


@given(data=st.binary(max_size=200))
def test_any_bytes_that_are_no_picture_are_refused(data: bytes) -> None:
    """A text file in a class folder would become an example."""
    for prefix in (b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"GIF89a"):
        with pytest.raises(Undecodable):
            decode(prefix + data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty file"),
        (b"<script>alert(1)</script>", "not an image"),
        (FILES["jpeg"][:20], "truncated or damaged header (begins like a JPEG)"),
        (FILES["jpeg"][:-30], "truncated"),
        (FILES["webp"][:-30], "truncated"),
        (FILES["jpeg 2000"][:-30], "damaged (broken data stream when reading image file)"),
    ],
)
def test_the_reason_says_what_is_wrong(data: bytes, expected: str) -> None:
    """A quarantine list that cannot be acted on."""
    assert reason(data) == expected


def test_a_decompression_bomb_is_refused_by_its_header() -> None:
    """A file of a few bytes would take the machine's memory."""
    width, height = 20_000, 20_000
    assert width * height > module.MAX_PIXELS
    assert reason(f"P6 {width} {height} 255\n".encode()).startswith("too large (")
    small_enough_for_pillow = f"P6 {12_001} {10_000} 255\n".encode()
    assert "12001 × 10000" in reason(small_enough_for_pillow)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation_is_honoured_once(orientation: int, format_name: str) -> None:
    """Photographs held upright would be learnt lying on their side."""
    upright = smooth(24, 40)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation → the transpose that stores it
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"quality": 95, "subsampling": 0} if format_name == "JPEG" else {}
    picture = decode(written(stored, format_name, exif=exif, **options))
    assert picture.shape == upright.shape
    assert np.abs(picture.astype(int) - upright).mean() < 4


def test_broken_exif_is_ignored_without_a_warning() -> None:
    """A good photograph with a bad tag would be lost, or a warning shown for each."""
    data = written(PICTURE, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data).shape == (19, 23, 3)


def test_transparent_parts_lie_on_white() -> None:
    """What hides under transparency (often black) would appear in the image."""
    red_half = np.zeros((2, 2, 4), np.uint8)
    red_half[0] = (255, 0, 0, 255)
    red_half[1, 0] = (255, 0, 0, 127)
    picture = decode(written(Image.fromarray(red_half), "PNG"))
    assert picture[0].tolist() == [[255, 0, 0]] * 2
    assert picture[1].tolist() == [[255, 128, 128], [255, 255, 255]]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 10, 20, 30])
    assert decode(written(palette, "PNG", transparency=0)).tolist() == [
        [[255, 255, 255], [10, 20, 30]]
    ]
    grey_alpha = Image.merge("LA", [Image.new("L", (1, 1), 40), Image.new("L", (1, 1), 0)])
    assert decode(written(grey_alpha, "PNG")).tolist() == [[[255, 255, 255]]]


def test_deep_grey_is_scaled_by_its_range() -> None:
    """16-bit images would come out white (clipped) or black."""
    ramp = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    expected = [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]
    assert decode(written(Image.fromarray(ramp), "PNG")).tolist() == expected
    assert decode(written(Image.fromarray(ramp), "TIFF")).tolist() == expected
    assert decode(b"P2 4 1 1000 0 4 502 1000").tolist() == expected  # the file's own maximum
    assert decode(b"P2 4 1 255 0 1 128 255").tolist() == expected
    share = (ramp / 65535).astype(np.float32)
    assert decode(written(Image.fromarray(share), "TIFF")).tolist() == expected
    for integers in (ramp.astype(np.int32), ramp.astype(np.int32) // 257):
        assert decode(written(Image.fromarray(integers), "TIFF")).tolist() == expected
    stretched = (ramp.astype(np.int32) - 30_000) * 1000
    assert decode(written(Image.fromarray(stretched), "TIFF")).tolist() == expected
    with_gaps = np.array([[np.nan, -np.inf, np.inf, 0.5]], np.float32)
    assert decode(written(Image.fromarray(with_gaps), "TIFF"))[0, :, 0].tolist() == [0, 0, 255, 128]


def test_one_bit_grey_and_cmyk_give_the_colours_they_show() -> None:
    """Grey or printed photographs would come out inverted."""
    dots = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert decode(written(dots, "PNG"))[0, :, 0].tolist() == [0, 255]
    grey = Image.new("L", (8, 8), 70)
    assert np.all(decode(written(grey, "JPEG")) == 70)
    orange = Image.new("RGB", (16, 16), (250, 120, 10))
    cmyk = decode(written(orange.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk.astype(int) - (250, 120, 10)).max() < 12


def test_an_icc_profile_is_honoured_and_a_broken_one_ignored() -> None:
    """Colours of wide-gamut cameras would differ from the same scene in sRGB."""
    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = decode(FILES["png"])
    for unfitting in (lab_profile, srgb_profile, b"no profile", srgb_profile[:100]):
        assert np.array_equal(decode(written(PICTURE, "PNG", icc_profile=unfitting)), plain)
    # The same profile with red and blue exchanged: honoured, it exchanges the channels.
    tags = {name: srgb_profile.index(name) for name in (b"rXYZ", b"bXYZ")}
    swapped = bytearray(srgb_profile.replace(b"s\0R\0G\0B", b"s\0w\0a\0p"))
    swapped[tags[b"rXYZ"] : tags[b"rXYZ"] + 4] = b"bXYZ"
    swapped[tags[b"bXYZ"] : tags[b"bXYZ"] + 4] = b"rXYZ"
    exchanged = decode(written(PICTURE, "PNG", icc_profile=bytes(swapped)))
    assert np.abs(exchanged.astype(int) - plain[..., ::-1]).max() <= 2


def test_files_that_cannot_be_read_are_undecodable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One vanished or unreadable file would stop everything; a named pipe would wait for ever."""
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "big.png").write_bytes(FILES["png"])
    for name, expected in [
        ("missing.jpg", "gone"),
        ("gone.jpg", "gone"),
        ("pipe.jpg", "not a regular file"),
        (".", "not a regular file"),
    ]:
        with pytest.raises(Undecodable, match=expected):
            decode_file(tmp_path / name)
    assert np.array_equal(decode_file(tmp_path / "big.png"), decode(FILES["png"]))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", len(FILES["png"]) - 1)
    with pytest.raises(Undecodable, match="too large"):
        read_file(tmp_path / "big.png")


@needs_photographs
def test_every_odd_picture_is_decoded_or_refused_for_the_right_reason() -> None:
    """Files that every large collection holds would be lost or would end the run."""
    refused = {}
    decoded = []
    with (SHARED / "odd_images.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    for name in names:
        result = outcome(read_file(SHARED / "odd_images" / name))
        if isinstance(result, str):
            refused[name] = result
        else:
            decoded.append(name)
    for name, form in (("made_header_only.jpg", "JPEG"), ("pillow_broken.png", "PNG")):
        assert stated(refused.pop(name), "damaged header", form) == ["damaged header", form]
    assert refused == {
        "made_truncated_half_cat.jpg": "truncated",
        "pillow_truncated_jpeg.jpg": "truncated",
    }
    assert len(decoded) == 21


@needs_photographs
def test_photographs_rotated_by_exif_look_alike() -> None:
    """Real cameras' orientations would not be understood, though made ones are."""
    files = sorted((SHARED / "odd_images").glob("exif_orientation_*"))
    assert len(files) == 5
    pictures = [resize(decode_file(file), (60, 90), "antialias").astype(int) for file in files]
    for picture in pictures[1:]:
        # They differ by the number drawn in the middle and by JPEG alone.
        assert np.abs(picture - pictures[0]).mean() < 6
        assert np.abs(picture[::-1] - pictures[0]).mean() > 30


@needs_photographs
def test_16_bit_quantisation_tables_decode_as_the_same_picture() -> None:
    """Such JPEGs would come out as noise."""
    folder = SHARED / "odd_images"
    jpeg = decode_file(folder / "pillow_hopper_16bit_qtables.jpg").astype(int)
    assert np.abs(jpeg - decode_file(folder / "pillow_hopper.webp")).mean() < 12


@needs_photographs
def test_all_original_photographs_decode() -> None:
    """The usual filter on the JFIF marker drops 22 of these and the GIF and BMP named .jpg."""
    files = sorted((SHARED / "petimages_sample").glob("*/*"))
    shapes = [decode_file(file).shape for file in files]
    assert len(shapes) == 400
    assert {shape[2] for shape in shapes} == {3}
