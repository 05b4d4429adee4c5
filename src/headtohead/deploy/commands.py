"""What the commands do with a finished study: words in, lines and files out."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from headtohead.core.errors import DataError, UsageError, brief
from headtohead.core.files import expanded, sha256_of
from headtohead.core.pictures import format_of, write_picture
from headtohead.core.system import cache_folder
from headtohead.core.text import counted, printable
from headtohead.data.long_tasks import Progress
from headtohead.data.prepare import cached_set
from headtohead.data.prepared import file_hashes
from headtohead.deploy.answers import FORMATS, Answer
from headtohead.deploy.image_files import Read, paths_of, read_all
from headtohead.deploy.opening import open_predictor, predictor_of
from headtohead.deploy.runs import chosen, load_members
from headtohead.probes.probe_images import check_masks_folder
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData

if TYPE_CHECKING:
    from headtohead.deploy.evaluate import Evaluated
    from headtohead.deploy.predictor import Predictor

LONGEST = 500
"""Characters of a name that a line shows."""

Print = Callable[[str], None]


def predict(
    folder: Path,
    names: Collection[str],
    top: int,
    form: str,
    say: Print,
    note: Print,
    progress: Progress,
    *,
    head: str | None,
    seed: int | None,
    ensemble: bool,
    device: str,
    trust: Collection[str],
) -> None:
    """Print the answers as they come. Raises DataError at the end where files could not be read."""
    data = _opened(folder)
    predictor = predictor_of(
        data, summarize(data), head, seed, ensemble=ensemble, device=device, trust=trust
    )
    paths = paths_of(names, sys.stdin)
    unreadable = _Unreadable(note)
    note(predictor.told)
    answers = predictor.answers(paths, top=top, on_unreadable=unreadable, progress=progress)
    learned = _Learned(data)
    for line in FORMATS[form](learned.watch(answers)):
        say(line)
    learned.tell(note)
    unreadable.raise_if_any(len(paths))


def explain(
    folder: Path,
    names: Collection[str],
    out: Path,
    masks: Path | None,
    say: Print,
    note: Print,
    *,
    head: str | None,
    seed: int | None,
    device: str,
    trust: Collection[str],
) -> None:
    """Write one sheet of all images, PNG or JPEG. Raises DataError where some cannot be read."""
    from headtohead.deploy.explain import MOST_ROWS, explanations, masks_of, sheet

    format_of(out)  # that it can be written is known before the work
    if masks is not None:
        masks = expanded(masks)
        check_masks_folder(masks)
    predictor = open_predictor(folder, head, seed, device=device, trust=trust)
    paths = paths_of(names, sys.stdin)
    _refuse_own_input(out, paths)
    if len(paths) > MOST_ROWS:
        note(f"A sheet has {MOST_ROWS} images at most: the first of {len(paths):,} are drawn.")
    unreadable, shown = _Unreadable(note), paths[:MOST_ROWS]
    files, pixels = _read_whole(shown, predictor, unreadable)
    if files:
        (member,) = predictor.members
        found = explanations(member, predictor.classes_, np.stack(pixels))
        drawn = masks_of(masks, files, predictor.image_size)
        without = sum(mask is None for mask in drawn)
        if masks is not None and without:
            note(f"No mask of that name for {without:,} of {counted(len(drawn), 'image')}.")
        rows = [
            one.image(path.name, mask) for one, path, mask in zip(found, files, drawn, strict=True)
        ]
        title = f"{member.head} seed {member.seed}: red speaks for the class, blue against it"
        write_picture(sheet(rows, title), out)
        say(str(out))
    unreadable.raise_if_any(len(shown))


def _refuse_own_input(out: Path, paths: Collection[Path]) -> None:
    """Raises UsageError where `out` is one of the images: files of the user's are only read."""
    place = expanded(out)
    if place.exists() and any(path.exists() and path.samefile(place) for path in paths):
        raise UsageError(
            f"--out {brief(printable(str(out)))} is one of the images, and would be written over: "
            f"name another file."
        )


def _read_whole(
    paths: Sequence[Path], predictor: "Predictor", unreadable: "_Unreadable"
) -> tuple[list[Path], list[NDArray[np.uint8]]]:
    """Those that can be read, and their pixels as the model sees them; the others are told."""
    parts = read_all(paths, side=predictor.image_size, method=predictor.resize)
    reads = [read for part in parts for read in part]
    for read in reads:
        if read.pixels is None:
            unreadable(read)
    usable = [(read.path, read.pixels) for read in reads if read.pixels is not None]
    return [path for path, _ in usable], [pixels for _, pixels in usable]


def evaluate(
    folder: Path,
    progress: Progress,
    *,
    data: str,
    device: str,
    trust: Collection[str],
    cache: Path | None,
    new_only: bool,
) -> "Evaluated":
    """Every head and seed on the labelled images of `data`."""
    from headtohead.deploy.evaluate import evaluate as score

    study = _opened(folder)
    place = cache_folder(cache)
    return score(
        study.ledger, summarize(study), data,
        cache=place, progress=progress, device=device, trust=trust, new_only=new_only,
    )  # fmt: skip


def export(
    folder: Path,
    form: str,
    out: Path,
    *,
    head: str | None,
    seed: int | None,
    trust: Collection[str],
) -> list[Path]:
    """The files that were written, the model first."""
    from headtohead.deploy.export import export as write

    data = _opened(folder)
    return write(data, summarize(data), form, out, head=head, seed=seed, trust=trust)


def demo(
    folder: Path,
    say: Print,
    *,
    heads: str | None,
    host: str,
    port: int,
    device: str,
    trust: Collection[str],
) -> None:
    """Serve the best seed of each head until interrupted; `say` gets the address."""
    from headtohead.deploy.demo import Demo

    data = _opened(folder)
    summary = summarize(data)
    able = [found.head for found in summary.heads if found.finished]
    names = able if heads is None else [name.strip() for name in heads.split(",")]
    runs = [run for name in names for run in chosen(summary, name, None)]
    members = load_members(data, runs, device=device, trust=trust)
    with Demo(data.file, members, host, port) as server, suppress(KeyboardInterrupt):
        say(server.address)
        server.serve_forever()


def _opened(folder: Path) -> StudyData:
    """The study, of which a command reads each file once."""
    return StudyData(Ledger.open(expanded(folder)))


class _Learned:
    """Counts files that are, byte for byte, those that the study's images were made of."""

    def __init__(self, data: StudyData) -> None:
        prepared = cached_set(cache_folder(None), data.file.prepared)
        self._hashes = frozenset() if prepared is None else file_hashes(prepared)
        self._count = 0

    def watch(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """`answers` as they are."""
        for answer in answers:
            if self._hashes:
                self._count += sha256_of(answer.path) in self._hashes
            yield answer

    def tell(self, note: Print) -> None:
        """Print how many there were, if any."""
        if self._count:
            note(
                f"{counted(self._count, 'file')} of the study's own among them, byte for byte: "
                f"these answers say nothing of new images."
            )


class _Unreadable:
    """Tells each file that cannot be read, and counts them."""

    def __init__(self, note: Print) -> None:
        self._note, self._count = note, 0

    def __call__(self, read: Read) -> None:
        self._count += 1
        self._note(f"skipped {brief(printable(str(read.path)), LONGEST)}: {read.reason}")

    def raise_if_any(self, total: int) -> None:
        if self._count:
            raise DataError(
                f"could not read {self._count:,} of {counted(total, 'file')}: see the reasons "
                f"above."
            )
