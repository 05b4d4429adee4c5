"""The tables and figures of docs/zoo.md, from the accuracies in docs/zoo.

    python tools/zoo_tables.py                    # write them into docs/zoo.md and docs/figures/zoo
    python tools/zoo_tables.py pack STUDY … NAME  # keep accuracies of studies in docs/zoo/NAME.csv

A table stands between the lines `<!-- table NAME -->` and `<!-- end -->`. Differences are paired by
seed, with the statistics of every report; marked are those whose 95 % interval does not hold 0,
which are estimates. Verdicts are those of the three comparisons that the studies name.
"""

import csv
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from headtohead.heads.table import FAMILIES
from headtohead.report.charts.chart import saved
from headtohead.report.charts.style import COLORS, MARKERS, STYLE, head_styles
from headtohead.stats import compare_family, paired_difference, spread
from headtohead.stats.family import deciding_text, points
from headtohead.stats.paired import PairedDifference

ROOT = Path(__file__).parent.parent
PAGE, DATA, FIGURES = ROOT / "docs/zoo.md", ROOT / "docs/zoo", ROOT / "docs/figures/zoo"
KEPT = ("head", "seed", "head_parameters", "test_accuracy", "last_overfit", "cpu_seconds")
LEVEL, MARGIN = 0.05, 0.01
REFERENCE = "gap"

ZOO = {
    "zoo-flowers": "flowers",
    "zoo-cats": "cats and dogs",
    "zoo-pets": "pets",
    "zoo-drawn": "drawn, trained",
}
"""Studies of all heads, and what their columns are called."""

TOLD_APART = ("zoo-flowers", "zoo-cats", "zoo-drawn")
"""Those whose heads differ: most name all of the pets rightly."""

SAME = {"nin": "gap", "conv": "linear"}
"""Heads that are one function, in `same-flowers`."""

TICKS = {1e3: "1k", 1e4: "10k", 1e5: "100k", 1e6: "1M", 1e7: "10M"}
ASKED = ("linear", "gem", "attention")
BACKBONES = {
    "zoo": "EfficientNet-Lite0",
    "lite2": "EfficientNet-Lite2",
    "mobilenet": "MobileNetV2",
}
RIVALS = ("gem", "gmp", "concat_avg_max", "linear", "fc", "simpool", "mlp")
PER_CLASS = (10, 50, 250, 2000, 10_000)
FEW = ("gap", "gem", "gmp", "linear", "fc", "class_mean")


@dataclass(frozen=True)
class Study:
    """Test accuracies by head and seed, and the heads' parameters."""

    accuracies: Mapping[str, Mapping[int, float]]
    parameters: Mapping[str, int]

    def mean(self, head: str) -> float:
        """Over all seeds."""
        values = self.accuracies[head].values()
        return sum(values) / len(values)

    def against(self, head: str, reference: str = REFERENCE) -> list[float]:
        """`head` minus the reference, seed by seed."""
        first, second = self.accuracies[head], self.accuracies[reference]
        return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def study(name: str) -> Study:
    """What docs/zoo/NAME.csv holds."""
    accuracies: dict[str, dict[int, float]] = {}
    parameters: dict[str, int] = {}
    with (DATA / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            accuracies.setdefault(row["head"], {})[int(row["seed"])] = float(row["test_accuracy"])
            parameters[row["head"]] = int(row["head_parameters"])
    return Study(accuracies, parameters)


def pack(folders: Sequence[Path], name: str) -> None:
    """Keep what docs/zoo.md needs of studies that `headtohead report` has been made of.

    A run that several of them have is the same in all.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for folder in folders:
        with (folder / "results.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if row["status"] == "finished":
                    rows.setdefault((row["head"], row["seed"]), row)
    DATA.mkdir(exist_ok=True)
    with (DATA / f"{name}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, KEPT, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for row in rows.values():
            shares = {key: f"{float(row[key]):.6g}" for key in KEPT[3:] if row[key]}
            table.writerow({**row, **shares})


def heads() -> str:
    """Every head on every data set, by family; a study may lack heads."""
    found = {name: study(name) for name in ZOO}
    lines = [
        f"| head | parameters | {' | '.join(ZOO.values())} |",
        f"|---|---|{'---|' * len(ZOO)}",
    ]
    for family, entries in FAMILIES.items():
        lines.append(f"| *{family}* | |{' |' * len(ZOO)}")
        shown = [head for head in entries if any(head in s.accuracies for s in found.values())]
        for head in shown:
            counts = [s.parameters[head] for s in found.values() if head in s.parameters]
            cells = [_cell(s, head) for s in found.values()]
            lines.append(f"| `{head}` | {counts[0]:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Study, head: str) -> str:
    """`81.3 ± 2.1 ▲`: mean, standard deviation over seeds, and how it stands to the reference."""
    if head not in found.accuracies:
        return "–"
    over_seeds = spread(list(found.accuracies[head].values()))
    if over_seeds is None or over_seeds.sd is None:
        return f"{100 * found.mean(head):.1f}"
    mark = "" if head == REFERENCE else _mark(paired_difference(found.against(head), LEVEL))
    return f"{100 * over_seeds.mean:.1f} ± {100 * over_seeds.sd:.1f}{mark}"


def _mark(difference: PairedDifference) -> str:
    low, high = difference.low, difference.high
    if low is None or high is None or low <= 0 <= high:
        return ""
    return " ▲" if low > 0 else " ▼"


def verdicts() -> str:
    """GAP against the three heads that were named beforehand."""
    lines = [
        "| data | `gap` against | difference, points | beats it | at least as good within 1 point |"
    ]
    lines.append("|---|---|---|---|---|")
    for name, title in ZOO.items():
        found = study(name)
        pairs = {head: [-d for d in found.against(head)] for head in ASKED}
        for head, result in compare_family(pairs, REFERENCE, LEVEL, MARGIN).items():
            better, not_worse = result.better.outcome, result.not_worse.outcome
            interval = _interval(result.difference)
            why = deciding_text(result.deciding, len(pairs)).removeprefix(": ")
            told = f"{better}, {why}" if why else better
            lines.append(f"| {title} | `{head}` | {interval} | {told} | {not_worse} |")
    return "\n".join(lines)


def same() -> str:
    """What other first weights of the same function bring."""
    lines = ["| flowers | against, the same function | difference, points |", "|---|---|---|"]
    found = study("same-flowers")
    for head, other in SAME.items():
        difference = paired_difference(found.against(head, other), LEVEL)
        lines.append(f"| `{head}` | `{other}` | {_interval(difference)} |")
    return "\n".join(lines)


def _interval(found: PairedDifference) -> str:
    if found.mean is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{points(found.mean)} of every seed"
    return f"{points(found.mean)} ({points(found.low)} to {points(found.high)})"


def backbones() -> str:
    """Each rival minus GAP on each backbone."""
    data = {"flowers": "flowers", "cats": "cats and dogs"}
    lines = [
        f"| backbone | data | `gap`, % | {' | '.join(f'`{head}`' for head in RIVALS)} |",
        f"|---|---|---|{'---|' * len(RIVALS)}",
    ]
    for key, backbone in BACKBONES.items():
        for part, title in data.items():
            if not (DATA / f"{key}-{part}.csv").is_file():
                continue
            found = study(f"{key}-{part}")
            cells = [_minus(found, head) for head in RIVALS]
            mean = 100 * found.mean(REFERENCE)
            lines.append(f"| {backbone} | {title} | {mean:.1f} | {' | '.join(cells)} |")
    drawn = study("zoo-drawn")
    cells = [_minus(drawn, head) for head in RIVALS]
    mean = 100 * drawn.mean(REFERENCE)
    lines.append(f"| `tutorial_cnn`, trained | drawn | {mean:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _minus(found: Study, head: str) -> str:
    if head not in found.accuracies:
        return "–"
    difference = paired_difference(found.against(head), LEVEL)
    return f"{points(difference.mean or 0.0)}{_mark(difference)}"


def per_class() -> str:
    """Accuracies by images of a class."""
    lines = [
        f"| images of a class to train | {' | '.join(f'`{head}`' for head in FEW)} |",
        f"|---|{'---|' * len(FEW)}",
    ]
    for count in PER_CLASS:
        found = study(f"per-class-{count}")
        lines.append(f"| {count:,} | {' | '.join(_cell(found, head) for head in FEW)} |")
    return "\n".join(lines)


def correlations() -> str:
    """Whether more parameters go with more accuracy: Spearman's rank correlation over heads."""
    lines = ["| data | heads | rank correlation of parameters and test accuracy |", "|---|---|---|"]
    for name in TOLD_APART:
        found = study(name)
        names = [head for head in found.parameters if head != "class_mean"]
        sizes = _ranks([float(found.parameters[head]) for head in names])
        scores = _ranks([found.mean(head) for head in names])
        lines.append(f"| {ZOO[name]} | {len(names)} | {np.corrcoef(sizes, scores)[0, 1]:+.2f} |")
    return "\n".join(lines)


def _ranks(values: Sequence[float]) -> list[float]:
    """Equal values share their mean rank."""
    ordered = sorted(values)
    return [ordered.index(v) + (ordered.count(v) - 1) / 2 for v in values]


def parameters_figure() -> bytes:
    """Test accuracy by parameters, a panel for each of TOLD_APART, a colour for each family."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(13, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        places = figure.subplots(1, 3).ravel().tolist()
        for axes, name in zip(places, TOLD_APART, strict=True):
            _scatter(axes, study(name), ZOO[name])
        handles, labels = places[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        return saved(figure, "png")


def _scatter(axes: Axes, found: Study, title: str) -> None:
    for place, (family, entries) in enumerate(FAMILIES.items()):
        names = [head for head in entries if found.parameters.get(head, 0) > 0]
        if not names:
            continue
        sizes = [found.parameters[head] for head in names]
        scores = [100 * found.mean(head) for head in names]
        color, marker = COLORS[place], MARKERS[place]
        axes.plot(sizes, scores, label=family, color=color, marker=marker, linestyle="")
    axes.axhline(100 * found.mean(REFERENCE), color=COLORS[-1], linewidth=1, linestyle="--")
    axes.set(title=title, xscale="log", xlabel="parameters of the head (k: thousand, M: million)")
    axes.set_xticks(list(TICKS), list(TICKS.values()))
    axes.minorticks_off()
    axes.set_ylabel("test accuracy, %")
    low = min(found.accuracies, key=found.mean)
    high = max(found.accuracies, key=found.mean)
    for head in {low, high, REFERENCE, "class_attention", "linear"} & set(found.parameters):
        point = (max(found.parameters[head], 1), 100 * found.mean(head))
        axes.annotate(head, point, xytext=(4, 3), textcoords="offset points", fontsize=8)


def per_class_figure() -> bytes:
    """Test accuracy by images of a class."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        found = [study(f"per-class-{count}") for count in PER_CLASS]
        for head, look in head_styles(FEW).items():
            scores = [100 * item.mean(head) for item in found]
            line = ":" if head == "class_mean" else "-"  # which is not trained
            color, marker = look.color, look.marker
            axes.plot(PER_CLASS, scores, label=head, color=color, marker=marker, linestyle=line)
        axes.set(xscale="log", xlabel="images of a class to train", ylabel="test accuracy, %")
        axes.set_xticks(PER_CLASS, [f"{count:,}" for count in PER_CLASS])
        axes.minorticks_off()
        axes.legend()
        return saved(figure, "png")


TABLES: dict[str, Callable[[], str]] = {
    "heads": heads,
    "same": same,
    "verdicts": verdicts,
    "correlations": correlations,
    "backbones": backbones,
    "per-class": per_class,
}


def filled(page: str) -> str:
    """`page` with each of its tables made anew."""

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}"

    return re.sub(
        r"(<!-- table (\S+) -->\n)(?:(?!<!--).)*(\n<!-- end -->)", table, page, flags=re.DOTALL
    )


def main(arguments: Sequence[str]) -> None:
    """Pack a study, or write tables and figures."""
    if arguments:
        verb, *folders, name = arguments
        if verb != "pack" or not folders:
            raise SystemExit(f"pack STUDY … NAME; received {' '.join(arguments)}")
        pack([Path(folder) for folder in folders], name)
        return
    PAGE.write_text(filled(PAGE.read_text()))
    FIGURES.mkdir(exist_ok=True)
    (FIGURES / "parameters.png").write_bytes(parameters_figure())
    (FIGURES / "per_class.png").write_bytes(per_class_figure())


if __name__ == "__main__":
    main(sys.argv[1:])
