"""What a file is called that is not read: the reason is true, and says what helps."""

import io
import sys
from types import SimpleNamespace

import pytest
from PIL import Image, features

from headtohead.data import formats
from headtohead.data.decode import DECODER, Undecodable, decode
from headtohead.data.formats import decoder_identity, formats_of, reads_avif, unread
from stated import stated

HEIC = b"\0\0\0\x18ftypheic" + bytes(40)


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), (200, 10, 10)).save(file, kind)
    return file.getvalue()


PSD = b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x28\0\0\0\x3c\0\x08\0\3" + bytes(40)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (PSD, "PSD"),
        (saved("TGA"), "TGA"),
        (saved("DDS"), "DDS"),
        (saved("EPS"), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "MP4 video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "AVI or WAV"),
    ],
)
def test_a_format_that_is_not_accepted_is_named(data: bytes, name: str) -> None:
    """A user would search for damage in a sound file that only needs to be saved otherwise."""
    assert unread(data).endswith(f"not accepted: {name}")
    with pytest.raises(Undecodable, match=f"not accepted: {name}"):
        decode(data)


def test_what_is_no_picture_is_called_so() -> None:
    """Else text would be called a format."""
    assert unread(b"<html>404</html>") == "not an image"
    for data, name in ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"RIFF\0\0", "WebP")):
        assert stated(unread(data), "damaged header", name) == ["damaged header", name]


def test_a_pointer_of_git_lfs_says_how_to_get_the_image() -> None:
    """Else a whole clone of pointers is a thousand files that are "not an image"."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n"
    with pytest.raises(Undecodable, match="git lfs pull"):
        decode(pointer)


@pytest.fixture
def no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(formats, "_register_heif", formats._register_heif.__wrapped__)


@pytest.mark.usefixtures("no_plugin")
def test_heic_names_the_extra_that_helps() -> None:
    """The owner of a telephone would not know how to use its photographs."""
    with pytest.raises(Undecodable, match=r"pip install 'headtohead\[heif\]'"):
        decode(HEIC)


def test_heic_is_read_by_the_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: photographs of telephones, although the plug-in was installed."""
    registered: list[str] = []

    def register_heif_opener() -> None:
        registered.append("HEIF")
        monkeypatch.setitem(Image.OPEN, "HEIF", Image.OPEN["PNG"])

    plugin = SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    monkeypatch.setattr(formats, "_register_heif", formats._register_heif.__wrapped__)
    Image.init()
    assert "HEIF" in formats_of(HEIC)
    assert registered == ["HEIF"]


def test_a_prepared_set_knows_whether_the_plug_in_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Photographs quarantined before it was installed would stay so; or every digest would move."""
    monkeypatch.setattr(formats, "heif_version", lambda: None)
    assert decoder_identity(DECODER) == DECODER
    monkeypatch.setattr(formats, "heif_version", lambda: "1.2.3")
    assert decoder_identity(DECODER) == f"{DECODER} pillow-heif-1.2.3"


def test_avif_is_read_or_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AVIF, or one under a general brand, would be taken for a damaged file or a HEIC."""
    general = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(40)
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    assert not reads_avif()
    for data in (b"\0\0\0\x18ftypavif" + bytes(40), general):
        assert stated(unread(data), "AVIF", "HEIC", "Pillow")[:2] == ["AVIF", "Pillow"]
    monkeypatch.undo()
    if reads_avif():
        assert decode(saved("AVIF")).shape == (10, 20, 3)
