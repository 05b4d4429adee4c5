"""The command in the test's own process: what a user reads, without seconds of imports."""

import subprocess

from click.testing import CliRunner

from headtohead.cli import main


def run(*words: object, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    listed = [str(word) for word in words]
    done = CliRunner().invoke(main, listed, input=given, catch_exceptions=False)
    return subprocess.CompletedProcess(listed, done.exit_code, done.stdout, done.stderr)
