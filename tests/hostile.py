"""Hostile and broken inputs for a finished study's commands, each with how it ends.

python tests/hostile.py          prints the list: input, exit code, first line of the message
"""

import io
import os
import pickle
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from deployed import Trained, trained_study
from headtohead.cli import main


@dataclass(frozen=True)
class Case:
    """An input in words, the exit code that it must end in, and what makes it.

    `arguments` are made of the trained study and an empty folder.
    """

    code: int
    name: str
    arguments: Callable[[Trained, Path], list[str]]
    given: str | None = None

    def run(self, trained: Trained, folder: Path) -> Result:
        """The command's end, in this process."""
        found = [str(argument) for argument in self.arguments(trained, folder)]
        return CliRunner().invoke(main, found, input=self.given)


def _jpeg(side: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, format="JPEG")
    return buffer.getvalue()


def _bomb() -> bytes:
    """A PNG whose header promises 40,000 × 40,000 pixels."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99_999))), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


CONTENTS: dict[str, Callable[[], bytes]] = {
    "an empty file": lambda: b"",
    "text": lambda: b"no picture",
    "zeros": lambda: bytes(999),
    "random bytes": lambda: os.urandom(4096),
    "a JPEG's first three bytes": lambda: b"\xff\xd8\xff",
    "a JPEG cut short": lambda: _jpeg()[:-99],
    "a PNG's signature alone": lambda: b"\x89PNG\r\n\x1a\n",
    "a PNG of 1,600 megapixels in 200 bytes": _bomb,
    "a GIF's signature alone": lambda: b"GIF89a",
    "a WebP of 4 GB by its header": lambda: b"RIFF\xff\xff\xff\xffWEBP",
    "a TIFF's signature alone": lambda: b"II*\0",
    "a BMP's signature alone": lambda: b"BM",
    "a PDF": lambda: b"%PDF-1.7",
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF",
    "SVG with a script": lambda: b"<svg onload='alert(1)'/>",
    "HTML": lambda: b"<!doctype html>",
    "an empty zip's first bytes": lambda: b"PK\x03\x04",
    "a program (ELF)": lambda: b"\x7fELF",
    "a pickle that would run code": lambda: pickle.dumps(_Runs()),
}
"""Of a file named .jpg that predict is given."""


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hostile-code-ran",)


def _predict_file(content: Callable[[], bytes]) -> Callable[[Trained, Path], list[str]]:
    def arguments(trained: Trained, folder: Path) -> list[str]:
        (folder / "x.jpg").write_bytes(content())
        return ["predict", str(trained.out), str(folder / "x.jpg")]

    return arguments


def _predict(*more: str) -> Callable[[Trained, Path], list[str]]:
    return lambda trained, _: ["predict", str(trained.out), *more]


def _linked(trained: Trained, folder: Path) -> list[str]:
    (folder / "loop.jpg").symlink_to("loop.jpg")
    return ["predict", str(trained.out), str(folder / "loop.jpg")]


def _piped(trained: Trained, folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe.jpg")
    return ["predict", str(trained.out), str(folder / "pipe.jpg")]


def _empty_folder(trained: Trained, folder: Path) -> list[str]:
    return ["predict", str(trained.out), str(folder)]


def _study_file(content: str) -> Callable[[Trained, Path], list[str]]:
    def arguments(_: Trained, folder: Path) -> list[str]:
        (folder / "study.yaml").write_text(content)
        return ["predict", str(folder), "x.jpg"]

    return arguments


def _altered(change: Callable[[Path], object]) -> Callable[[Trained, Path], list[str]]:
    """Predict by a copy of the study's folder that `change` has altered."""

    def arguments(trained: Trained, folder: Path) -> list[str]:
        shutil.copytree(trained.out, folder / "out")
        change(folder / "out")
        photograph = trained.source / trained.prepared.names[0]
        return ["predict", str(folder / "out"), str(photograph), "--head", "gap", "--seed", "0"]

    return arguments


def _replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda out: (out / name).write_text((out / name).read_text().replace(old, new))


RUN = "runs/gap/seed-0"
WEIGHTS = f"{RUN}/best.safetensors"


def _flipped(out: Path) -> None:
    content = bytearray((out / WEIGHTS).read_bytes())
    content[-9] ^= 255
    (out / WEIGHTS).write_bytes(content)


def _of_another_run(out: Path) -> None:
    shutil.copy(out / "runs/fc/seed-0/best.safetensors", out / WEIGHTS)


def _folder_for_weights(out: Path) -> None:
    (out / WEIGHTS).unlink()
    (out / WEIGHTS).mkdir()


def _evaluate(change: Callable[[Path], object]) -> Callable[[Trained, Path], list[str]]:
    def arguments(trained: Trained, folder: Path) -> list[str]:
        change(folder / "data")
        cache = ("--cache", str(folder / "cache"))
        return ["evaluate", str(trained.out), "--data", str(folder / "data"), *cache]

    return arguments


def _other_classes(data: Path) -> None:
    for name in ("bird", "fish"):
        (data / name).mkdir(parents=True)
        (data / name / "x.jpg").write_bytes(_jpeg())


def _unreadable_class(data: Path) -> None:
    for name in ("cat", "dog"):
        (data / name).mkdir(parents=True)
        (data / name / "x.jpg").write_bytes(b"no picture")


def _climbing_zip(data: Path) -> None:
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../../cat/x.jpg", _jpeg())
        archive.writestr("/dog/x.jpg", _jpeg())


def _export(form: str, out: str) -> Callable[[Trained, Path], list[str]]:
    return lambda trained, folder: [
        *("export", str(trained.out), "--format", form, "--out", str(folder / out))
    ]


def _export_below_a_file(trained: Trained, folder: Path) -> list[str]:
    (folder / "file").write_text("")
    return _export("safetensors", "file/m.safetensors")(trained, folder)


def _demo(*more: str) -> Callable[[Trained, Path], list[str]]:
    return lambda trained, _: ["demo", str(trained.out), "--port", "0", *more]


def _explain(*more: str) -> Callable[[Trained, Path], list[str]]:
    def arguments(trained: Trained, folder: Path) -> list[str]:
        (folder / "x.jpg").write_bytes(b"no picture")
        picture, out = str(folder / "x.jpg"), str(folder / "sheet.png")
        return ["explain", str(trained.out), picture, "--out", out, *more]

    return arguments


def _report(*more: str) -> Callable[[Trained, Path], list[str]]:
    return lambda trained, folder: [
        *("report", str(trained.out), str(folder), *more, "--out", str(folder / "page.html"))
    ]


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nformat: *c\n"


def cases() -> Iterator[Case]:
    """Every input."""
    for name, content in CONTENTS.items():
        yield Case(3, f"predict {name}", _predict_file(content))
    yield Case(3, "predict a link to itself", _linked)
    yield Case(3, "predict a pipe that nobody writes to", _piped)
    yield Case(2, "predict an empty folder", _empty_folder)
    yield Case(3, "predict a file that is not there", _predict("/no/such/file.jpg"))
    yield Case(3, "predict a name of 5,000 letters", _predict("x" * 5000))
    yield Case(2, "predict a pattern that fits nothing", _predict("/no/such/*.jpg"))
    yield Case(2, "predict an empty list", _predict("-"), given="")
    yield Case(3, "predict a list of terminal codes", _predict("-"), given="\x1b[2J\x1b]0;x\x07\n")
    yield Case(2, "predict --head ../../gap", _predict("x.jpg", "--head", "../../gap"))
    yield Case(2, "predict --seed 99", _predict("x.jpg", "--seed", "99"))
    yield Case(2, "predict --device cuda:99", _predict("x.jpg", "--device", "cuda:99"))
    yield Case(2, "predict --ensemble --seed 0", _predict("x.jpg", "--ensemble", "--seed", "0"))
    yield Case(2, "a folder without a study", lambda _, folder: ["predict", str(folder), "x.jpg"])
    for name, text in {
        "empty": "",
        "of binary": "\0\1\2",
        "with a tag that runs code": "!!python/object/apply:os.system ['touch hostile-code-ran']",
        "of a later format": "format: 99",
        "that holds itself": "a: &a [*a]",
        "of references to references": LAUGHS,
        "of 200 open braces": "{" * 200,
    }.items():
        yield Case(2, f"a study.yaml {name}", _study_file(text))
    yield Case(
        2, "a head named ../../gap", _altered(_replaced("study.yaml", " gap:", " ../../gap:"))
    )
    foreign = _replaced("study.yaml", "name: tutorial_cnn", "name: os:system")
    yield Case(2, "a backbone that is code", _altered(foreign))
    yield Case(4, "weights of no byte", _altered(lambda out: (out / WEIGHTS).write_bytes(b"")))
    yield Case(4, "weights cut short", _altered(lambda out: os.truncate(out / WEIGHTS, 999)))
    yield Case(4, "weights with a byte changed", _altered(_flipped))
    yield Case(4, "weights of another run", _altered(_of_another_run))
    runs = pickle.dumps(_Runs())
    yield Case(
        4, "weights that are a pickle", _altered(lambda out: (out / WEIGHTS).write_bytes(runs))
    )
    large = struct.pack("<Q", 2**62) + b"{}"
    huge = _altered(lambda out: (out / WEIGHTS).write_bytes(large))
    yield Case(4, "weights with a header of 4 exabytes", huge)
    yield Case(4, "weights that are a folder", _altered(_folder_for_weights))
    yield Case(4, "weights that are gone", _altered(lambda out: (out / WEIGHTS).unlink()))
    record = _altered(lambda out: (out / RUN / "run.json").write_text("{"))
    yield Case(2, "a run.json that is no JSON", record)
    changed = _altered(lambda out: (out / RUN / "history.jsonl").write_text("{}\n"))
    yield Case(2, "a history that was changed", changed)
    yield Case(3, "evaluate on no such folder", _evaluate(lambda data: None))
    yield Case(3, "evaluate on an empty folder", _evaluate(lambda data: data.mkdir()))
    yield Case(3, "evaluate on other classes", _evaluate(_other_classes))
    yield Case(3, "evaluate on files that are no images", _evaluate(_unreadable_class))
    yield Case(3, "evaluate on text", _evaluate(lambda data: data.write_text("no archive")))
    yield Case(3, "evaluate on a zip that climbs out", _evaluate(_climbing_zip))
    yield Case(3, "explain a file that is no image", _explain())
    yield Case(2, "explain with masks that are not there", _explain("--masks", "/no/such/folder"))
    yield Case(5, "export below a file", _export_below_a_file)
    yield Case(2, "export Keras under another name", _export("keras", "m.h5"))
    yield Case(2, "demo of a head that is not there", _demo("--heads", "../../gap"))
    yield Case(5, "demo at no address", _demo("--host", "no.such.host.invalid"))
    yield Case(2, "report of a folder without a study", _report())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        study = trained_study(Path(name) / "study")
        for case in cases():
            with tempfile.TemporaryDirectory() as folder:
                ended = case.run(study, Path(folder))
            said = [
                x for x in ended.stderr.splitlines() if x.startswith(("headtohead: ", "skipped "))
            ]
            shown = (said[0] if said else "").replace(folder, "…").replace(name, "…")
            print(f"{ended.exit_code}  {case.name}: {shown[:160]}", flush=True)
