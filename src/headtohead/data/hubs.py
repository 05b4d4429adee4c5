"""Sets of images from the hubs, through the hubs' own libraries, as folders of files.

`tfds:NAME[/CONFIG][:VERSION]` is TensorFlow Datasets, `hf:OWNER/NAME[@CONFIG]` is Hugging Face; a
path in place of the name is a set that either library has prepared on this machine. After either,
`#COLUMN[,COLUMN]` names the column of images, of classes or both, where a set has several. The
images are written once, as they are stored, into folders by split and class: from there on a
hub's set is read as any folder is. Both libraries are optional extras, imported when they are asked
for.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from headtohead.core.errors import DataError, UsageError, reason_of
from headtohead.core.files import expanded, sha256_of_bytes, storage_error
from headtohead.data.inventory import make_whole
from headtohead.data.long_tasks import Progress, taking_turns
from headtohead.data.walking import PassedOver

SPLITS = MappingProxyType(
    {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
    | {"test": "test"}
)
SUFFIXES = ((b"\xff\xd8", "jpg"), (b"\x89PNG", "png"), (b"GIF8", "gif"), (b"BM", "bmp"))
OTHER_SPLIT = "beside the splits train, validation and test"
REPORT_EVERY = 200


@dataclass(frozen=True)
class HubSet:
    """What a hub's library has opened.

    `identity` changes whenever the images or their classes do. `pictures` gives, for a hub's
    split, the encoded bytes and the class number of each image in the hub's order; `counts` says
    how many.
    """

    identity: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    pictures: Callable[[str], Iterable[tuple[bytes, int]]]


def is_hub(source: str | Path) -> bool:
    """Whether `source` names a hub's set."""
    return isinstance(source, str) and source.partition(":")[0] in HUBS and ":" in source


def hub_folder(
    source: str, *, cache: Path, progress: Progress
) -> tuple[Path, tuple[PassedOver, ...]]:
    """The folder of the images of `source`, and the splits of the set that are not in it.

    It is written into `cache` where it is not there yet. Splits named train, validation and test
    stay what they are; where train is all there is, the classes lie directly below. Raises
    UsageError where the library is missing and DataError where the set cannot be loaded or has no
    images with classes.
    """
    hub, _, name = source.partition(":")
    if not name:
        raise UsageError(f"{source!r} names no set: give {hub}:NAME.")
    found = HUBS[hub](*_place_and_columns(name))
    parts = _parts(found, source)
    told = repr((source, found.identity, found.classes))
    identity = sha256_of_bytes(told.encode())[:32]
    folder = cache / "hubs" / identity
    lock = folder.with_name(f"{identity}.lock")
    with taking_turns(lock, f"unpacking {source}", progress):
        make_whole(
            folder,
            f"the folder of {source}",
            lambda growing: _write(found, parts, growing, progress),
            progress,
        )
    return folder, tuple(
        PassedOver(split, OTHER_SPLIT)
        for split, images in sorted(found.counts.items())
        if images and split not in parts
    )


def _place_and_columns(name: str) -> tuple[str, tuple[str, ...]]:
    """What stands before the last `#`, and the columns after it; a folder's name may hold one."""
    place, mark, columns = name.rpartition("#")
    if not mark or expanded(name).is_dir():
        return name, ()
    return place, tuple(column.strip() for column in columns.split(","))


def _parts(found: HubSet, source: str) -> dict[str, str]:
    """The hub's splits that are used → ours: those with images, under names that we know."""
    parts = {split: SPLITS[split] for split, n in found.counts.items() if n and split in SPLITS}
    if "train" not in parts:
        counts = ", ".join(f"{split} ({n:,} images)" for split, n in found.counts.items())
        raise DataError(
            f"{source} has no images in a split named train; it has {counts or 'no split'}. "
            f"Export the images to a folder with train/ and test/ instead."
        )
    return parts


def _write(found: HubSet, parts: Mapping[str, str], root: Path, progress: Progress) -> None:
    total, done = sum(found.counts[split] for split in parts), 0
    folders = _folder_names(found.classes)
    for split, ours in parts.items():
        below = root / ours if len(parts) > 1 else root
        for number, (content, label) in enumerate(found.pictures(split)):
            if label not in range(len(folders)):
                raise DataError(
                    f"image {number} of the split {split} has no class (label {label}). "
                    "Export the images that have one to a folder instead."
                )
            suffix = next((name for head, name in SUFFIXES if content.startswith(head)), "bin")
            path = below / folders[label] / f"{split}-{number:07d}.{suffix}"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            except OSError as error:
                raise storage_error(path, error) from error
            done += 1
            if done % REPORT_EVERY == 0:
                progress("unpacking images", done, total)
    progress("unpacking images", done, total)


def _folder_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Class names that can be folders' names, different ones for different classes."""
    names: dict[str, str] = {}  # without regard to case → as it is
    for number, label in enumerate(classes):
        name = re.sub(r"[^\w .()+-]", "_", label).strip(". ") or f"class {number}"
        while name.casefold() in names:
            name = f"{name} {number}"
        names[name.casefold()] = name
    return tuple(names.values())


def _tensorflow_datasets(name: str, columns: tuple[str, ...]) -> HubSet:
    try:
        import tensorflow_datasets as tfds
    except ModuleNotFoundError as error:
        raise _missing("tfds", error) from None
    local = expanded(name)
    try:
        builder = tfds.builder_from_directory(local) if local.is_dir() else tfds.builder(name)
        if not local.is_dir():
            builder.download_and_prepare()
    except Exception as error:  # the library's errors have no common class
        raise _refused(f"tfds:{name}", error) from error
    features = builder.info.features
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    supervised = builder.info.supervised_keys or ()
    image, label = _columns(features, kinds, f"tfds:{name}", columns, supervised)

    def pictures(split: str) -> Iterator[tuple[bytes, int]]:
        wanted = tfds.decode.PartialDecoding(
            {image: True, label: True}, decoders={image: tfds.decode.SkipDecoding()}
        )
        for row in tfds.as_numpy(builder.as_dataset(split=split, decoders=wanted)):
            yield row[image], int(row[label])

    splits = sorted(builder.info.splits.items())
    sizes = [(name, part.num_examples, part.num_bytes, part.shard_lengths) for name, part in splits]
    return HubSet(
        identity=repr(
            (builder.info.full_name, image, label, sizes, _state_of(Path(builder.data_dir)))
        ),
        classes=tuple(features[label].names),
        counts={split: info.num_examples for split, info in builder.info.splits.items()},
        pictures=pictures,
    )


def _state_of(folder: Path) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change (ns) of each file: a set built anew has other times."""
    found = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    states = [(path.name, path.stat()) for path in found]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _hugging_face(name: str, columns: tuple[str, ...]) -> HubSet:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise _missing("hf", error) from None
    place, _, config = name.partition("@")
    local = expanded(place)
    try:
        if (local / "dataset_dict.json").is_file() or (local / "state.json").is_file():
            loaded = datasets.load_from_disk(local)
        else:
            loaded = datasets.load_dataset(place, config or None)
    except Exception as error:  # the library's errors have no common class
        raise _refused(f"hf:{name}", error) from error
    splits = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    features: Mapping[str, Any] = next((rows.features for rows in splits.values()), {})
    image, label = _columns(
        features, (datasets.Image, datasets.ClassLabel), f"hf:{name}", columns, ()
    )

    def pictures(split: str) -> Iterator[tuple[bytes, int]]:
        rows = splits[split].select_columns([image, label])
        for row in rows.cast_column(image, datasets.Image(decode=False)):
            yield _stored(row[image]), -1 if row[label] is None else int(row[label])

    return HubSet(
        identity=repr((image, label, [(key, rows._fingerprint) for key, rows in splits.items()])),
        classes=tuple(features[label].names),
        counts={split: len(rows) for split, rows in splits.items()},
        pictures=pictures,
    )


def _stored(cell: Mapping[str, Any] | None) -> bytes:
    """The bytes of an image of Hugging Face; none where the set has none: quarantined later."""
    if cell is None:
        return b""
    return cell["bytes"] or (Path(cell["path"]).read_bytes() if cell["path"] else b"")


HUBS: Mapping[str, Callable[[str, tuple[str, ...]], HubSet]] = MappingProxyType(
    {"tfds": _tensorflow_datasets, "hf": _hugging_face}
)


def _columns(
    features: Mapping[str, Any],
    kinds: tuple[type, type],
    source: str,
    named: tuple[str, ...],
    supervised: Iterable[Any],
) -> tuple[str, str]:
    """The columns of images and of classes, which are of the two `kinds`.

    Of each kind the one that `named` names; else the one of `supervised`, the set's own word for
    what is learned from what; else the only one. Raises DataError where that leaves none or more.
    """
    found = [[name for name, one in features.items() if isinstance(one, kind)] for kind in kinds]
    taken = [_among(names, named) or _among(names, supervised) or names for names in found]
    wrong = set(named) - {name for names in taken if len(names) == 1 for name in names}
    if wrong or any(len(names) != 1 for names in taken):
        pictures, classes = (", ".join(names) or "none" for names in found)
        one = next((names[0] for names in found if len(names) > 1), "COLUMN")
        asked = f", asked for {', '.join(named)}" if named else ""
        raise DataError(
            f"{source} must have one column of images and one of classes; of images it has "
            f"{pictures}, of classes {classes} (all columns: {', '.join(features)}){asked}. "
            f"Name one of several after the set, as in {source}#{one}, or export the images to a "
            f"folder with one subfolder per class."
        )
    return taken[0][0], taken[1][0]


def _among(names: list[str], preferred: Iterable[Any]) -> list[str]:
    wanted = list(preferred)
    return [name for name in names if name in wanted]


def _missing(extra: str, error: ModuleNotFoundError) -> UsageError:
    return UsageError(
        f"{extra}: needs a library that is not installed ({error.name}): "
        f"pip install 'headtohead[{extra}]'."
    )


def _refused(source: str, error: Exception) -> DataError:
    return DataError(
        f"{source} could not be loaded ({type(error).__name__}: {reason_of(error, 300)}). Check "
        f"the name and the network, or name a folder that the library has prepared."
    )
