"""The command line: thin, and quick to start (what a command needs is imported inside it)."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

import headtohead
from headtohead.cli_models import COMMANDS
from headtohead.console import JSON_OPTION, PATH, Group, table_options
from headtohead.core.errors import UsageError, brief, likeliest
from headtohead.core.files import expanded, see_suffix, write_atomic
from headtohead.core.own_code import see_current_folder


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(headtohead.__version__, prog_name="headtohead")
def main() -> None:
    """Settle, with evidence, which classification head a backbone should wear.

    Exit codes: 0 done, 2 usage, 3 data, 4 a run failed, 5 disk, memory or permission,
    130 interrupted.
    """


@main.command()
@click.argument("study", required=False)
@table_options("compare")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def compare(as_json: bool, **options: Any) -> None:
    """Train every head of STUDY with every seed, and say which wins.

    STUDY is a shipped study (see `headtohead studies`) or a YAML file; options win over it.
    Without STUDY it is `quick`, on drawn images, or `standard` where --data is given. Defaults
    below are those of a study that says nothing else; `headtohead studies standard` prints what
    that one says.
    """
    see_current_folder()
    from headtohead.compare import compare as run

    comparison = run(**options)
    _print_summary(comparison.summary, comparison.out, as_json)
    comparison.raise_for_failures()


@main.command()
@click.argument("study", required=False)
@table_options("plan")
@JSON_OPTION
def plan(as_json: bool, **options: Any) -> None:
    """Say what `compare` with the same options takes: runs, seeds, steps, power and time.

    Trains nothing, and refuses what `compare` would refuse. Lists the images and decodes none.
    Times are those of the study's finished runs, in --out or in runs/; of other heads, some steps
    are measured on random images.
    """
    from headtohead.report.formats.summary import as_json_text
    from headtohead.runtime.plan import plan as forecast

    see_current_folder()
    found = forecast(**options)
    click.echo(as_json_text(found) if as_json else str(found))


@main.command()
@click.argument("study", required=False)
@table_options("tune")
@click.option("--json", "as_json", is_flag=True, help="Print every trial as JSON.")
def tune(as_json: bool, **options: Any) -> None:
    """Search each head's settings on validation; write the study that compares the winners.

    Every head of STUDY gets as many trials, over what the study's part `tuning` says. The test
    split is not used. Run the same command to resume. Needs headtohead[tune].
    """
    from rich.console import Console

    from headtohead.tuning.search import tune as search

    see_current_folder()
    found = search(**options)
    if as_json:
        click.echo(found.path.read_bytes(), nl=False)
    else:
        Console().print(found)


@main.command()
@click.argument("folders", type=PATH, nargs=-1, required=True)
@click.option(
    "--pictures",
    type=click.IntRange(min=0, max=24),  # what `report.page.thumbnails` keeps
    help="Test images in each grid of the page; default: 12.",
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
@click.option(
    "--out",
    type=PATH,
    help="The page of several studies; default: studies.html.",
)
@JSON_OPTION
def report(folders: tuple[Path, ...], out: Path | None, as_json: bool, **options: Any) -> None:
    """Regenerate the report of the study in FOLDERS: the page, the tables and, if asked, figures.

    Of several studies it makes one page, which says where each head wins, and leaves their folders
    as they are.
    """
    see_current_folder()
    if len(folders) > 1:
        _report_several(folders, out, as_json, options)
    elif out is not None:
        raise UsageError(
            f"--out is for the page of several studies; that of one lies in its folder, "
            f"{brief(str(folders[0]))}."
        )
    else:
        _report_one(folders[0], as_json, **options)


def _report_one(
    folder: Path,
    as_json: bool,
    *,
    pictures: int | None,
    figures: bool,
    beside: tuple[str, ...],
    claims: str | None,
) -> None:
    from headtohead.report.beside import read_beside
    from headtohead.report.page.content import SHOWN_IMAGES
    from headtohead.report.render import render
    from headtohead.store.ledger import Ledger, hold
    from headtohead.study_data import StudyData

    folder = expanded(folder)
    data = StudyData(Ledger.open(folder), frozenset((claims or "").split(",")) - {""})
    others = tuple(map(read_beside, beside))
    with hold(folder):
        summary = render(
            data,
            pictures=SHOWN_IMAGES if pictures is None else pictures,
            beside=others,
            figures=figures,
            claims=claims is not None,
        )
    _print_summary(summary, folder, as_json)


def _report_several(
    folders: tuple[Path, ...], out: Path | None, as_json: bool, options: dict[str, Any]
) -> None:
    from rich.console import Console

    from headtohead.report.formats.several import SeveralTable, several_json
    from headtohead.report.page.several import several_page
    from headtohead.report.several import read_several

    given = [f"--{name}" for name, value in options.items() if value not in (None, False, ())]
    if given:
        raise UsageError(
            f"{', '.join(given)} of one study alone; received {len(folders)} folders. Run "
            f"`headtohead report` on each with it."
        )
    page = expanded(out or Path("studies.html"))
    see_suffix(page, "a page", ".html", ".htm")
    several = read_several([expanded(folder) for folder in folders])
    write_atomic(page, several_page(several))
    if as_json:
        click.echo(several_json(several))
    else:
        Console().print(SeveralTable(several))
        click.echo(f"Page: {page}")


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
@table_options("data")
@JSON_OPTION
def data_check(source: str, as_json: bool, **options: Any) -> None:
    """Count, measure and verify the images of SOURCE; list what cannot be used, and why.

    SOURCE is a folder or whatever else `headtohead compare --data` takes.
    """
    from headtohead.data_commands import data_check as check

    result = check(source, **options)
    click.echo(json.dumps(result.to_dict(), indent=1) if as_json else str(result))


@data.command("show")
@click.argument("source")
@table_options("data")
@click.option(
    "--out",
    type=PATH,
    default=Path("pictures.png"),
    show_default=True,
    help="The picture to write, .png or .jpg.",
)
def data_show(source: str, out: Path, **options: Any) -> None:
    """Make a contact sheet of SOURCE: some images of each class.

    SOURCE is a folder or whatever else `headtohead compare --data` takes.
    """
    from headtohead.core.pictures import format_of, write_picture
    from headtohead.data_commands import data_show as show

    format_of(out)  # that it can be written is known before the work
    write_picture(show(source, **options), out)
    click.echo(expanded(out))


for _command in COMMANDS:
    main.add_command(_command)


@main.command()
@click.argument("name", required=False)
@click.option(
    "--image-size", type=int, default=100, show_default=True, help="Side of the images in pixels."
)
@click.option("--classes", type=int, default=2, show_default=True, help="Number of classes.")
@click.option("--maps", help="Feature maps to size heads for, e.g. 1280x7x7, instead.")
def heads(name: str | None, image_size: int, classes: int, maps: str | None) -> None:
    """List by family the heads that can be compared, or describe one: formula, size, source."""
    see_current_folder()
    from headtohead.heads.describe import heads as describe

    click.echo(describe(name, image_size=image_size, classes=classes, maps=maps))


@main.command()
@click.argument("name", required=False)
@click.option("--image-size", type=int, help="Side of the images in pixels; default: its own.")
@table_options("backbones")
def backbones(
    name: str | None, image_size: int | None, weights: str | None, weights_match: str | None
) -> None:
    """List backbones, or describe one: maps, size, preprocessing, weights and licence.

    Without NAME it lists the kinds there are; with a part of a name, those that hold it; with a
    whole name, such as timm:resnet18, it describes that one.
    """
    see_current_folder()
    from headtohead.backbones.describe import backbones as describe

    click.echo(describe(name, image_size=image_size, weights=weights, weights_match=weights_match))


@main.command()
@table_options("doctor")
@JSON_OPTION
def doctor(as_json: bool, **options: Any) -> None:
    """Say what this machine has, what a study would use of it, and what stands in the way.

    Cores, memory, GPUs, disks, versions, decoders and extras; problems, each with a remedy. With
    --executor ray it says so of each machine of the cluster.
    """
    from headtohead.runtime.doctor import doctor as examine

    found = examine(**options)
    click.echo(json.dumps(found.to_dict(), indent=1) if as_json else str(found))


@main.command()
@click.argument("name", required=False)
def studies(name: str | None) -> None:
    """List the studies that come with headtohead, or print one as YAML."""
    from headtohead.config.study_files import load_study, shipped_studies

    shipped = shipped_studies()
    if name in shipped:
        click.echo(shipped[name], nl=False)
    elif name is not None:
        raise UsageError(
            f"no shipped study {brief(repr(name))}; there are {', '.join(shipped)}."
            f"{likeliest(name, shipped)}"
        )
    else:
        for known in shipped:
            click.echo(f"{known}: {load_study(known).description.strip()}")


if __name__ == "__main__":
    sys.exit(main())
