"""What was measured so far, on disk: JSON with all of it, and its tables in Markdown beside it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headtohead.core.files import write_atomic
from measuring import OURS, Failure, Measurement, Outcome
from tables import report
from targets import DECODER, FLOOR, TARGETS, judged, targets_table


@dataclass
class Recording:
    """Written whole after each outcome: a benchmark that is killed has lost one measurement."""

    path: Path
    header: dict[str, Any]
    """Machine, versions, command: what a reader needs to judge the numbers and get them again."""
    outcomes: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        content = json.dumps(self.content(), indent=1) + "\n"
        write_atomic(self.path, content.encode())
        write_atomic(self.path.with_suffix(".md"), (self.tables() + "\n").encode())

    @property
    def measurements(self) -> list[Measurement]:
        return [o for o in self.outcomes if isinstance(o, Measurement)]

    @property
    def failures(self) -> list[Failure]:
        return [o for o in self.outcomes if isinstance(o, Failure)]

    def content(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        targets = [judged(target, self.measurements) for target in TARGETS]
        return {
            **self.header,
            "targets": [
                {**asdict(j.target), "values": j.values, "holds": j.holds} for j in targets
            ],
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "failures": [asdict(failure) for failure in self.failures],
        }

    def tables(self) -> str:
        """Markdown: targets, cases, and what the numbers hold for."""
        parts = [
            "## targets",
            targets_table(self.measurements),
            report(self.outcomes, (OURS, FLOOR, DECODER)),
            *(f"{name}: {value}" for name, value in self.header.items()),
        ]
        return "\n\n".join(parts)
