"""What all commands share: options from one table; an end in one line and an exit code."""

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from headtohead.config.options import Option, options_of
from headtohead.core.errors import HeadToHeadError, StorageError, UsageError, brief, one_line

Command = Callable[..., Any]

INTERRUPTED = 130
TRAINING = ("compare", "tune")


class _Path(click.Path):
    """Whether it may be read is the command's to find out: click's own answer takes several lines.

    The empty text, of a shell's variable that is not set, is no path: `Path` takes it for the
    current folder.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does it. Raises UsageError for the empty text."""
        if value == "":
            name = "the path" if param is None else param.get_error_hint(ctx)
            raise UsageError(
                f"{name} is empty, as a shell's variable is that is not set: name a file or "
                f"folder, or . for the current folder."
            )
        return super().convert(value, param, ctx)


PATH = _Path(readable=False, path_type=Path)

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")


def table_options(command: str) -> Callable[[Command], Command]:
    """The options that the table of `headtohead.config.options` has for a command."""

    def with_options(function: Command) -> Command:
        for option in reversed(options_of(command)):
            function = click.option(
                option.flag,
                option.name,
                type=_type_of(option),
                is_flag=option.type is bool,
                multiple=option.many,
                default=option.value,
                help=option.told,
                metavar=option.metavar,
            )(function)
        return function

    return with_options


def _type_of(option: Option) -> Any:
    if option.choices:
        return click.Choice(option.choices)
    return {Path: PATH, bool: None}.get(option.type, option.type)


class Group(click.Group):
    """Turns the project's errors into one line on standard error and the right exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command, and end the process."""
        _open_standard_streams()
        _take_sigterm_for_ctrl_c()
        try:
            return super().main(*args, **extra)
        except OSError as error:  # while it prints: help, a table, an error
            _tell(_of_the_system(error))
            _leave_output()
            sys.exit(StorageError.exit_code)

    def invoke(self, context: click.Context) -> Any:
        """Do what was typed; errors become exit codes."""
        try:
            return super().invoke(context)
        except HeadToHeadError as error:
            _tell(str(error))
            context.exit(error.exit_code)
        except click.UsageError as error:
            if type(error) is not click.UsageError:
                raise
            # Words too many are quoted as they came.
            raise click.UsageError(one_line(error.message), error.ctx) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever read the output has seen enough: click knows what to do
            _tell(_of_the_system(error))
            _leave_output()
            context.exit(StorageError.exit_code)
        except MemoryError:
            less = " (--image-size, --batch-size, --limit)" if _trains(context) else ""
            _tell(f"there is not enough memory: ask for less{less}.")
            context.exit(StorageError.exit_code)
        except KeyboardInterrupt:
            saved = " Progress saved. Run the same command to resume." if _trains(context) else ""
            _tell(f"interrupted.{saved}")
            context.exit(INTERRUPTED)


def _trains(context: click.Context) -> bool:
    """Whether the command that was typed saves as it goes, and takes options of training."""
    return context.invoked_subcommand in TRAINING


def _tell(message: str) -> None:
    """One line on standard error, where anybody can hear it."""
    with contextlib.suppress(OSError):
        click.echo(f"headtohead: {one_line(message)}", err=True)


def _of_the_system(error: OSError) -> str:
    name = "" if error.filename is None else f" {brief(repr(str(error.filename)))}"
    return (
        f"cannot read or write{name}: {error.strerror or error}. See to that, or name another "
        f"folder."
    )


def _open_standard_streams() -> None:
    """Have all three, and let any text through.

    Where one was closed, the next file opened would take its number, and be written to by whoever
    prints. A terminal without Unicode shows `?` for what it cannot show.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _take_sigterm_for_ctrl_c() -> None:
    """Of `kill`, a scheduler, or a container that is stopped: words then say what is kept.

    Nothing is changed where SIGTERM is ignored or somebody takes it already.
    """
    with contextlib.suppress(ValueError):  # in another thread than the main one
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)


def _leave_output() -> None:
    """What could not be written is not tried again at the end."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
