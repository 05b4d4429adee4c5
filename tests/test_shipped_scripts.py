"""The scripts beside exported models: they see a photograph as training did, or say they cannot."""

import itertools
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from headtohead.data.decode import decode_file
from headtohead.deploy.examples.photographs import photographs, prepared, upright
from headtohead.deploy.image_files import read_one
from headtohead.deploy.shipped_scripts import script_alone

NAMES = ("run_onnx.py", "run_torch.py", "run_keras.py")


def exchanged() -> bytes:
    """A colour profile that is sRGB's with red and blue exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, blue = srgb.index(b"rXYZ"), srgb.index(b"bXYZ")
    found = bytearray(srgb.replace(b"s\0R\0G\0B", b"s\0w\0a\0p"))
    found[red : red + 4], found[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(found)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs as people have them: of odd sizes, turned, grey, CMYK, transparent, profiled."""
    place = tmp_path_factory.mktemp("odd")
    noise = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((131, 87), Image.Resampling.BICUBIC)
    for orientation in (1, 3, 6, 7):
        image.save(place / f"turned-{orientation}.jpg", exif=turned(orientation))
    for name, size in {"tall": (7, 301), "flat": (301, 3), "dot": (1, 1), "same": (32, 32)}.items():
        image.resize(size).save(place / f"{name}.png")
    image.convert("L").save(place / "grey.jpg")
    image.convert("CMYK").save(place / "cmyk.jpg")
    image.convert("P").save(place / "palette.png")
    image.convert("P").save(place / "clear-palette.png", transparency=3)
    cover = Image.linear_gradient("L").resize(image.size)
    for mode in ("RGBA", "LA"):
        layered = image.convert(mode)
        layered.putalpha(cover)
        layered.save(place / f"clear-{mode}.png", exif=turned(6))
    layered = image.convert("RGBA")
    layered.putalpha(cover)
    layered.save(place / "clear-profiled.png", icc_profile=exchanged())
    profiles = {"exchanged": exchanged(), "broken": b"none", "short": exchanged()[:99]}
    for name, profile in profiles.items():
        image.save(place / f"profile-{name}.png", icc_profile=profile)
    return place


def test_a_photograph_is_read_as_training_reads_it(folder: Path) -> None:
    """Else a phone's colours or a transparent background give another answer where it serves."""
    paths = sorted(folder.iterdir())
    assert len(paths) == 18
    for path in paths:
        assert np.array_equal(np.asarray(upright(str(path))), decode_file(path)), path.name


@pytest.mark.parametrize("method", ["antialias", "bilinear"])
def test_a_photograph_is_resized_as_the_study_resized(method: str, folder: Path) -> None:
    """Else a study of the article's, whose way is `bilinear`, answers otherwise where it serves."""
    for path in folder.iterdir():
        pixels = prepared(upright(str(path)), 32, method)
        np.testing.assert_array_equal(pixels, read_one(path, side=32, method=method).pixels)


def test_what_cannot_be_read_is_told_and_costs_no_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else one broken file ends the list, or 16 bits of grey are taken for white."""
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    Image.fromarray(np.full((9, 9), 30_000, np.uint16)).save(tmp_path / "deep.png")
    lost = [str(tmp_path / name) for name in ("broken.jpg", "deep.png", "gone.jpg")]
    good = str(folder / "grey.jpg")
    reading = photographs((*lost, good, good))
    assert [path for path, _ in itertools.islice(reading, 2)] == [good, good]
    with pytest.raises(SystemExit, match="3 of 5"):
        next(reading)
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in told] == [f"skipped {path}" for path in lost]
    assert "8" in told[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_is_one_file_and_says_how_it_is_called(tmp_path: Path, name: str) -> None:
    """Else it needs headtohead where it serves, or a first try ends in a traceback."""
    script = tmp_path / name
    script.write_text(script_alone(name), encoding="utf-8")
    assert not re.search(r"^\s*(from|import) headtohead", script_alone(name), re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-I", str(script), "model"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PHOTOGRAPH" in done.stderr
    assert "Traceback" not in done.stderr
    found = runpy.run_path(str(script))
    assert {"main", "photographs", "prepared", "upright"} <= found.keys()
