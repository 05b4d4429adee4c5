"""LaTeX tables: complete, and obeying no name."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.tex import escape
from headtohead.report.formats.latex import latex_tables
from headtohead.report.formats.latex_layout import table
from headtohead.report.page.content import gather
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.store.looks import LooksRecord, write_looks
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, change_epochs, full_ledger, study_ledger
from stated import stated

pytestmark = pytest.mark.usefixtures("no_drawing")


def columns_of(content: bytes) -> dict[str, list[str]]:
    """Label of a row → its cells, over all tabulars, whose rows have as many as their columns."""
    found: dict[str, list[str]] = {}
    for part in content.decode().split("\\begin{tabular}{")[1:]:
        kinds, body = part.split("\n", 1)
        columns = re.sub(r"p\{.*?\\linewidth\}", "l", kinds.removesuffix("}"))
        for line in body.split("\\bottomrule")[0].splitlines():
            if line.endswith(" \\\\"):
                label, *cells = line.removesuffix(" \\\\").split(" & ")
                assert len(cells) == len(columns) - 1
                found.setdefault(label.removeprefix("\\raggedright "), []).extend(cells)
    return found


def tables_of(ledger: Ledger) -> Mapping[str, bytes]:
    return latex_tables(gather(StudyData(ledger), summarize(StudyData(ledger))))


def test_tables_of_a_study(tmp_path: Path) -> None:
    """For a paper: every head, every comparison, columns that fit their header."""
    ledger = full_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=2)
    tables = tables_of(ledger)
    assert set(tables) == {"heads.tex", "verdicts.tex", "claims.tex"}
    for content in tables.values():
        assert content.count(b"\\begin") == content.count(b"\\end")
    heads = columns_of(tables["heads.tex"])
    assert re.fullmatch(r"[\d.]+ \$\\pm\$ [\d.]+", heads["fc\\_dropout"][0])
    assert heads["fc\\_dropout"][1:3] == ["705,453", "676,401"]
    assert heads["fc\\_dropout"][-1] == "7"
    assert heads["largest class"][:3] == ["50.0", "0", "0"]
    assert {"cat", "42.9", "57.1"} <= set(re.findall(r"[\w.]+", caption_of(tables["heads.tex"])))
    verdicts = columns_of(tables["verdicts.tex"])
    for head in ("fc", "fc\\_dropout"):
        assert sum("{[" in cell for cell in verdicts[head]) == 2, "over seeds and over images"
    claims = columns_of(tables["claims.tex"])
    (counted,) = (cells for label, cells in claims.items() if "fewer parameters" in label)
    assert counted[:3] == ["supported", "--", "--"]
    (tested,) = (cells for label, cells in claims.items() if "over-fits" in label)
    assert (tested[0], tested[1][0]) == ("supported", "+")


def test_tables_of_two_studies_have_labels_of_their_own(tmp_path: Path) -> None:
    """Else a paper with both refers to the wrong study's table, and LaTeX only warns."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    found: list[str] = []
    for name in ("quick", "Cats_and.dogs+2-b"):
        study = ledger.file.study.model_copy(update={"name": name})
        named = Ledger(ledger.out, ledger.file.model_copy(update={"study": study}))
        for file, content in tables_of(named).items():
            (label,) = re.findall(r"\\label\{tab:(.*)\}", content.decode())
            assert label == f"{name}-{file.removesuffix('.tex')}"
            found.append(label)
    assert len(set(found)) == len(found) == 6


def caption_of(content: bytes) -> str:
    (line,) = (line for line in content.decode().splitlines() if line.startswith("\\caption{"))
    return line


def test_a_table_fits_its_page(tmp_path: Path) -> None:
    """Else columns run off the paper to the right, and heads off its end."""
    ledger = full_ledger(tmp_path, heads=("fc", "fc_dropout", "gap"), seeds=7, epochs=1)
    for content in tables_of(ledger).values():
        for part in content.decode().split("\\begin{tabular}")[1:]:
            rows = part.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
            shown = [re.sub(r"\\raggedright |\\\\$|\\_|[{}$]|\\pm", "", row) for row in rows]
            assert max(map(len, shown)) <= 100
    many = [(f"head_{n}", *["0.123 ± 0.456"] * 12) for n in range(120)]
    text = table("All", "heads", ("Head", *[f"metric {n}" for n in range(12)]), many)
    floats = text.split("\\begin{table}")[1:]
    assert max(part.count(" \\\\\n") for part in floats) <= 52
    assert text.count("\\label{tab:heads}") == 1
    assert len(floats) == text.count("\\addtocounter{table}{-1}") + 1
    assert set(columns_of(text.encode())) == {"Head", *(f"head\\_{n}" for n in range(120))}
    assert len(columns_of(text.encode())["head\\_119"]) == 12


def test_an_own_claim_of_any_length_is_broken_into_lines() -> None:
    """Else one long sentence pushes its verdict off the page."""
    text = table("Claims", "claims", ("Claim", "verdict"), [("long words " * 20, "supported")])
    assert "{p{" in text
    assert "\\raggedright long words" in text
    name = "laboratory.heads:GlobalMaximum_ThenLinear"
    text = table("Heads", "heads", ("Head", "n"), [(name, "1")])
    assert text.count("\\allowbreak{}") == 3
    assert name in re.sub(r"\\allowbreak\{\}|\\(?=_)", "", text)


def test_a_caption_says_what_the_intervals_and_the_margin_are(tmp_path: Path) -> None:
    """Else a reader of the paper does not know the level, nor what "at least as good" allows."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1, margin=0.02, level=0.1)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.80 + 0.01 * seed)
        add_run(ledger, "fc", seed, skill=0.90)
    tables = tables_of(ledger)
    assert {"90", "2"} <= set(re.findall(r"\d+", caption_of(tables["verdicts.tex"])))
    assert "90" in re.findall(r"\d+", caption_of(tables["claims.tex"]))


def test_a_subset_of_the_heads_is_not_each_other_head(tmp_path: Path) -> None:
    """Else a table of one declared pair says that it has them all."""
    heads = ("fc", "gap", "gmp")
    ledger = full_ledger(tmp_path / "all", heads=heads, seeds=2, epochs=1)
    assert "each other head" in caption_of(tables_of(ledger)["verdicts.tex"])
    ledger = full_ledger(tmp_path / "one", heads=heads, seeds=2, epochs=1, pairs=["fc"])
    assert "each other head" not in caption_of(tables_of(ledger)["verdicts.tex"])


def test_failed_runs_stand_beside_those_that_a_mean_is_over(tmp_path: Path) -> None:
    """Else a paper hides that a head diverged."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.8)
    add_run(ledger, "fc", 0, skill=0.8)
    add_run(ledger, "fc", 1, failure=Failure(reason="diverged", epoch=1, step=1))
    heads = columns_of(tables_of(ledger)["heads.tex"])
    assert (heads["fc"][-1], heads["gap"][-1]) == ("1 (1 failed)", "2")
    assert "finished" in caption_of(tables_of(ledger)["heads.tex"])
    assert "failed run" in caption_of(tables_of(ledger)["verdicts.tex"])
    whole = full_ledger(tmp_path / "whole", heads=("fc", "gap"), seeds=2, epochs=1)
    assert "failed run" not in caption_of(tables_of(whole)["verdicts.tex"])


def test_two_heads_that_failed_are_not_level(tmp_path: Path) -> None:
    """Else "+0.00" stands in a paper for two heads of which nothing was measured."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap", "gmp"), seeds=2, epochs=1)
    for seed in (0, 1):
        for head in ("fc", "gap"):
            add_run(ledger, head, seed, failure=Failure(reason="diverged", epoch=1, step=1))
    assert "verdicts.tex" not in tables_of(ledger)
    add_run(ledger, "gmp", 0, skill=0.8)
    assert set(columns_of(tables_of(ledger)["verdicts.tex"])) == {"Against", "gmp"}


def test_a_sequential_design_has_no_p_of_another_test(tmp_path: Path) -> None:
    """Else a paper gives Holm's p-value beside a verdict that another rule decided."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap", "gmp"), seeds=7, epochs=1)
    cells = columns_of(tables_of(ledger)["verdicts.tex"])
    assert all(0 < float(cells[head][3]) <= 1 for head in ("fc", "gmp"))
    design = {"looks": (7, 8, 10), "level": 0.05, "spending": "pocock", "seeds": 2}
    record = {"reference": "gap", "other": "fc", **design}
    write_looks(tmp_path, LooksRecord.model_validate(record))
    content = tables_of(ledger)["verdicts.tex"]
    cells = columns_of(content)
    assert cells["fc"][3] == cells["gmp"][3] == "--"
    assert b"Holm" not in content
    assert stated(caption_of(content), "sequential", "fc")[-2:] == ["fc", "sequential"]


def test_one_pair_of_runs_has_no_p_value(tmp_path: Path) -> None:
    """Else "1" stands under "p", as if something had been tested; nor are there deviations."""
    tables = tables_of(full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1))
    cells = columns_of(tables["verdicts.tex"])["fc"]
    assert (cells[1], cells[3], cells[4]) == ("--", "--", "1")
    assert "deviation" not in caption_of(tables["heads.tex"])


def test_letters_that_pdflatex_does_not_know_are_named() -> None:
    """Else it stops at a Chinese class name, and the author does not know why."""
    text = table("Heads", "heads", ("Head", "n"), [("猫", "1")])
    assert "猫" in text.splitlines()[1]
    assert "LuaLaTeX" in text.splitlines()[1]
    assert "LuaLaTeX" not in table("Heads", "heads", ("Head", "n"), [("Müll – “a”", "1")])


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("--seeds 7", "-{}-seeds 7"),
        ("a|b", "a\\textbar{}b"),
        ("`x`", "\\textasciigrave{}x\\textasciigrave{}"),
        ("≥ 2 ×", "$\\ge$ 2 $\\times$"),
        ("1–2", "1--2"),
    ],
)
def test_letters_are_printed_as_they_are(text: str, printed: str) -> None:
    """Else LaTeX prints an option's two hyphens as a dash, and a bar as one, too."""
    assert escape(text) == printed


def test_numbers_below_zero_have_a_minus(tmp_path: Path) -> None:
    """A hyphen before a number is a misprint in a paper."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    for seed in (0, 1):
        add_run(ledger, "gap", seed, skill=0.80 + 0.01 * seed)
        add_run(ledger, "fc", seed, skill=0.90)
    verdicts = tables_of(ledger)["verdicts.tex"].decode()
    assert "fc & $-$9.50 & {[$-$" in verdicts
    assert not re.search(r"(?<![\w$-])-\d", verdicts)


def test_a_caption_says_first_what_is_not_judged(tmp_path: Path) -> None:
    """A table is cut out and pasted: what it cannot say must go with it."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=1)
    change_epochs(ledger, "gap", accuracy=0.9, train_accuracy=0.7)
    for content in tables_of(ledger).values():
        assert "\\caption{\\textbf{Not judged: " in content.decode()


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    """A dash, not a made-up interval."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    tables = tables_of(ledger)
    assert " & -- & " in tables["verdicts.tex"].decode()


@given(st.text(max_size=60))
def test_no_character_is_obeyed(text: str) -> None:
    r"""A class named `\input{secrets}` is printed."""
    found = escape(text)
    for command in (
        "textbackslash{}",
        "textasciitilde{}",
        "textasciicircum{}",
        "textless{}",
        "textgreater{}",
        "textbar{}",
        "textasciigrave{}",
    ):
        found = found.replace(f"\\{command}", "")
    found = found.replace("-{}", "-")
    for mathematics in ("$\\pm$", "$-$", "$\\le$", "$\\ge$", "$\\times$"):
        found = found.replace(mathematics, "")
    for letter in "&%$#_{}":
        found = found.replace(f"\\{letter}", "")
    assert not set(found) & set("\\&%$#_{}~^<>\n\r")
