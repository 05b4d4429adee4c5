"""A probe and a claim of the user's own, in one file: named in a study, everything follows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from headtohead.backbones.own import own_backbone
from headtohead.claims.base import ClaimFigure, Question, measure, pairs
from headtohead.claims.table import CLAIMS, own_claim
from headtohead.cli import main
from headtohead.compare import compare
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.heads.table import head_entry
from headtohead.probes.base import Context, Need, read_run, read_session, write_run
from headtohead.probes.stage import lost, to_collect
from headtohead.probes.table import PROBES, probes_of
from headtohead.report.charts.dots import Dot, DotChart, DotRow, dot_chart
from headtohead.report.charts.style import head_styles
from headtohead.report.render import render
from headtohead.store.evidence import Arrays, evidence_path
from headtohead.store.ledger import Ledger
from headtohead.study_data import StudyData
from ledgers import full_ledger
from pages import part, section
from photographs import write_pictures
from stated import stated


class Darkened:
    """How often a model keeps its answer when the images are half as bright."""

    name = "darkened"
    needs: frozenset[Need] = frozenset({"best", "images"})

    def collect(self, context: Context) -> Arrays:
        from headtohead.training.inference import infer
        from headtohead.training.inputs import Pictures

        shown, model = context.shown, context.best.model
        every = np.arange(len(shown.rows))
        answers = []
        for pixels in (shown.pixels, shown.pixels // 2):
            logits, _ = infer(model, Pictures(pixels, shown.labels, context.device), every)
            answers.append(logits[:, 0].cpu().numpy() > 0)
        return {"kept": answers[0] == answers[1], "epoch": np.array(context.best.epoch)}

    def describe(self, arrays: Arrays) -> float:
        return float(arrays["kept"].mean())


class KeepsItsAnswer:
    """The reference's answers hold better in the dark."""

    name = "darkness"

    def question(self, data: StudyData) -> Question:
        found = data.evidence(Darkened())
        kept = data.by_seed((head, seed, value) for (head, seed), value in found.items())
        return Question(
            statement=f"{data.reference} keeps its answer in the dark, {data.against} does not",
            tested="share of images whose class stays, reference minus the other",
            differences=pairs(kept, data.reference, data.against, data.seeds),
            measures=(measure("class stays in the dark", "share", kept),),
            notes=data.missing(found, "darkened images"),
        )

    def figure(self, data: StudyData) -> ClaimFigure:
        found = data.evidence(Darkened())
        rows, styles = [], head_styles(data.study.heads)
        for head in styles:
            dots = [Dot(v, f"seed {s}: {v:.2f}") for (h, s), v in found.items() if h == head]
            if dots:
                middle = float(np.mean([dot.value for dot in dots]))
                rows.append(DotRow(head, tuple(dots), Dot(middle, f"mean {middle:.2f}")))
        plan = DotChart("darkness", "In the dark", "share", "Dots: seeds.", tuple(rows), styles)
        return ClaimFigure((dot_chart(plan),) if rows else (), about="Half as bright.")


class Sizes:
    """The number of parameters of every head, counted in one session."""

    name = "sizes"
    needs: frozenset[Need] = frozenset({"heads"})

    def collect(self, context: Context) -> Arrays:
        return {plan.head: np.array(plan.build().parameters_count().head) for plan in context.plans}

    def describe(self, arrays: Arrays) -> dict[str, int]:
        return {head: int(count) for head, count in arrays.items()}


class Talking(Sizes):
    """Has something to say of what it found."""

    name = "talking"

    def note(self, arrays: Arrays) -> str | None:
        return f"gap has {arrays['gap']}" if "gap" in arrays else None


class TalkingOfARun(Darkened):
    """The same, of one run."""

    name = "talking_of_a_run"

    def note(self, arrays: Arrays) -> str | None:
        return f"looked at epoch {arrays['epoch']}"


class Leaving(Sizes):
    def __init__(self) -> None:
        raise SystemExit(3)


class Nameless:
    needs: frozenset[Need] = frozenset()


class Taken(Sizes):
    name = "speed"


class TakenClaim(KeepsItsAnswer):
    name = "speed"


class Escaping(Sizes):
    name = "../elsewhere"


class Greedy(Sizes):
    needs = frozenset({"gradients"})  # type: ignore[arg-type]


def study(**fields: Any) -> StudySpec:
    return StudySpec.model_validate(fields)


def test_a_probe_and_a_claim_of_ones_own_are_collected_and_shown(
    tmp_path: Path, quick_workers: None, no_drawing: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else a user who wants to measure something must change the package."""
    write_pictures(tmp_path / "source", {"cat": 60, "dog": 60})
    text = (
        "name: small\nheads: [fc, gap]\nseeds: 1\npictures: {image_size: 36}\n"
        "recipe: {epochs: 1, batch_size: 16}\n"
    )
    file = tmp_path / "study.yaml"
    file.write_text(text)
    settings: dict[str, Any] = {
        "data": tmp_path / "source",
        "out": tmp_path / "out",
        "cache": tmp_path / "cache",
        "workers": 1,
    }
    compare(file, **settings)
    weights = tmp_path / "out/runs/gap/seed-0/best.safetensors"
    trained = weights.stat().st_mtime_ns

    file.write_text(
        text + "probes: ['test_own_code:Darkened', 'test_own_code:Sizes', 'test_own_code:Talking', "
        "'test_own_code:TalkingOfARun']\n"
        "claims: ['test_own_code:KeepsItsAnswer']\n"
    )
    capfd.readouterr()
    assert compare(file, **settings).failures == ()  # added later: the run is not trained again
    told = capfd.readouterr().err
    assert [told.count(note) for note in ("gap has 65", "looked at epoch 1")] == [1, 2]
    assert weights.stat().st_mtime_ns == trained
    ledger = Ledger.open(tmp_path / "out")
    kept = read_run(ledger, Darkened(), "gap", 0)
    assert kept is not None
    assert 0 <= kept <= 1
    sizes = read_session(ledger, Sizes())
    assert sizes is not None
    assert sizes["gap"] == 65
    summary = json.loads((ledger.out / "summary.json").read_bytes())
    (claim,) = (claim for claim in summary["claims"] if claim["name"] == "darkness")
    assert claim["measures"][0]["heads"]["gap"] == pytest.approx(kept)
    assert to_collect(ledger, "gap", 0) == ()

    evidence_path(ledger.out, "darkened", "gap", 0).unlink()
    assert to_collect(ledger, "gap", 0) == ("darkened",)
    weights.unlink()
    assert to_collect(ledger, "gap", 0) == ()
    assert lost(ledger, "gap", 0) == ("darkened",)


def darkened_ledger(
    out: Path, claims: tuple[str, ...] = ("test_own_code:KeepsItsAnswer",)
) -> Ledger:
    """Eight seeds of two heads; gap keeps nine answers of ten, fc about seven."""
    ledger = full_ledger(out, heads=("fc", "gap"), seeds=8, epochs=1)
    for seed in range(8):
        for head, kept in (("gap", 90), ("fc", 70 + seed)):
            arrays = {"kept": np.arange(100) < kept, "epoch": np.array(1)}
            write_run(ledger, Darkened(), head, seed, arrays)
    study = ledger.file.study.model_copy(update={"claims": claims})
    return Ledger.create(out, ledger.file.model_copy(update={"study": study}))


def claims_in(out: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((out / "summary.json").read_bytes())["claims"]
    return {claim["name"]: claim for claim in found}


def listed(page: str, out: Path) -> list[list[str]]:
    """The claims that three places name: method, claims, and LaTeX's caption."""
    names = ("overfitting", "class maps", "translation", "darkness", "parameters", "speed")
    claims = section(page, "claims").partition("gap against")[2].partition(" 1. ")[0]
    latex = (out / "tables/claims.tex").read_text(encoding="utf-8")
    (caption,) = (line for line in latex.splitlines() if line.startswith("\\caption"))
    told = (part(page, "<p><strong>Two families.</strong>", "</p>"), claims, caption)
    return [[name for name in stated(text, *names) if name in names] for text in told]


FAMILY = ["overfitting", "class maps", "translation", "darkness"]
RULED = ["parameters", "speed"]


@pytest.mark.usefixtures("no_drawing")
def test_a_claim_more_that_is_shipped_is_told_in_every_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a claim is tested in a family whose lists on the page and in papers leave it out."""
    monkeypatch.setattr("headtohead.claims.table.CLAIMS", (*CLAIMS, KeepsItsAnswer()))
    ledger = darkened_ledger(tmp_path, ())
    render(StudyData(ledger))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert listed(page, tmp_path) == [FAMILY, FAMILY + RULED, FAMILY + RULED]
    assert "study's own" not in section(page, "claims")


def test_a_claim_of_ones_own_is_decided_and_shown_everywhere(tmp_path: Path) -> None:
    """Else whoever asks something of their own must change page, tables and statistics."""
    ledger = darkened_ledger(tmp_path)
    render(StudyData(ledger, frozenset(ledger.file.study.claims)))
    claims = claims_in(tmp_path)
    assert list(claims) == [
        *(claim.name for claim in CLAIMS),
        "darkness",
    ]
    mine = claims["darkness"]
    assert mine["outcome"] == "supported"
    assert mine["difference"]["mean"] == pytest.approx(0.9 - 0.735)
    assert "Holm over 4" in mine["rule"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert mine["statement"] in page
    assert 'data-chart="darkness"' in page
    assert "seed 3: 0.73" in page  # the pointer reads its figure
    assert listed(page, ledger.out) == [FAMILY, FAMILY + RULED + ["darkness"], FAMILY + RULED]
    for other in ("report.md", "tables/claims.tex"):
        text = (tmp_path / other).read_text(encoding="utf-8")
        assert mine["statement"] in text
        assert "The six claims" in text
    assert "The six claims</h2>" in page


@pytest.mark.usefixtures("no_drawing")
def test_a_claim_found_in_a_ledger_runs_no_code_unasked(tmp_path: Path) -> None:
    """Else opening somebody's ledger runs their code; what it said stays in the family."""
    ledger = darkened_ledger(tmp_path)
    render(StudyData(ledger))
    unread = claims_in(tmp_path)["test_own_code:KeepsItsAnswer"]
    assert unread["outcome"] == "inconclusive"
    assert "--claims test_own_code:KeepsItsAnswer" in unread["rule"]
    told = CliRunner().invoke(
        main, ["report", str(tmp_path), "--claims", "test_own_code:KeepsItsAnswer"]
    )
    assert told.exit_code == 0, told.output
    assert claims_in(tmp_path)["darkness"]["outcome"] == "supported"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("no_such_module:Claim", "no_such_module"),
        ("test_own_code:Sizes", "question, figure"),
        ("test_own_code:TakenClaim", "'speed' is taken"),
    ],
)
def test_a_claim_that_cannot_work_is_one_clear_error(tmp_path: Path, entry: str, told: str) -> None:
    """Else a report ends in a traceback."""
    ledger = darkened_ledger(tmp_path)
    study = ledger.file.study.model_copy(update={"claims": (entry,)})
    ledger = Ledger.create(tmp_path, ledger.file.model_copy(update={"study": study}))
    with pytest.raises(UsageError, match=told):
        render(StudyData(ledger, frozenset([entry])))


def test_the_shipped_probes_have_names_of_their_own() -> None:
    """Else one probe's evidence overwrites another's."""
    names = [probe.name for probe in PROBES]
    assert names == ["predictions", "costs", "class_maps", "translation", "speed"]
    assert [probe.name for probe in probes_of(study(probes=["test_own_code:Sizes"]))] == [
        *names,
        "sizes",
    ]


def test_probes_change_no_run() -> None:
    """Else adding a probe trains the whole study again."""
    plain, probed = study(), study(probes=["test_own_code:Sizes"])
    assert plain.digest("p") == probed.digest("p")
    assert plain.run_key("d", "gap", 0) == probed.run_key("d", "gap", 0)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("no_such_module:Probe", "no_such_module"),
        ("test_own_code:Missing", "Missing"),
        ("test_own_code:Leaving", "exit"),
        ("test_own_code:Nameless", "name, collect, describe"),
        ("test_own_code:Taken", "'speed' is taken"),
        ("test_own_code:Escaping", "../elsewhere"),
        ("test_own_code:Greedy", "'gradients'"),
    ],
)
def test_a_probe_that_cannot_work_is_told_before_the_work(entry: str, told: str) -> None:
    """Else a study trains for hours and then ends in a traceback."""
    with pytest.raises(UsageError, match=told):
        probes_of(study(probes=[entry]))


IMPORTERS: dict[str, Callable[[str], object]] = {
    "head": head_entry,
    "backbone": own_backbone,
    "probe": lambda entry: probes_of(study(probes=[entry])),
    "claim": own_claim,
}


@pytest.mark.parametrize("kind", IMPORTERS)
def test_own_code_that_ends_the_program_or_raises_is_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a script that was meant to be run ends the command without a word, or in a traceback."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in {
        "exits": "import sys\nsys.exit()",
        "raises": "raise ValueError('one\\ntwo')",
        "silent": "raise RuntimeError",
    }.items():
        module = f"{name}_{kind}"
        (tmp_path / f"{module}.py").write_text(code)
        with pytest.raises(UsageError) as error:
            IMPORTERS[kind](f"{module}:Mine")
        (line,) = str(error.value).splitlines()
        told = {"exits": "exit", "raises": "one two", "silent": "RuntimeError"}[name]
        assert f"{kind} '{module}:Mine'" in line
        assert told in line


def test_only_a_module_and_a_class_name_a_probe() -> None:
    """Else a typing error is taken for a module."""
    for entry in ("sizes", "a:b:c", "../x:Probe", ":Probe", "a:"):
        with pytest.raises(ValueError, match="probes"):
            study(probes=[entry])
