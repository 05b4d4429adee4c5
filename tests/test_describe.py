"""The heads in words, from Python as from the command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import headtohead
from headtohead.backbones.counting import multiply_adds
from headtohead.cli import main
from headtohead.core.errors import UsageError
from headtohead.heads.describe import class_maps_of, head_facts, head_options
from headtohead.heads.table import FAMILIES, HEADS, build_head


def printed(*words: str) -> str:
    return CliRunner().invoke(main, ["heads", *words], catch_exceptions=False).stdout


def test_python_lists_heads_as_the_command_does() -> None:
    """Else a notebook must reach into the package's insides to see what can be compared."""
    for words, asked in (
        ([], {}),
        (["gap"], {"name": "gap"}),
        (["gem", "--maps", "1280x7x7"], {"name": "gem", "maps": (1280, 7, 7)}),
        (
            ["fc", "--image-size", "64", "--classes", "10"],
            {"name": "fc", "image_size": 64, "classes": 10},
        ),
    ):
        assert printed(*words).rstrip("\n") == headtohead.heads(**asked)


def test_the_list_has_every_head_in_its_family_with_its_size() -> None:
    """Else a user does not see what can be compared, or what it costs."""
    lines = headtohead.heads().splitlines()
    for family, entries in FAMILIES.items():
        start = lines.index(family.upper()) + 1
        names = [line.split()[0] for line in lines[start : start + len(entries)]]
        assert names == list(entries)
    rows = {line.split()[0]: line for line in lines if line.strip()}
    assert rows["fc"].split()[1:4] == ["663,301", "650,100", "none"]  # the tutorial's images
    assert rows["gap"].split()[1:4] == ["65", "64", "exact"]
    for name, entry in HEADS.items():
        assert entry.formula in rows[name]
        assert entry.source in rows[name]


def test_a_head_that_the_maps_are_too_small_for_is_listed_without_numbers() -> None:
    """Else the list fails for small images, or gives a size that cannot be had."""
    rows = {line.split()[0]: line for line in headtohead.heads(maps="64x1x1").splitlines() if line}
    assert rows["simpool"].split()[1:3] == ["-", "-"]
    assert rows["gap"].split()[1] == "65"
    assert head_facts("avgpool2x2", (64, 1, 1), 1).refusal is not None


def test_sizes_larger_than_memory_are_counted() -> None:
    """Else the one who asks what a head would cost waits for minutes, and runs out of memory."""
    places, classes = 500 * 400, 50_000
    facts = head_facts("linear", (4096, 500, 400), classes)
    assert facts.parameters == 4096 * places * classes + classes
    assert facts.multiply_adds == 4096 * places * classes


@pytest.mark.parametrize("name", HEADS)
def test_a_head_counted_by_its_shapes_is_the_head(name: str) -> None:
    """Else `heads` gives another size, or other class maps, than the model that is trained has."""
    facts = head_facts(name, (64, 3, 5), 3)
    head = build_head(name, 64, (3, 5), 3)
    features = torch.zeros(1, 64, 3, 5)
    assert facts.parameters == sum(p.numel() for p in head.parameters())
    assert facts.multiply_adds == multiply_adds(head, features)
    assert (facts.class_maps == "none") == (head.class_maps(features) is None)


def test_one_head_is_explained() -> None:
    """Else a name in the list stays a name."""
    text = headtohead.heads("gem", maps="1280x7x7", classes=5)
    entry = HEADS["gem"]
    assert entry.formula in text
    assert entry.when in text
    assert f"{1280 * 5 + 5 + 1:,} on 1280 × 7 × 7" in text
    assert "p=3.0, learn=True" in text


def test_kinds_of_class_maps() -> None:
    """Else maps of attention are taken for maps that say what a change would do."""
    kinds = {name: class_maps_of(entry.cls) for name, entry in HEADS.items()}
    assert {name for name, kind in kinds.items() if kind == "exact"} == {
        *("linear", "conv", "avgpool2x2", "fc_small", "gap", "gap_bn", "nin", "class_mean"),
    }
    assert {name for name, kind in kinds.items() if kind == "fixed attention"} == {
        *("wildcat", "csra", "simpool", "efficient_probing", "abmil", "se_gap", "cbam_gap"),
    }


def test_a_head_of_the_users_own_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `heads my:Head` fails for want of a formula; one that returns None has no maps."""
    (tmp_path / "described_head.py").write_text(
        "from headtohead.heads.pooling import GlobalMax\n"
        "class Mine(GlobalMax):\n"
        '    """Mine."""\n'
        "    def class_maps(self, features):\n"
        "        return None\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    text = headtohead.heads("described_head:Mine")
    assert "described_head:Mine" in text
    assert head_facts("described_head:Mine", (4, 2, 2), 1).class_maps == "none"


def test_options_are_those_of_the_constructor() -> None:
    """Else tuning searches options that a head does not have."""
    assert head_options("fc_dropout") == {"hidden": [100, 100], "dropout": 0.5}
    assert head_options("gap") == {}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "gpa"}, "gpa"),
        ({"maps": "1280x7"}, "1280x7x7; received '1280x7'"),
        ({"maps": "ax7x7"}, "received 'ax7x7'"),
        ({"maps": "0x7x7"}, "received '0x7x7'"),
        ({"maps": (1280, 7.9, 7)}, r"1280x7x7; received \(1280, 7.9, 7\)"),
        ({"maps": (True, 7, 7)}, r"1280x7x7; received \(True, 7, 7\)"),
        ({"maps": (64, float("inf"), 1)}, r"1280x7x7; received \(64, inf, 1\)"),
        ({"maps": 5}, "1280x7x7; received 5"),
        ({"maps": "100001x1x1"}, "at most 100,000 .* received '100001x1x1'"),
        ({"maps": "4096x3000x3000"}, "1,000,000,000 values .* received '4096x3000x3000'"),
        ({"classes": 1}, "--classes .* from 2 to 100,000; received 1"),
        ({"classes": 2.5}, "--classes .* received 2.5"),
        ({"classes": "3"}, "--classes .* received '3'"),
        ({"image_size": None}, "--image-size .* received None"),
        ({"maps": "99999999999x999x999"}, "received '99999999999x999x999'"),
        ({"image_size": 9}, "too small"),
        ({"name": "simpool", "maps": "8x1x1"}, "received 1 × 1"),
    ],
    ids=str,
)
def test_mistakes_are_named(asked: dict[str, Any], words: str) -> None:
    """Else a slip ends in a traceback, or another size than the one asked for is described."""
    with pytest.raises(UsageError, match=words):
        headtohead.heads(**asked)


@pytest.mark.parametrize("name", headtohead.__all__)
def test_every_public_name_loads(name: str) -> None:
    """Else the documentation names what is not there."""
    assert getattr(headtohead, name) is not None
