"""`report.html` as a text: whole, safe against every name, readable by everyone, never silent."""

import json
import re
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from headtohead.probes.base import write_run
from headtohead.probes.class_maps import CLASS_MAPS
from headtohead.probes.probe_images import Masks, masks_path, write_masks
from headtohead.report.charts.chart import Series
from headtohead.report.charts.style import COLORS
from headtohead.report.page.content import gather
from headtohead.report.page.frame import THEME
from headtohead.report.page.gallery import map_grid
from headtohead.report.page.html import arrange
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger
from pages import Page, fact, report_page, said, section
from reports import PROBED, SIDE, rich_ledger
from stated import stated

HOSTILE = "<script>alert('x')</script>"


def page_of(ledger: Ledger, pictures: int = 12) -> str:
    return report_page(ledger, pictures)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with everything on it, of files and classes with the worst of names."""
    out = tmp_path_factory.mktemp("study") / "out"
    ledger = rich_ledger(
        out,
        names=[f"{HOSTILE}/{row}.jpg" for row in range(120)],
        heads=("fc", "gap"),
        seeds=2,
        epochs=3,
        per_class=60,
        classes=(HOSTILE, 'dog" onload="alert(1)'),
    )
    return page_of(ledger)


def test_no_name_becomes_markup(rich: str) -> None:
    """A folder named `<script>` would run its code in the browser of whoever opens the report."""
    page = Page(rich)
    assert len(list(page.all("script"))) == 2
    assert f"{HOSTILE}/84.jpg" in page.words
    assert not any(key.startswith("on") for _, found in page.elements for key in found)
    assert 'dog" onload="alert(1)' in page.words


@pytest.mark.usefixtures("no_drawing")
def test_values_cannot_end_their_script(tmp_path: Path) -> None:
    """A label that held `</script>` would end the data and start markup."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    content = gather(StudyData(ledger), summarize(StudyData(ledger)))
    assert content.forest is not None
    label = "</script><b>\u2028"
    series = Series(label, 0, ((1.0, 2.0),), ("said",))
    page = arrange(replace(content, forest=replace(content.forest, series=(series,))))
    (values,) = re.findall(r'<script type="application/json" id="values">(.*?)</script>', page)
    assert json.loads(values)["forest"][0]["label"] == label
    assert len(list(Page(page).all("script"))) == 2


def test_nothing_is_loaded_from_anywhere(rich: str) -> None:
    """A mailed report must open offline, and must not tell anyone that it was opened."""
    page = Page(rich)
    for tag, found in page.elements:
        for key in ("src", "href", "xlink:href"):
            address = found.get(key, "")
            assert address.startswith(("#", "data:image/jpeg;base64,")) or not address, (
                tag,
                address,
            )
    assert "url(" not in rich.replace("url(#", "")
    assert "@import" not in rich
    policy = next(f for _, f in page.all("meta") if "http-equiv" in f)["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_everything_is_readable_without_sight(rich: str) -> None:
    """Headings in order, a text for every image and chart, names for tables and controls."""
    page = Page(rich)
    levels = [int(tag[1]) for tag, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    images = [found for _, found in page.all("img")]
    assert len(images) > 30
    assert all(found["alt"] for found in images)
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    charts = [found for _, found in page.all("svg")]
    assert len(charts) >= 17
    for found in charts:
        assert found["role"] == "img"
        assert set(found["aria-labelledby"].split()) <= set(ids)
    for _, found in page.all("a"):
        assert found["href"].removeprefix("#") in ids
    assert all("aria-label" in f for _, f in page.elements if f.get("role") == "region")
    assert all("scope" in found for _, found in page.all("th"))


def test_the_answer_is_the_first_thing_said(rich: str) -> None:
    """Whoever must choose reads one sentence."""
    assert stated(said(rich), "Not decided") == ["Not decided", "2", "6"]
    assert rich.index('<p class="answer">') < rich.index("<section ")


def test_the_page_is_small(rich: str) -> None:
    """3 MB is what mail takes."""
    assert len(rich.encode()) < 1_000_000


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def oklab(color: str) -> NDArray[np.float64]:
    """A colour where distances are those that are seen (Ottosson 2020)."""
    shares = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    cones = [[0.41222, 0.53633, 0.05145], [0.2119, 0.6807, 0.1074], [0.0883, 0.28172, 0.62998]]
    axes = [[0.21045, 0.79362, -0.00407], [1.978, -2.42859, 0.45059], [0.0259, 0.78277, -0.80868]]
    return np.asarray(np.array(axes) @ np.cbrt(np.array(cones) @ linear), np.float64)


def test_two_heads_are_told_apart_in_light_and_dark() -> None:
    """`gap` and `gem` of README's second command were two blues that looked the same."""
    for place in (0, 1):
        shown = [oklab(THEME[color][place]) for color in COLORS]
        apart = [float(np.linalg.norm(a - b)) for a, b in combinations(shown, 2)]
        assert min(apart) > 0.065


def test_text_and_lines_stand_out_in_light_and_dark(rich: str) -> None:
    """Pale letters are no letters for many readers: 4.5 : 1 for text, 3 : 1 for lines."""
    themes = re.findall(r":root \{(.*?)\}", rich, re.S)[:2]
    assert len(themes) == 2
    for place, text in enumerate(themes):
        found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))
        for name in ("ink", "muted", "link", "good", "bad"):
            assert contrast(found[name], found["paper"]) >= 4.5, (name, place)
        for name in ("good", "open", "bad"):
            assert contrast(found[name], found[f"{name}-back"]) >= 4.5, (name, place)
        for color, pair in THEME.items():
            if color not in ("#e3e3e3",):  # the grid is to stay behind
                assert contrast(pair[place], found["paper"]) >= 3, (color, place)


@pytest.mark.usefixtures("no_drawing")
def test_one_seed(tmp_path: Path) -> None:
    """No interval, no verdict, and the page says so instead of showing a number for one."""
    page = page_of(full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=2))
    assert stated(said(page), "Not decided") == ["Not decided", "1", "6"]
    reason = stated(section(page, "believe"), "one seed", "no interval")
    assert "one seed, no interval" in ", ".join(reason)
    assert "1 seed, at least" in section(page, "verdicts")


@pytest.mark.usefixtures("no_drawing")
def test_one_head(tmp_path: Path) -> None:
    """Nothing to compare with: the page shows the head and claims nothing."""
    data = StudyData(full_ledger(tmp_path, heads=("gap",), seeds=2, epochs=2))
    content = gather(data, summarize(data))
    page = arrange(content)
    assert (content.answer.certainty, content.answer.chosen) == ("nothing", "")
    assert content.answer.more in section(page, "believe")
    assert "One head alone" in section(page, "verdicts")
    assert "one head" in section(page, "claims")
    assert content.seen.heads == 1
    assert "two heads" in section(page, "sees")


@pytest.mark.usefixtures("no_drawing")
def test_a_failed_run_and_missing_predictions(tmp_path: Path) -> None:
    """A run that diverged is told with its reason, and what is unknown is not left blank."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    reason = f"loss is not finite {HOSTILE}"
    add_run(ledger, "fc", 0, failure=Failure(reason=reason, epoch=1, step=3))
    add_run(ledger, "gap", 0, predictions=False)
    page = page_of(ledger)
    words = Page(page).words
    assert reason in words
    assert "0 + 1 failed" in section(page, "results")
    assert re.findall(r"(\d+) of (\d+) runs", words) == [("1", "4")]
    assert "No predictions" in section(page, "trust")
    assert section(page, "movement").count("not measured") == 2
    assert "No class maps" in section(page, "sees")
    assert "not kept" in fact(page, "sizes, duplicates, quarantine")


def test_nothing_finished(tmp_path: Path) -> None:
    """A report in the first minute of a study opens, too."""
    data = StudyData(study_ledger(tmp_path))
    content = gather(data, summarize(data))
    page = arrange(content)
    assert (content.answer.certainty, content.curves) == ("nothing", ())
    assert said(page) == content.answer.sentence
    assert "no curve" in section(page, "curves")


@pytest.mark.usefixtures("no_drawing")
def test_ten_classes_with_three_pictures(tmp_path: Path) -> None:
    """Small classes are shown, and it is said that little is known of them."""
    classes = [f"class {i}" for i in range(10)]
    ledger = full_ledger(
        tmp_path, heads=("fc", "gap"), seeds=2, epochs=2, classes=classes, per_class=3
    )
    data = StudyData(ledger)
    content = gather(data, summarize(data))
    numbers = [stated(caveat) for caveat in content.caveats]
    assert ["10", "20"] in numbers
    assert ["3.3", "30"] in numbers
    shown = "".join(Page(arrange(content)).words.split())  # commands stand in elements of their own
    assert all("".join(caveat.split()) in shown for caveat in content.caveats)


@pytest.mark.usefixtures("no_drawing")
def test_many_classes_list_their_commonest_confusions(tmp_path: Path, rich: str) -> None:
    """A matrix of 40 × 40 shows nothing; a list of what is taken for what does."""
    classes = [f"c{i:02}" for i in range(40)]
    ledger = full_ledger(
        tmp_path, heads=("fc", "gap"), seeds=1, epochs=1, classes=classes, per_class=4
    )
    data = StudyData(ledger)
    content = gather(data, summarize(data))
    page = arrange(content)
    assert 'class="confusion"' in rich
    assert 'class="confusion"' not in page
    for table in content.confusions:
        assert [found[2] for found in table.listed] == sorted(
            (found[2] for found in table.listed), reverse=True
        )
        (true, named, *_), *_ = table.listed
        assert f'<td class="text">{true}</td><td class="text">{named}</td>' in page
    assert section(page, "trust").count("among 40 classes") == len(content.confusions) == 2


@pytest.mark.usefixtures("no_drawing")
def test_fewer_pictures_on_request(tmp_path: Path) -> None:
    """`--pictures 2` makes a small page, `--pictures 0` one without any."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1, per_class=60)
    few = [sum(1 for _ in Page(page_of(ledger, n)).all("img")) for n in (0, 2)]
    assert few[0] == 0
    # In each grid two; of class maps an image with fc's, gap's and gap's exact map, on two scales.
    assert few[1] == 2 * (1 + 2 * 3) + 2 + 2


def test_the_same_ledger_gives_the_same_page(tmp_path: Path) -> None:
    """Reports can be compared and kept under version control."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=2)
    assert page_of(ledger) == page_of(Ledger.open(tmp_path))


def changed(ledger: Ledger, **values: object) -> Ledger:
    """The ledger with other entries in its study file; `study` is merged into the study."""
    content = ledger.file.model_dump()
    content["study"] |= values.pop("study", {})
    return replace(ledger, file=ledger.file.model_validate(content | values))


@pytest.mark.usefixtures("no_drawing")
def test_the_split_is_told_as_it_was_made(tmp_path: Path) -> None:
    """ "0.8 / 0.1 / 0.1" of folders that the user divided himself is false, and looks checked."""
    ledger = study_ledger(tmp_path)
    sizes, shares = ("1,600", "200", "200"), ("shares", "0.8", "0.1", "0.1")
    cases = {
        None: [*sizes, "one split"],
        (): [*sizes, "one split", *shares, "near-duplicates"],
        ("train", "validation", "test"): [*sizes, "source"],
        ("train", "test"): [*sizes, "one split", "validation", *shares, "source"],
    }
    words = ("one split", "validation", "shares", "near-duplicates", "source")
    for given, expected in cases.items():
        text = fact(page_of(changed(ledger, given=given)), "split")
        assert stated(text, *words) == expected


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize(
    ("duplicates", "kept"),
    [("near", "near-duplicates kept"), ("exact", "equal pixels kept"), ("off", "not kept")],
)
def test_what_is_kept_together_is_what_the_study_asked_for(
    duplicates: str, kept: str, tmp_path: Path
) -> None:
    """Else a study with `duplicates: off` claims that no near-duplicate is in two splits."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=1)
    split = {**ledger.file.study.split.model_dump(), "duplicates": duplicates}
    page = page_of(changed(ledger, given=(), study={"split": split}), 0)
    assert kept in fact(page, "split")
    near = duplicates == "near"
    assert ("near-duplicates count" in section(page, "method")) == near
    assert ("near-duplicates count" in section(page, "verdicts")) == near
    assert ("near-duplicates kept" in page) == near


@pytest.mark.usefixtures("no_drawing")
def test_the_method_counts_the_declared_comparisons(tmp_path: Path) -> None:
    """Else the page says "adjusted over 3" where the study declared two comparisons."""
    heads = ("fc", "fc_dropout", "gap", "gem")
    ledger = study_ledger(tmp_path, heads=heads, reference="gap", pairs=["fc", "gem"])
    assert "Holm-adjusted over 2 comparisons," in section(page_of(ledger), "method")


@pytest.mark.usefixtures("no_drawing")
def test_divided_duplicates_are_told(tmp_path: Path) -> None:
    """ "A group is never divided" is false where the user's own folders divide one."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1, per_class=60)
    facts = [fact(page_of(changed(ledger, leaks=n), 0), "duplicates") for n in (None, 0, 1, 3)]
    assert [stated(text, "no group", "source") for text in facts] == [
        ["2", "1"],
        ["2", "1", "no group"],
        ["2", "1", "source", "1"],
        ["2", "1", "source", "3"],
    ]


@pytest.mark.usefixtures("no_drawing")
def test_the_study_on_the_page_names_its_masks(tmp_path: Path) -> None:
    """Else who runs the page's study file scores class maps by another rule."""
    ledger = study_ledger(tmp_path, data="photographs")
    assert "masks: null" in page_of(ledger)
    assert "masks: some/masks" in page_of(changed(ledger, study={"masks": "some/masks"}))


@pytest.mark.usefixtures("no_drawing")
def test_heads_with_recipes_of_their_own_and_a_head_start(tmp_path: Path) -> None:
    """One number of epochs for heads that differ, and "the same weights" for heads that do not."""
    plain = study_ledger(tmp_path / "plain", epochs=4)
    before = Page(page_of(plain)).words
    assert "· 4 epochs ·" in before
    assert "what is head" in before
    heads = {"fc": {"recipe": {"epochs": 9}}, "gap": {"after": "fc"}}
    page = page_of(changed(plain, study={"heads": heads}))
    assert "· 4 to 9 epochs" in Page(page).words
    assert "(but gap, which" in section(page, "method")
    assert "what is head" not in section(page, "method")


@pytest.mark.usefixtures("no_drawing")
def test_one_kind_of_minus_and_no_difference_in_per_cent(tmp_path: Path) -> None:
    """−1 % of accuracy and −1 point of it are two things."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=3, epochs=2, per_class=60)
    data = StudyData(ledger)
    content = gather(data, summarize(data), 0)
    units = {row.name: row.unit for claim in content.claims.judged for row in claim.measures}
    names = [row.name for claim in content.claims.views for row in claim.measures]
    for differences, unit in (("training minus", "points"), ("beyond random", "points")):
        assert {found for name, found in units.items() if differences in name} == {unit}
    assert "share" in units.values()
    written = {"points": "(points)", "share": "(%)"}
    for (name, unit), shown in zip(units.items(), names, strict=True):
        assert unit not in written or shown == f"{name} {written[unit]}"
    words = Page(arrange(content, 0)).words
    assert all(name in words for name in names if name.startswith("training minus"))
    shown = words.partition("Method")[0]
    assert "−" in shown
    assert not re.search(r"(?<![\w.)-])-\d", shown)


@pytest.mark.usefixtures("no_drawing")
def test_the_method_names_another_precision(tmp_path: Path) -> None:
    """Else a reader takes networks trained in bfloat16 for ones trained in float32."""
    ledger = study_ledger(tmp_path)
    assert "<dt>precision</dt>" not in page_of(ledger)
    content = ledger.file.model_dump()
    content["study"]["recipe"]["precision"] = "bf16"
    other = replace(ledger, file=ledger.file.model_validate(content))
    precision = fact(page_of(other), "precision")
    assert stated(precision, "bf16", "evaluation", "float32") == ["bf16", "evaluation", "float32"]


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({}, "Adam"),
        ({"optimizer": "adamw"}, "AdamW"),
        ({"optimizer": "sgd"}, "SGD with momentum 0.9"),
        ({"optimizer": "sgd", "momentum": 0}, "SGD with momentum 0"),
    ],
)
def test_the_recipe_names_its_optimizer(
    tmp_path: Path, recipe: dict[str, object], told: str
) -> None:
    """Else a page says that a study was trained by another optimizer than it was."""
    ledger = study_ledger(tmp_path)
    content = ledger.file.model_dump()
    content["study"]["recipe"] |= recipe
    other = replace(ledger, file=ledger.file.model_validate(content))
    assert f"optimiser {told} learning rate" in Page(page_of(other)).words


@pytest.mark.usefixtures("no_drawing")
def test_claims_about_pooling_are_open_where_they_were_asked(tmp_path: Path) -> None:
    """Whoever compares two `fc` heads did not ask about pooling; who did must not search."""
    pools = StudyData(study_ledger(tmp_path / "gap", heads=("fc", "gap"), reference="gap"))
    plain = StudyData(study_ledger(tmp_path / "fc", heads=("fc", "gap"), reference="fc"))
    assert gather(pools, summarize(pools)).claims.unfolded
    assert not gather(plain, summarize(plain)).claims.unfolded
    assert gather(plain, summarize(plain), claims=True).claims.unfolded


@pytest.mark.usefixtures("no_drawing")
def test_masks_and_inexact_maps_are_shown(tmp_path: Path) -> None:
    """Where the object is must be seen beside the map; maps that are left out must be told."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1, per_class=60)
    data = StudyData(ledger)
    before = map_grid(data, 0, 2)
    masks = np.zeros((PROBED, SIDE, SIDE), np.uint8)
    masks[:, 6:18, 6:18] = 1
    write_masks(masks_path(ledger.out, 0), ledger.file.digest, Masks(np.arange(PROBED), masks))
    maps = data.run_evidence(CLASS_MAPS, "gap", 0)
    assert maps is not None
    unfit = replace(maps, exact=None, exact_curves=None, unfit="off by <2> logits")
    write_run(ledger, CLASS_MAPS, "gap", 0, CLASS_MAPS.pack(unfit))
    after = map_grid(StudyData(ledger), 0, 2)
    assert before is not None
    assert after is not None
    assert (before.masked, after.masked) == (False, True)
    assert len(before.limits) == len(before.columns) == 3
    assert max(before.limits) >= before.limit >= min(before.limits)
    assert after.rows[0].picture != before.rows[0].picture
    assert after.columns == ("fc, Grad-CAM", "gap, Grad-CAM")
    assert "off by <2> logits" in Page(page_of(ledger, 2)).words


@pytest.mark.usefixtures("no_drawing")
def test_the_first_screen_names_the_costs_and_the_next_step(tmp_path: Path) -> None:
    """An answer without its price and without what to do is half an answer."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    found = gather(StudyData(ledger), summarize(StudyData(ledger))).brief
    assert [cost.head for cost in found.costs] == ["fc", "gap"]
    assert found.costs[0].parameters == "705,453"
    assert float(found.costs[0].megabytes) == pytest.approx(705_453 * 4 / 1e6, rel=0.05)
    assert "--seeds 6" in found.next_step
