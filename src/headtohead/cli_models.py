"""The commands that use a finished study's models: predict, explain, evaluate, demo, export."""

import json
from pathlib import Path
from typing import Any

import click

from headtohead.console import JSON_OPTION, PATH, table_options
from headtohead.core.own_code import see_current_folder


@click.command()
@click.argument("folder", type=PATH)
@click.argument("images", nargs=-1, required=True)
@table_options("predict")
@click.option(
    "--ensemble", is_flag=True, help="Average the probabilities of all seeds of the head."
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many of the likeliest classes to show.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table",
    show_default=True, help="How answers are written.",
)  # fmt: skip
def predict(folder: Path, images: tuple[str, ...], top: int, form: str, **which: Any) -> None:
    """Classify IMAGES (files, folders, patterns, or - for a list) by the study in FOLDER.

    Files that cannot be read are named on standard error and skipped; the exit code is 3 then.
    """
    from headtohead.deploy.commands import predict as run
    from headtohead.runtime.progress import Display

    see_current_folder()
    with Display() as display:
        run(folder, images, top, form, click.echo, display.note, display.progress, **which)


@click.command()
@click.argument("folder", type=PATH)
@click.argument("images", nargs=-1, required=True)
@table_options("explain")
@click.option("--masks", type=PATH, help="Folder of masks: draw the outlines of their objects.")
@click.option(
    "--out",
    type=PATH,
    default=Path("explained.png"),
    show_default=True,
    help="The picture to write, .png or .jpg.",
)
def explain(
    folder: Path, images: tuple[str, ...], masks: Path | None, out: Path, **which: Any
) -> None:
    """Draw where a model of the study in FOLDER looks on IMAGES.

    IMAGES are as for `headtohead predict`; each is drawn for its two likeliest classes.
    """
    from headtohead.deploy.commands import explain as run
    from headtohead.runtime.progress import Display

    see_current_folder()
    with Display() as display:
        run(folder, images, out, masks, click.echo, display.note, **which)


@click.command()
@click.argument("folder", type=PATH)
@click.option("--data", required=True, help="New labelled images, as for `headtohead compare`.")
@table_options("evaluate")
@click.option("--new-only", is_flag=True, help="Leave out images that the study holds already.")
@JSON_OPTION
def evaluate(folder: Path, as_json: bool, **options: Any) -> None:
    """Score every head and seed of the study in FOLDER on new labelled images."""
    from headtohead.deploy.commands import evaluate as run
    from headtohead.runtime.progress import Display

    see_current_folder()
    with Display() as display:
        found = run(folder, display.progress, **options)
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else str(found))


@click.command()
@click.argument("folder", type=PATH)
@click.option("--heads", help="Only these heads, separated by commas; default: all of the study.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port of the page; 0 for any free one.",
)
@table_options("demo")
def demo(folder: Path, **options: Any) -> None:
    """Show a local page: drop a photograph, see each head's answer and where it looks.

    It listens on this machine alone unless --host says otherwise, and keeps nothing. Ctrl-C ends
    it.
    """
    from headtohead.deploy.commands import demo as run

    see_current_folder()
    run(folder, lambda address: click.echo(f"Page: {address} (Ctrl-C ends it)"), **options)


@click.command()
@click.argument("folder", type=PATH)
@table_options("export")
@click.option(
    "--format", "form", type=click.Choice(["onnx", "torch", "safetensors", "keras"]),
    required=True,
    help="onnx needs headtohead[export]; keras needs Keras, and takes the tutorial's models alone.",
)  # fmt: skip
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="The model's file, ending in .onnx, .pt2, .safetensors or .keras.",
)
def export(folder: Path, form: str, out: Path, **which: Any) -> None:
    """Write a model of the study in FOLDER for other programs.

    Before that the copy must give the original's answers on test images. Beside it lie a model card
    and, but for safetensors, the script that runs it without headtohead.
    """
    from headtohead.deploy.commands import export as run

    see_current_folder()
    for path in run(folder, form, out, **which):
        click.echo(path)


COMMANDS = (predict, explain, evaluate, demo, export)
