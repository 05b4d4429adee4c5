"""Which of a source's files are prepared, and the digest that names what comes out."""

import hashlib
import json
import stat
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from headtohead.core.errors import UsageError
from headtohead.core.text import counted, printable
from headtohead.data.decode import DECODER
from headtohead.data.duplicates import ALGORITHM
from headtohead.data.formats import decoder_identity
from headtohead.data.long_tasks import Progress
from headtohead.data.prepared import FORMAT
from headtohead.data.sources import PictureFile

_BATCH = 256  # files between two progress reports
_PIECE = 2**20  # bytes of a file that are in memory at once
_UNREADABLE = ""


@dataclass(frozen=True, eq=False)
class Selection:
    """The files of one prepared set, ascending by name, with what is to be done to them."""

    classes: tuple[str, ...]
    files: tuple[PictureFile, ...]
    sha256: tuple[str, ...]  # of each file, hexadecimal; empty where it cannot be read
    image_size: int
    resize: str

    def digest(self) -> str:
        """SHA-256, hexadecimal, of everything that decides the prepared set's content."""
        about = {
            "format": FORMAT,
            "decoder": decoder_identity(DECODER),
            "duplicates": ALGORITHM,
            "image_size": self.image_size,
            "resize": self.resize,
            "classes": sorted(self.classes),
        }
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        pairs = zip(self.files, self.sha256, strict=True)
        for entry in sorted((file.label, file.name, content) for file, content in pairs):
            digest.update(b"\n" + json.dumps(entry).encode())
        return digest.hexdigest()


def select(files: Sequence[PictureFile], limit: int | None) -> tuple[PictureFile, ...]:
    """At most `limit` of `files`, ascending by name, in proportion per class and given split.

    Within each class and split of n files the k-th by hash of its name has the key (k − 1)/n;
    the files of the smallest keys are taken. That is Adams's method of apportionment: in
    proportion, at least one of each, and a larger limit never drops an image.
    """
    strata: dict[tuple[str, str | None], list[tuple[bytes, PictureFile]]] = defaultdict(list)
    for file in files:
        order = hashlib.sha256(file.name.encode()).digest()
        strata[file.label, file.split].append((order, file))
    keyed = [
        (rank / len(stratum), order, file)
        for stratum in strata.values()
        for rank, (order, file) in enumerate(sorted(stratum, key=lambda entry: entry[0]))
    ]
    keyed.sort(key=lambda entry: entry[:2])
    return tuple(sorted((file for _, _, file in keyed[:limit]), key=lambda file: file.name))


def check_limit(files: Sequence[PictureFile], limit: int | None) -> None:
    """Raise `UsageError` where `limit` leaves a class too few files for three splits.

    A class that has too few without it is not the limit's fault.
    """
    if limit is None:
        return
    found = _strata(files)
    given = {split for _, split in found}
    left = _strata(select(files, limit))
    for label, split in sorted(found, key=str):
        count, least = found[label, split], _least(split, given)
        if count >= least > left[label, split]:
            where = "" if split is None else f" in the {split} split"
            need = "one for each split" if split is None else "so that every split has one"
            raise UsageError(
                f"limit {limit} takes {left[label, split]} of the {counted(count, 'file')} of "
                f"class {printable(label)!r}{where}, which needs {least}, {need}. Give at least "
                f"{_enough(files, limit)}, or no limit."
            )


def _strata(files: Sequence[PictureFile]) -> Counter[tuple[str, str | None]]:
    """How many files each class has in each given split."""
    return Counter((file.label, file.split) for file in files)


def _least(split: str | None, given: Collection[str | None]) -> int:
    """Files of a class that a split needs: one, and one for each split that is made out of it."""
    if split in ("validation", "test"):
        return 1
    return 1 + len({"validation", "test"} - set(given))


def _enough(files: Sequence[PictureFile], limit: int) -> int:
    """The least limit that gives every class what it needs, or all that it has."""
    found = _strata(files)
    given = {split for _, split in found}
    while True:
        left = _strata(select(files, limit))
        short = sum(
            max(0, min(count, _least(stratum[1], given)) - left[stratum])
            for stratum, count in found.items()
        )
        if not short:
            return limit
        limit += short


def hash_files(files: Sequence[PictureFile], workers: int, progress: Progress) -> tuple[str, ...]:
    """SHA-256 of each file, hexadecimal; empty where it cannot be read (quarantined later)."""
    hashes: list[str] = []
    # Threads, because hashlib and the disk let go of the interpreter's lock; each takes its share
    # of a batch at once, because to hand over a file costs more than to hash a small one.
    threads = max(1, workers)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(files), _BATCH):
            progress("reading files", start, len(files))
            batch = files[start : start + _BATCH]
            share = -(-len(batch) // threads)
            shares = [batch[first : first + share] for first in range(0, len(batch), share)]
            for found in pool.map(lambda some: [_hash_file(file) for file in some], shares):
                hashes.extend(found)
    progress("reading files", len(files), len(files))
    return tuple(hashes)


def _hash_file(file: PictureFile) -> str:
    try:
        # Checked before opening: to open a named pipe would wait for ever.
        if not stat.S_ISREG(file.path.stat().st_mode):
            return _UNREADABLE
        digest = hashlib.sha256()
        # Not file_digest: to fill its buffer with zeros takes as long as to hash a photograph.
        with file.path.open("rb", buffering=0) as content:
            while piece := content.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()
    except OSError:
        return _UNREADABLE
