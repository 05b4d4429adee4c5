"""Looking at images before training on them: what `headtohead data` does, in Python."""

from pathlib import Path
from typing import Unpack

from PIL import Image

from headtohead.config.from_options import study_from
from headtohead.config.options import PictureOptions, documented
from headtohead.core.files import unreadable
from headtohead.core.system import cache_folder
from headtohead.data.inspect import DataCheck, check, contact_sheet
from headtohead.data.pipeline import look_at
from headtohead.data.prepared import PreparedSet
from headtohead.data.sources import Source
from headtohead.runtime.progress import Display


@documented("data")
def data_check(
    source: str | Path, *, cache: str | Path | None = None, **options: Unpack[PictureOptions]
) -> DataCheck:
    """Count, measure and verify the images of `source`, and list what cannot be used.

    `print` shows what the command prints. Raises DataError, UsageError and StorageError.
    """
    return check(*_look(source, cache, options))


@documented("data")
def data_show(
    source: str | Path,
    *,
    rows: int = 3,
    cache: str | Path | None = None,
    **options: Unpack[PictureOptions],
) -> Image.Image:
    """A contact sheet of `source`, an RGB image: `rows` of eight images of each class.

    Of more than 40 classes it shows 40, and says so. Raises as `data_check` does.
    """
    return contact_sheet(_look(source, cache, options)[1], rows=rows)


def _look(
    source: str | Path, cache: str | Path | None, options: PictureOptions
) -> tuple[Source, PreparedSet]:
    spec = study_from("standard", data=source, **options)
    try:
        with Display() as display:
            return look_at(
                spec.data, spec.pictures, cache=cache_folder(cache), progress=display.progress
            )
    except OSError as error:
        raise unreadable(source, error) from error
