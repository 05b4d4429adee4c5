"""The command line: each mistake is one clear line with the right exit code."""

import json
import os
import shlex
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from headtohead.cli import main
from headtohead.console import Group
from ledgers import full_ledger
from photographs import write_pictures
from stated import stated


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("source"), {"cat": 30, "dog": 30})


pytestmark = pytest.mark.usefixtures("quick_workers")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("HEADTOHEAD_CACHE", str(folder))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def compare(source: object, *arguments: object) -> Result:
    return call("compare", "--data", source, "--image-size", 36, *arguments)


def assert_refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr
    complaint = [line for line in result.stderr.splitlines() if line.startswith("headtohead: ")]
    assert len(complaint) == 1 or "Usage:" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "--cache", ""),
        ("compare", "--out", ""),
        ("plan", "--masks", ""),
        ("compare", ""),
        ("predict", "", "cat.jpg"),
        ("explain", "study", "cat.jpg", "--masks", ""),
        ("report", ""),
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Else `--cache "$SCRATCH"`, unset, fills the folder that one stands in.

    And `compare "$STUDY"` trains another study.
    """
    monkeypatch.chdir(tmp_path)
    assert_refused(call(*words), 2, "empty")
    assert not list(tmp_path.iterdir())


def test_a_wrong_path_is_a_data_error(tmp_path: Path) -> None:
    assert_refused(compare(tmp_path / "nowhere"), 3, "nowhere")


def test_an_empty_folder_is_a_data_error(tmp_path: Path) -> None:
    assert_refused(compare(tmp_path), 3, str(tmp_path))


def test_one_class_only_is_a_data_error(tmp_path: Path) -> None:
    assert_refused(compare(write_pictures(tmp_path, {"cat": 5})), 3, "cat")


def test_a_class_with_one_picture_is_a_data_error(tmp_path: Path) -> None:
    assert_refused(compare(write_pictures(tmp_path, {"cat": 30, "dog": 1})), 3, "dog", "1")


def test_a_corrupt_archive_is_a_data_error(tmp_path: Path) -> None:
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("cat/1.jpg", os.urandom(3000))
    archive.write_bytes(archive.read_bytes()[:1500])
    assert_refused(compare(archive), 3, "pictures.zip")


def test_a_folder_of_files_that_are_no_pictures_is_a_data_error(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(20):
            (tmp_path / label / f"{number}.jpg").write_bytes(os.urandom(100))
    assert_refused(compare(tmp_path), 3, "40")


def test_an_unknown_head_is_a_usage_error(source: Path) -> None:
    assert_refused(compare(source, "--heads", "fc,gpa"), 2, "gpa", "gap")


def test_a_head_that_cannot_be_imported_is_a_usage_error(source: Path) -> None:
    assert_refused(compare(source, "--heads", "no.such.module:Head"), 2, "no.such.module")


@pytest.mark.parametrize("heads", ["", ",", "gap,gap"])
def test_heads_that_make_no_list_are_a_usage_error(source: Path, heads: str) -> None:
    assert_refused(compare(source, "--heads", heads), 2, "heads")


def test_an_unknown_option_is_a_usage_error(source: Path) -> None:
    assert_refused(compare(source, "--epoch", 3), 2, "--epoch")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seeds", "0"),
        ("--seeds", "-1"),
        ("--seeds", "many"),
        ("--epochs", "0"),
        ("--limit", "0"),
        ("--image-size", "4"),
        ("--batch-size", "0"),
        ("--learning-rate", "-1"),
        ("--learning-rate", "nan"),
        ("--workers", "0"),
        ("--resize", "magic"),
        ("--precision", "fp8"),
        ("--precision", "tf32"),  # on the CPU
        ("--device", "tpu"),
        ("--device", "cuda:99"),
    ],
)
def test_a_value_that_cannot_be_is_a_usage_error(source: Path, option: str, value: str) -> None:
    assert_refused(compare(source, option, value), 2, value)


def test_pictures_too_small_for_the_backbone_are_a_usage_error(source: Path) -> None:
    assert_refused(compare(source, "--image-size", 20), 2, "20", "22")


def test_an_unknown_study_is_a_usage_error() -> None:
    assert_refused(call("compare", "quik"), 2, "quik", "quick")


def test_a_study_file_with_a_misspelt_field_is_a_usage_error(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("recipe: {epoch: 3}\n")
    assert_refused(call("compare", study), 2, "recipe.epoch")


def test_a_folder_that_holds_something_else_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert_refused(compare(source, "--out", tmp_path), 2, "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.usefixtures("no_drawing")
def test_the_folder_of_another_study_is_left_alone(
    source: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Else a mistyped folder is lost, or noticed after hours of decoding."""
    options = ("--heads", "gap", "--seeds", 1, "--out", tmp_path / "out")
    assert compare(source, *options, "--epochs", 1).exit_code == 0
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    prepared = list((tmp_path_factory.getbasetemp() / "cache/prepared").iterdir())
    assert_refused(compare(source, *options, "--epochs", 2), 2, "another study")
    assert_refused(compare(source, *options, "--epochs", 1, "--limit", 40), 2, "the images")
    assert list((tmp_path_factory.getbasetemp() / "cache/prepared").iterdir()) == prepared
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_a_folder_that_may_not_be_written_is_a_storage_error(source: Path) -> None:
    assert_refused(compare(source, "--out", "/proc/study"), 5, "/proc/study")


def test_a_cache_that_may_not_be_written_is_a_storage_error(source: Path) -> None:
    assert_refused(compare(source, "--cache", "/proc/cache"), 5, "/proc/cache")


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
@pytest.mark.parametrize("full", ["out", "cache"])
def test_a_full_disk_is_a_storage_error(source: Path, tmp_path: Path, full: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        options = {"out": tmp_path / "out", "cache": tmp_path / "cache", full: disk / "x"}
        named = [item for name, folder in options.items() for item in (f"--{name}", folder)]
        result = compare(source, "--heads", "fc", "--seeds", 1, "--epochs", 1, *named)
        assert_refused(result, 5, "space")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_report_of_no_study_is_a_usage_error(tmp_path: Path) -> None:
    assert_refused(call("report", tmp_path), 2, "holds no study")


def test_data_check_counts_as_json(source: Path) -> None:
    result = call("data", "check", source, "--json")
    assert result.exit_code == 0, result.output
    assert '"cat"' in json.dumps(json.loads(result.stdout))


def test_data_check_tells_a_test_split_taken_from_the_given_train(tmp_path: Path) -> None:
    """Else a user believes that all of train/ is trained on, and that the test is large."""
    write_pictures(tmp_path / "train", {"cat": 30, "dog": 30})
    write_pictures(tmp_path / "val", {"cat": 5, "dog": 5})
    assert json.loads(call("data", "check", tmp_path, "--json").stdout)["split"] == {
        "train": 54,
        "validation": 10,
        "test": 6,
    }
    told = call("data", "check", tmp_path).stdout
    found = [stated(line, "images", "train/")[:3] for line in told.splitlines()]
    assert ["6", "images", "train/"] in found
    assert "±24.0 points" in told


@pytest.mark.usefixtures("no_drawing")
def test_the_tensorboard_command_can_be_pasted(tmp_path: Path) -> None:
    """A folder with a space or an apostrophe must reach TensorBoard whole."""
    folder = full_ledger(tmp_path / "it's mine", seeds=1).out
    told = call("report", folder)
    assert told.exit_code == 0, told.output
    (line,) = [line for line in told.stdout.splitlines() if "tensorboard --logdir" in line]
    assert shlex.split(line.partition(": ")[2])[-1] == str(folder / "tensorboard")


def test_data_show_draws_the_pictures(source: Path, tmp_path: Path) -> None:
    result = call("data", "show", source, "--out", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_heads_are_listed_with_their_parameters() -> None:
    listed = call("heads").stdout
    rows = {
        line.split()[0]: line.split()[1]
        for line in listed.splitlines()
        if line.startswith(("fc ", "gap "))
    }
    assert rows == {"fc": "663,301", "gap": "65"}
    assert "arXiv 1312.4400" in call("heads", "gap").stdout
    assert_refused(call("heads", "gpa"), 2, "gpa")


def test_studies_are_listed_and_printed() -> None:
    assert "quick" in call("studies").stdout
    assert call("studies", "quick").stdout.startswith("name: quick")
    assert_refused(call("studies", "quik"), 2, "quik")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "compare"),
        (["compare"], "--until-decided HEAD"),
        (["plan"], "--no-timing"),
        (["tune"], "--trials"),
        (["report"], "--beside"),
        (["data"], "show"),
        (["data", "check"], "--limit"),
        (["data", "show"], "--out"),
        (["heads"], "--classes"),
        (["studies"], "[NAME]"),
    ],
    ids=str,
)
def test_help_of_every_command_names_its_options(words: list[str], says: str) -> None:
    """Else an option that works cannot be found."""
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert says in result.stdout


def commands(
    group: click.Group = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command by its words, those of groups included."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=str)
def test_every_command_tells_what_each_option_does(words: str, command: click.Command) -> None:
    """Else a user reads the code to learn what an option is for."""
    assert command.help
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, f"{words} {option.name}"


def test_data_check_of_files_without_class_folders_says_what_each_is(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"x": 2})
    for number, path in enumerate(sorted((tmp_path / "x").iterdir())):
        path.rename(tmp_path / f"{number}.jpg")
    (tmp_path / "x").rmdir()
    (tmp_path / "letter.jpg").write_text("dear")
    told = call("data", "check", tmp_path)
    assert told.exit_code == 0, told.output
    found = [stated(line, "usable", "files")[:4] for line in told.stdout.splitlines()]
    assert ["2", "usable", "3", "files"] in found
    assert "letter.jpg" in told.stdout


def shell(line: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A line of the shell, in which `$H` is headtohead."""
    environment = {**os.environ, "H": f"{sys.executable} -m headtohead", **variables}
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["studies", "--help", "--version"])
def test_a_full_device_as_output_is_told(command: str) -> None:
    """Else a full disk ends in a traceback, or goes unnoticed."""
    result = shell(f"$H {command} >/dev/full")
    assert result.returncode == 5
    assert result.stderr.count("\n") == 1
    assert "No space left" in result.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    """Else a service that closes them gets a traceback, or text in a file that took their place."""
    command = f"data check {write_pictures(tmp_path / 'source', {'cat': 4, 'dog': 4})}"
    result = shell(f"$H {command} --cache {tmp_path / 'cache'} {closed}")
    assert (result.returncode, "Traceback" in result.stderr) == (0, False)
    assert shell(f"$H studies nosuch {closed}").returncode == 2


def test_a_deleted_folder_is_told(tmp_path: Path) -> None:
    """Else the shell of a folder that is gone gets a traceback."""
    result = shell(f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir ../gone; $H heads")
    assert (result.returncode, result.stderr.count("\n")) == (5, 1)


def test_a_terminal_without_unicode_gets_the_table() -> None:
    """Else `×` in a result ends in a traceback."""
    result = shell("$H heads", PYTHONIOENCODING="ascii")
    assert (result.returncode, "663,301" in result.stdout) == (0, True)


def test_without_a_home_a_folder_for_the_cache_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a container's user without a home gets a traceback, and no way out."""

    def homeless(_: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("HEADTOHEAD_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", homeless)
    assert_refused(call("data", "check", tmp_path), 2, "--cache")


@pytest.mark.parametrize("arguments", [("--classes", -5), ("--classes", 0), ("--image-size", 1e5)])
def test_heads_of_no_size_are_refused(arguments: tuple[str, float]) -> None:
    """Else torch's own words for it are a traceback."""
    assert_refused(call("heads", arguments[0], int(arguments[1])), 2, arguments[0])


def test_settings_of_one_backbone_are_not_passed_over(tmp_path: Path) -> None:
    """Else `backbones tutorial --weights FILE` lists names, and the file seems to fit."""
    for options in (("--image-size", 64), ("--weights", tmp_path / "net.safetensors")):
        assert_refused(call("backbones", "tutorial", *options), 2, "'tutorial'")
        assert_refused(call("backbones", *options), 2, "no name")
    assert call("backbones", "tutorial").stdout.split() == ["tutorial_cnn"]


SLOW_IMPORT = """
import os, signal, sys
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "headtohead.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Slow())
from headtohead.__main__ import main
main()
"""


def test_ctrl_c_while_the_command_loads_is_one_line() -> None:
    """Else a mistyped command that is stopped at once answers with forty lines of import."""
    done = subprocess.run(
        [sys.executable, "-c", SLOW_IMPORT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "headtohead: interrupted.\n")


def test_sigterm_is_told_as_ctrl_c_is() -> None:
    """Else `kill`, or a scheduler's time limit, ends a study without a word of how to go on."""

    @click.group(cls=Group)
    def everything() -> None: ...

    @everything.command("compare")
    def stopped() -> None:
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    try:
        told = CliRunner().invoke(everything, ["compare"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told.exit_code == 130
    assert "same command" in told.stderr


@pytest.mark.parametrize(("name", "saved"), [("compare", True), ("report", False)])
def test_an_interrupted_command_says_what_was_saved(name: str, saved: bool) -> None:
    """Else `report` promises to resume what it saved nothing of."""

    @click.group(cls=Group)
    def everything() -> None: ...

    @everything.command(name)
    def stopped() -> None:
        raise KeyboardInterrupt

    told = CliRunner().invoke(everything, [name])
    assert told.exit_code == 130
    assert ("resume" in told.stderr) == saved
    assert len(told.stderr.splitlines()) == 1
