"""The command line: thin, and quick to start (what a command needs is imported inside it)."""

import io
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import headtohead
from headtohead.config.options import Option, options_of
from headtohead.console import Group
from headtohead.core.errors import (
    UsageError,
    brief,
)

_Command = Callable[..., Any]
_PATH = click.Path(readable=False, path_type=Path)  # one that may not be read is told in one line


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(headtohead.__version__, prog_name="headtohead")
def main() -> None:
    """Settle, with evidence, which classification head a convolutional network should wear.

    Exit codes: 0 done, 2 usage, 3 data, 4 a run failed, 5 disk or permission, 130 interrupted.
    """


def _options(command: str) -> Callable[[_Command], _Command]:
    """The options that the table of `headtohead.config.options` has for a command."""

    def with_options(function: _Command) -> _Command:
        for option in reversed(options_of(command)):
            function = click.option(
                option.flag,
                option.name,
                type=_type_of(option),
                is_flag=option.type is bool,
                default=option.value,
                help=option.told,
                metavar=option.metavar,
            )(function)
        return function

    return with_options


def _type_of(option: Option) -> Any:
    if option.choices:
        return click.Choice(option.choices)
    return {Path: _PATH, bool: None}.get(option.type, option.type)


@main.command()
@click.argument("study", required=False)
@_options("compare")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def compare(as_json: bool, **options: Any) -> None:
    """Train every head of STUDY with every seed, and say which wins.

    STUDY is a shipped study (see `headtohead studies`) or a YAML file; options win over it.
    Without STUDY it is `quick`, on drawn images, or `standard` where --data is given.
    """
    _see_current_folder()
    from headtohead.compare import compare as run

    comparison = run(**options)
    _print_summary(comparison.summary, comparison.out, as_json)
    comparison.raise_for_failures()


@main.command()
@click.argument("study", required=False)
@_options("plan")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def plan(as_json: bool, **options: Any) -> None:
    """Say what `compare` with the same options takes: runs, seeds, steps, power and time.

    Trains nothing, and refuses what `compare` would refuse. Lists the images and decodes none.
    Times are those of the study's finished runs, in --out or in runs/; of other heads, some steps
    are measured on random images.
    """
    from headtohead.report.formats.summary import as_json_text
    from headtohead.runtime.forecast import plan as forecast

    _see_current_folder()
    found = forecast(**options)
    click.echo(as_json_text(found) if as_json else str(found))


@main.command()
@click.argument("study", required=False)
@_options("tune")
@click.option("--json", "as_json", is_flag=True, help="Print every trial as JSON.")
def tune(as_json: bool, **options: Any) -> None:
    """Search each head's settings on validation; write the study that compares the winners.

    Every head of STUDY gets as many trials, over what the study's part `tuning` says. The test
    split is not used. Run the same command to resume. Needs headtohead[tune].
    """
    from rich.console import Console

    from headtohead.tuning.search import tune as search

    _see_current_folder()
    found = search(**options)
    if as_json:
        click.echo(found.path.read_bytes(), nl=False)
    else:
        Console().print(found)


@main.command()
@click.argument("folder", type=_PATH)
@click.option(
    "--pictures",
    type=click.IntRange(min=0, max=24),  # what `report.page.thumbnails` keeps
    default=12,
    show_default=True,
    help="Test images in each grid of the page.",
)
@click.option("--figures", is_flag=True, help="Write every figure as PNG and SVG, too.")
@click.option(
    "--beside",
    multiple=True,
    metavar="NAME=FOLDER",
    help="Show other software's <head>/seed-<n>/history.jsonl beside this study's.",
)
@click.option(
    "--claims",
    default=None,
    is_flag=False,
    flag_value="",
    metavar="[MODULE:CLASS,…]",
    help="Show the claims unfolded; with names, run the code of these claims of your own.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def report(
    folder: Path,
    pictures: int,
    figures: bool,
    beside: tuple[str, ...],
    claims: str | None,
    as_json: bool,
) -> None:
    """Regenerate the report of the study in FOLDER: the page, the tables and, if asked, figures."""
    from headtohead.core.files import expanded
    from headtohead.report.beside import read_beside
    from headtohead.report.render import render
    from headtohead.store.ledger import Ledger, hold
    from headtohead.study_data import StudyData

    _see_current_folder()
    folder = expanded(folder)
    data = StudyData(Ledger.open(folder), frozenset((claims or "").split(",")) - {""})
    others = tuple(map(read_beside, beside))
    with hold(folder):
        summary = render(
            data, pictures=pictures, beside=others, figures=figures, claims=claims is not None
        )
    _print_summary(summary, folder, as_json)


def _see_current_folder() -> None:
    """Let `module:Class` be found where the command is typed, after everything installed."""
    from headtohead.core.system import current_folder

    sys.path.append(str(current_folder()))


def _print_summary(summary: Any, out: Path, as_json: bool) -> None:
    from rich.console import Console

    from headtohead.report.formats.terminal import render_table

    if as_json:
        click.echo((out / "summary.json").read_bytes(), nl=False)
    else:
        Console().print(render_table(summary, out))
        click.echo(f"Page: {out / 'report.html'}")
        click.echo(f"Charts: {shlex.join(['tensorboard', '--logdir', str(out / 'tensorboard')])}")


@main.group()
def data() -> None:
    """Look at images before training on them."""


@data.command("check")
@click.argument("source")
@_options("data")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def data_check(source: str, as_json: bool, **options: Any) -> None:
    """Count, measure and verify the images of SOURCE; list what cannot be used, and why."""
    from headtohead.data.inspect import render_check
    from headtohead.data_commands import data_check as check

    result = check(source, **options)
    click.echo(json.dumps(result.to_dict(), indent=1) if as_json else render_check(result))


@data.command("show")
@click.argument("source")
@_options("data")
@click.option(
    "--out",
    type=_PATH,
    default=Path("pictures.png"),
    show_default=True,
    help="The PNG to write.",
)
def data_show(source: str, out: Path, **options: Any) -> None:
    """Make a contact sheet of SOURCE: some images of each class."""
    from headtohead.core.files import expanded, write_atomic
    from headtohead.data_commands import data_show as show

    buffer = io.BytesIO()
    show(source, **options).save(buffer, format="PNG")
    out = expanded(out)
    write_atomic(out, buffer.getvalue())
    click.echo(out)


_RUN_OPTIONS = (
    click.option("--head", help="A head of the study; default: the winner on validation."),
    click.option("--seed", type=int, help="Its seed; default: the best one on validation."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--trust",
        multiple=True,
        metavar="MODULE:CLASS",
        help="Import this head or backbone of your own, which the study names.",
    ),
)


def _run_options(function: _Command) -> _Command:
    """The options of commands that use a finished study's models."""
    for option in reversed(_RUN_OPTIONS):
        function = option(function)
    return function


@main.command()
@click.argument("folder", type=_PATH)
@click.argument("images", nargs=-1, required=True)
@_run_options
@click.option("--ensemble", is_flag=True, help="Average all seeds of the head.")
@click.option("--top", type=click.IntRange(min=1), default=1, help="Likeliest classes to show.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "jsonl"]), default="table",
    show_default=True, help="How answers are written.",
)  # fmt: skip
def predict(folder: Path, images: tuple[str, ...], top: int, form: str, **which: Any) -> None:
    """Classify IMAGES (files, folders, patterns, or - for a list) by the study in FOLDER.

    Files that cannot be read are told on standard error and skipped; the exit code is 3 then.
    """
    from headtohead.deploy.commands import predict as run
    from headtohead.runtime.progress import Display

    _see_current_folder()
    with Display() as display:
        run(folder, images, top, form, click.echo, display.note, display.progress, **which)


@main.command()
@click.argument("folder", type=_PATH)
@click.argument("images", nargs=-1, required=True)
@_run_options
@click.option("--masks", type=_PATH, help="Draw the objects of these masks.")
@click.option(
    "--out",
    type=_PATH,
    default=Path("explained.png"),
    show_default=True,
    help="The PNG to write.",
)
def explain(
    folder: Path, images: tuple[str, ...], masks: Path | None, out: Path, **which: Any
) -> None:
    """Draw where a model of the study in FOLDER looks on IMAGES, for both classes, as a PNG."""
    from headtohead.deploy.commands import explain as run
    from headtohead.runtime.progress import Display

    _see_current_folder()
    with Display() as display:
        run(folder, images, out, masks, click.echo, display.note, **which)


@main.command()
@click.argument("folder", type=_PATH)
@click.option("--data", required=True, help="New labelled images, as for `headtohead compare`.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--trust", multiple=True, metavar="MODULE:CLASS", help="As for `headtohead predict`.")
@click.option("--cache", type=_PATH, help="Folder for prepared images.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def evaluate(folder: Path, as_json: bool, **options: Any) -> None:
    """Score every head and seed of the study in FOLDER on new labelled images."""
    from headtohead.deploy.commands import evaluate as run
    from headtohead.runtime.progress import Display

    _see_current_folder()
    with Display() as display:
        found = run(folder, display.progress, **options)
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else str(found))


@main.command()
@click.argument("folder", type=_PATH)
@click.option("--heads", help="These alone, by commas; default: every head of the study.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port of the page; 0 for any free one.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--trust", multiple=True, metavar="MODULE:CLASS", help="As for `headtohead predict`.")
def demo(folder: Path, **options: Any) -> None:
    """Show a local page: drop a photograph, see each head's answer and where it looks.

    It listens on this machine alone unless --host says otherwise, and keeps nothing. Ctrl-C ends
    it.
    """
    from headtohead.deploy.commands import demo as run

    _see_current_folder()
    run(folder, lambda address: click.echo(f"Page: {address} (Ctrl-C ends it)"), **options)


@main.command()
@click.argument("folder", type=_PATH)
@click.option("--head", help="A head of the study; default: the winner on validation.")
@click.option("--seed", type=int, help="Its seed; default: the best one on validation.")
@click.option("--trust", multiple=True, metavar="MODULE:CLASS", help="As for `headtohead predict`.")
@click.option(
    "--format", "form", type=click.Choice(["onnx", "torch", "safetensors", "keras"]),
    required=True, help="onnx takes headtohead[export]; keras is for tutorial_cnn alone.",
)  # fmt: skip
@click.option("--out", type=_PATH, required=True, help="The model's file.")
def export(folder: Path, form: str, out: Path, **which: Any) -> None:
    """Write a model of the study in FOLDER for other programs, and prove it there.

    Beside it come a model card and the script that ran it without headtohead.
    """
    from headtohead.deploy.commands import export as run

    _see_current_folder()
    for path in run(folder, form, out, **which):
        click.echo(path)


@main.command()
@click.argument("name", required=False)
@click.option(
    "--image-size", type=int, default=100, show_default=True, help="Side of the images in pixels."
)
@click.option("--classes", type=int, default=2, show_default=True, help="Number of classes.")
@click.option("--maps", help="Feature maps to size heads for, e.g. 1280x7x7, instead.")
def heads(name: str | None, image_size: int, classes: int, maps: str | None) -> None:
    """List the heads that can be compared by family, or describe one: formula, size, source."""
    _see_current_folder()
    from headtohead.heads.catalog import heads as describe

    click.echo(describe(name, image_size=image_size, classes=classes, maps=maps))


@main.command()
@click.argument("name", required=False)
@click.option("--image-size", type=int, help="Side of the images in pixels; default: its own.")
@click.option("--weights", metavar="FILE|pretrained|random", help="First weights.")
@click.option(
    "--weights-match",
    type=click.Choice(["name", "order"]),
    default="name",
    show_default=True,
    help="How a file's tensors are told apart.",
)
def backbones(
    name: str | None, image_size: int | None, weights: str | None, weights_match: str
) -> None:
    """List the backbones whose names hold NAME, or describe the one of that name."""
    _see_current_folder()
    from headtohead.backbones.describe import backbones as describe

    click.echo(describe(name, image_size=image_size, weights=weights, weights_match=weights_match))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine has, what a study would use of it, and what stands in the way.

    Cores, memory, GPUs, disks, versions, decoders and extras; problems, each with a remedy.
    """
    from headtohead.runtime.doctor import doctor as examine

    found = examine()
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else str(found))


@main.command()
@click.argument("name", required=False)
def studies(name: str | None) -> None:
    """List the studies that come with headtohead, or print one as YAML."""
    from headtohead.config.reading import load_study, shipped_studies

    shipped = shipped_studies()
    if name in shipped:
        click.echo(shipped[name], nl=False)
    elif name is not None:
        raise UsageError(f"no shipped study {brief(repr(name))}; there are {', '.join(shipped)}.")
    else:
        for known in shipped:
            click.echo(f"{known}: {load_study(known).description.strip()}")


if __name__ == "__main__":
    sys.exit(main())
