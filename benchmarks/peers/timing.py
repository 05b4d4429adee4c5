"""What the processes that time preparing share."""

import argparse
import resource
from pathlib import Path


def cpu_seconds() -> float:
    """Of this process and of those it has waited for."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def files(data: Path) -> list[Path]:
    """Every photograph, in one order."""
    return sorted(path for path in data.rglob("*") if path.is_file())


def check(count: int, data: Path) -> None:
    """Raises SystemExit unless `count` is the number of photographs."""
    wanted = len(files(data))
    if count != wanted:
        raise SystemExit(f"{count} of {wanted} photographs in {data} were decoded")


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--data", type=Path, required=True)
    return arguments


def folder() -> Path:
    data: Path = parser().parse_args().data
    return data
