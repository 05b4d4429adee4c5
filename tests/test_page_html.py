"""`report.html` as a text: whole, safe against every name, readable by everyone, never silent."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from headtohead.probes.base import write_run
from headtohead.probes.class_maps import CLASS_MAPS
from headtohead.probes.images import Masks, masks_path, write_masks
from headtohead.report.charts.chart import Series
from headtohead.report.page.content import gather
from headtohead.report.page.frame import THEME
from headtohead.report.page.gallery import map_grid
from headtohead.report.page.html import arrange, report_page
from headtohead.report.summary import summarize
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger
from reports import PROBED, SIDE, rich_ledger

HOSTILE = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """Every element with its attributes and the text within it; complains of unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, *tags: str) -> Iterator[tuple[str, dict[str, str]]]:
        return ((tag, attributes) for tag, attributes in self.elements if tag in tags)

    @property
    def words(self) -> str:
        shown = (text for tag, text in self.texts if tag not in ("script", "style"))
        return " ".join(" ".join(shown).split())


def page_of(ledger: Ledger, pictures: int = 12) -> str:
    return report_page(StudyData(ledger), summarize(StudyData(ledger)), pictures).decode("utf-8")


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
    """Headings in order, a text for every picture and chart, names for tables and controls."""
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
    words = Page(rich).words
    assert words.index("Not decided: 2 seeds cannot tell") < words.index("Results of every head")


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
    words = Page(page_of(full_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=2))).words
    assert "Not decided: 1 seed cannot tell a difference from chance" in words
    assert "from one seed: no interval can be given" in words
    assert "1 seed, at least" in words


@pytest.mark.usefixtures("no_drawing")
def test_one_head(tmp_path: Path) -> None:
    """Nothing to compare with: the page shows the head and claims nothing."""
    words = Page(page_of(full_ledger(tmp_path, heads=("gap",), seeds=2, epochs=2))).words
    assert "With one head there is nothing to compare it with" in words
    assert "One head alone: there is no difference to judge." in words
    assert "this study has one head" in words
    assert "It takes the predictions of two heads to disagree" in words


@pytest.mark.usefixtures("no_drawing")
def test_a_failed_run_and_missing_predictions(tmp_path: Path) -> None:
    """A run that diverged is told with its reason, and what is unknown is not left blank."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    reason = f"loss is not finite {HOSTILE}"
    add_run(ledger, "fc", 0, failure=Failure(reason=reason, epoch=1, step=3))
    add_run(ledger, "gap", 0, predictions=False)
    page = Page(page_of(ledger))
    assert reason in page.words
    assert "0 + 1 failed" in page.words
    assert "2 of 4" not in page.words
    assert "1 of 4 runs finished" in page.words
    assert "No predictions on the test split are kept" in page.words
    assert "Translation was not measured" in page.words
    assert "No class maps: the folder holds no evidence" in page.words
    assert "not kept in this study's folder" in page.words


def test_nothing_finished(tmp_path: Path) -> None:
    """A report in the first minute of a study opens, too."""
    words = Page(page_of(study_ledger(tmp_path))).words
    assert "Nothing can be said yet: no run is finished." in words
    assert "No finished run, so no curve." in words


@pytest.mark.usefixtures("no_drawing")
def test_ten_classes_with_three_pictures(tmp_path: Path) -> None:
    """Small classes are shown, and it is said that little is known of them."""
    classes = [f"class {i}" for i in range(10)]
    ledger = full_ledger(
        tmp_path, heads=("fc", "gap"), seeds=2, epochs=2, classes=classes, per_class=3
    )
    words = Page(page_of(ledger)).words
    assert "10 classes have fewer than 20 test images" in words
    assert "One test image is 3.3 points of accuracy (30 test images)" in words


@pytest.mark.usefixtures("no_drawing")
def test_many_classes_list_their_commonest_confusions(tmp_path: Path) -> None:
    """A matrix of 40 × 40 is no picture; what is taken for what is."""
    classes = [f"c{i:02}" for i in range(40)]
    ledger = full_ledger(
        tmp_path, heads=("fc", "gap"), seeds=1, epochs=1, classes=classes, per_class=4
    )
    page = page_of(ledger)
    assert 'class="confusion"' not in page
    assert "the commonest confusions among 40 classes" in Page(page).words


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
    content["study"] |= values.pop("study", {})  # type: ignore[operator]
    return replace(ledger, file=ledger.file.model_validate(content | values))


@pytest.mark.usefixtures("no_drawing")
def test_the_split_is_told_as_it_was_made(tmp_path: Path) -> None:
    """ "0.8 / 0.1 / 0.1" of folders that the user divided himself is false, and looks checked."""
    ledger = study_ledger(tmp_path)
    sizes = "1,600 / 200 / 200 images"
    cases = {
        None: f"split {sizes}, one split for all seeds",
        (): f"{sizes}, one split for all seeds: shares of 0.8 / 0.1 / 0.1, near-duplicates kept",
        ("train", "validation", "test"): f"{sizes}: as the source gave them",
        ("train", "test"): "validation by shares of 0.8 / 0.1 / 0.1, the rest as the source gave",
    }
    for given, said in cases.items():
        words = Page(page_of(changed(ledger, given=given))).words
        assert said in words
        assert ("shares of" in words) == ("shares of" in said)


@pytest.mark.usefixtures("no_drawing")
def test_divided_duplicates_are_told(tmp_path: Path) -> None:
    """ "A group is never divided" is false where the user's own folders divide one."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=1, epochs=1, per_class=60)
    words = [Page(page_of(changed(ledger, leaks=n), 0)).words for n in (None, 0, 1, 3)]
    assert "2 images in 1 group of (near-)identical ones" in words[0]
    assert "divided between splits" not in words[0]
    assert "no group is divided between splits" in words[1]
    assert "the source gave splits, and 1 group lies in more than one" in words[2]
    assert "and 3 groups lie in more than one" in words[3]


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
    assert "· 4 epochs ·" in Page(page_of(plain)).words
    heads = {"fc": {"recipe": {"epochs": 9}}, "gap": {"after": "fc"}}
    words = Page(page_of(changed(plain, study={"heads": heads}))).words
    assert "· 4 to 9 epochs ·" in words
    assert "the same backbone weights (but gap, which starts from the backbone" in words
    assert "only what is head differs" not in words


@pytest.mark.usefixtures("no_drawing")
def test_one_kind_of_minus_and_no_difference_in_per_cent(tmp_path: Path) -> None:
    """−1 % of accuracy and −1 point of it are two things."""
    ledger = rich_ledger(tmp_path / "out", heads=("fc", "gap"), seeds=3, epochs=2, per_class=60)
    words = Page(page_of(ledger, 0)).words
    assert "training minus validation accuracy, last epoch (points)" in words
    assert "beyond random maps (points)" in words
    assert "accuracy on the centre crop (%)" in words
    shown = words.partition("Method")[0]
    assert "−" in shown
    assert not re.search(r"(?<![\w.)-])-\d", shown)


@pytest.mark.usefixtures("no_drawing")
def test_the_method_names_another_precision(tmp_path: Path) -> None:
    """Else a reader takes networks trained in bfloat16 for ones trained in float32."""
    ledger = study_ledger(tmp_path)
    assert "training steps in" not in Page(page_of(ledger)).words
    content = ledger.file.model_dump()
    content["study"]["recipe"]["precision"] = "bf16"
    other = replace(ledger, file=ledger.file.model_validate(content))
    words = Page(page_of(other)).words
    assert "training steps in bf16, evaluation in float32" in words


@pytest.mark.usefixtures("no_drawing")
@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({}, "Adam, learning rate"),
        ({"optimizer": "adamw"}, "AdamW, learning rate"),
        ({"optimizer": "sgd"}, "SGD with momentum 0.9, learning rate"),
        ({"optimizer": "sgd", "momentum": 0}, "SGD with momentum 0, learning rate"),
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
    assert f"optimiser {told}" in Page(page_of(other)).words


@pytest.mark.usefixtures("no_drawing")
def test_claims_about_pooling_are_open_where_they_were_asked(tmp_path: Path) -> None:
    """Whoever compares two `fc` heads did not ask about pooling; who did must not search."""
    pools = StudyData(study_ledger(tmp_path / "gap", heads=("fc", "gap"), reference="gap"))
    plain = StudyData(study_ledger(tmp_path / "fc", heads=("fc", "gap"), reference="fc"))
    assert gather(pools, summarize(pools)).claims_open
    assert not gather(plain, summarize(plain)).claims_open
    assert gather(plain, summarize(plain), claims=True).claims_open


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
