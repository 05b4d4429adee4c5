"""The page in a real browser, headless: drawn whole, silent, and alive under pointer and keys."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports import rich_ledger

selenium = pytest.importorskip("selenium", reason="the browser is driven by selenium")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from pages import report_page  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="no chromium with its chromedriver here (Debian: chromium, chromium-driver)",
)
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-quic", "--window-size=1200,900"),
)
DRAWN = """
return [...document.querySelectorAll('.plot')].filter(p => p.offsetParent).map(p => {
  const box = p.querySelector('svg').getBoundingClientRect();
  const marks = [...p.querySelectorAll('[data-head] path, [data-head] use, path[clip-path]')]
    .filter(mark => { const b = mark.getBoundingClientRect(); return b.width + b.height > 0; });
  return [p.dataset.chart, box.width, box.height, marks.length];
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    ledger = rich_ledger(
        folder / "out", heads=("fc", "fc_dropout", "gap"), seeds=2, epochs=3, per_class=60
    )
    path = folder / "report.html"
    path.write_text(report_page(ledger), encoding="utf-8")
    return path


# What opens is laid out in the next frame: nothing in it can be reached before.
OPENED = """
for (const d of document.querySelectorAll('details')) d.open = true
requestAnimationFrame(() => requestAnimationFrame(arguments[0]))
"""


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    browser.set_script_timeout(600)  # axe takes long on a busy machine
    yield browser
    browser.quit()


@pytest.fixture
def browser(driver: Any, page: Path) -> Any:
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.get(page.as_uri())
    driver.execute_async_script(OPENED)
    return driver


def shown(browser: Any) -> dict[str, tuple[float, float, int]]:
    """Charts that are on the page by now: width, height and how many marks are drawn."""
    return {name: (w, h, marks) for name, w, h, marks in browser.execute_script(DRAWN)}


def tip(browser: Any) -> str:
    found = browser.find_elements(By.CSS_SELECTOR, ".tip")
    return found[0].text if found and found[0].is_displayed() else ""


def test_it_opens_without_a_complaint_or_a_request(driver: Any, page: Path) -> None:
    """An error in the console leaves a dead page; a request tells others who reads it."""
    driver.get("about:blank")
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(page.as_uri())
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_every_figure_is_drawn(browser: Any) -> None:
    """An empty frame where a chart should be: the report's evidence is gone."""
    quantity = Select(browser.find_element(By.ID, "quantity"))
    found = dict(shown(browser))
    for group in [option.text for option in quantity.options]:
        quantity.select_by_visible_text(group)
        for scale in ("linear", "log"):
            browser.find_element(By.CSS_SELECTOR, f"input[value={scale}]").click()
            found |= shown(browser)
    named = {
        element.get_attribute("data-chart")
        for element in browser.find_elements(By.CSS_SELECTOR, ".plot")
    }
    assert set(found) == named
    assert len(named) == 27
    for name, (width, height, marks) in found.items():
        assert width > 300, name
        assert height > 100, name
        assert marks >= 2, name
    broken = "return [...document.images].filter(i => !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0


def test_switching_shows_the_chosen_curves_alone(browser: Any) -> None:
    """Metric and scale are chosen together; what is not chosen is out of the way."""
    curves = {name for name in shown(browser) if name.startswith("curve-")} - {"curve-overfit"}
    assert curves == {"curve-together-accuracy", "curve-together-loss"}
    Select(browser.find_element(By.ID, "quantity")).select_by_visible_text("training, evaluated")
    browser.find_element(By.CSS_SELECTOR, "input[value=log]").click()
    curves = {name for name in shown(browser) if name.startswith("curve-")} - {"curve-overfit"}
    assert curves == {"curve-train_accuracy-log", "curve-train_loss-log"}


def test_a_head_is_hidden_in_every_chart(browser: Any) -> None:
    """Two heads are compared by taking the others away."""
    before = shown(browser)
    boxes = browser.find_elements(By.CSS_SELECTOR, "[data-toggle='0']")
    boxes[0].click()
    assert not any(box.is_selected() for box in boxes)
    after = shown(browser)
    for name in before:
        assert 0 < after[name][2] < before[name][2], name
    texts = browser.find_elements(By.CSS_SELECTOR, ".plot text")
    named = {text.text for text in texts if text.is_displayed()}
    assert "fc" not in named  # its name beside the scatter's mark and beside its rows
    assert not {text for text in named if text.endswith("− fc")}
    plot = browser.find_element(By.CSS_SELECTOR, "[data-chart='curve-overfit']")
    told = set()
    for _ in range(10):
        plot.send_keys(Keys.ARROW_DOWN)
        told.add(tip(browser).split(",")[0])
    assert told == {"fc_dropout", "gap"}
    boxes[0].click()
    assert shown(browser) == before


def test_values_are_told_under_the_pointer(browser: Any) -> None:
    """A curve without numbers is a guess."""
    values = json.loads(browser.find_element(By.ID, "values").get_attribute("textContent"))
    known = values["curve-together-accuracy"]
    series = next(s for s in known if s["label"].startswith("gap, validation"))
    plot = browser.find_element(By.CSS_SELECTOR, "[data-chart='curve-together-accuracy'] svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    x, y = series["places"][1]
    scale = plot.rect["width"] / 400
    # Offsets count from the element's middle.
    right = x * scale - plot.rect["width"] / 2
    down = y * scale - plot.rect["height"] / 2
    ActionChains(browser).move_to_element_with_offset(plot, round(right), round(down)).perform()
    told = WebDriverWait(browser, 10).until(tip)
    assert told.splitlines()[-1] in [s["said"][1] for s in known if len(s["said"]) > 1]
    dot = browser.find_element(By.CSS_SELECTOR, ".dot").rect
    assert abs(dot["x"] + dot["width"] / 2 - plot.rect["x"] - x * scale) < 8
    assert abs(dot["y"] + dot["height"] / 2 - plot.rect["y"] - y * scale) < 8


def test_values_are_told_by_keys(browser: Any) -> None:
    """Whoever has no mouse reads the same values, aloud if need be."""
    plot = browser.find_element(By.CSS_SELECTOR, "[data-chart='forest']")
    browser.execute_script("arguments[0].focus()", plot)
    plot.send_keys(Keys.ARROW_RIGHT)
    first = tip(browser)
    assert first.splitlines()[0] == "gap minus fc"
    assert browser.find_element(By.ID, "spoken").get_attribute("textContent") == first
    plot.send_keys(Keys.ARROW_LEFT)
    assert tip(browser) != first
    plot.send_keys(Keys.ESCAPE)
    assert tip(browser) == ""


def test_the_table_sorts_by_its_titles(browser: Any) -> None:
    """Heads in the order of what the reader cares about, by pointer or by Enter."""
    table = browser.find_element(By.CSS_SELECTOR, "table.heads")

    def order() -> list[str]:
        cells = table.find_elements(By.CSS_SELECTOR, "tbody th")
        return [cell.text.split("\n")[0] for cell in cells]

    assert order() == ["fc", "fc_dropout", "gap"]
    title = next(b for b in table.find_elements(By.TAG_NAME, "button") if b.text == "of the head")
    title.click()
    head = title.find_element(By.XPATH, "..")
    assert head.get_attribute("aria-sort") == "ascending"  # of parameters, less is better
    assert order()[0] == "gap"
    title.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert order()[-1] == "gap"


def test_a_phone_scrolls_down_only(browser: Any) -> None:
    """Text that runs out of a narrow screen is not read; wide tables scroll by themselves."""
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    widths = [width for width, _, _ in shown(browser).values()]
    assert min(widths) > 280


def test_a_phone_shows_the_result_beside_the_head(browser: Any) -> None:
    """Head and number of parameters alone say nothing: test accuracy is in sight at once."""
    phone(browser)
    title = browser.find_element(By.XPATH, "//table[@class='heads']//th[.='test accuracy, %']")
    assert title.rect["x"] + title.rect["width"] <= 390
    # Its first column stays while the others go by.
    box = browser.find_element(By.CSS_SELECTOR, ".wide:has(.heads)")
    browser.execute_script("arguments[0].scrollLeft = 300", box)
    head = browser.find_element(By.CSS_SELECTOR, ".heads tbody th")
    assert head.rect["x"] == pytest.approx(box.rect["x"], abs=1)


def test_a_finger_hits_every_control(browser: Any) -> None:
    """Targets under 24 pixels are missed (WCAG 2.2, 2.5.8)."""
    phone(browser)
    small = """
    return [...document.querySelectorAll('nav a, button, summary, label, select')]
      .filter(e => e.offsetParent).map(e => [e.textContent, e.getBoundingClientRect()])
      .filter(([_, box]) => box.width < 24 || box.height < 24).map(([text]) => text)
    """
    assert browser.execute_script(small) == []


def phone(browser: Any) -> None:
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_paper_shows_what_was_folded(browser: Any) -> None:
    """On paper nothing can be unfolded; on the screen it is folded again afterwards."""
    unfolded = "return [...document.querySelectorAll('details')].map(part => part.open)"
    browser.refresh()
    before = browser.execute_script(unfolded)
    assert not all(before)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(browser.execute_script(unfolded))
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(unfolded) == before


def test_every_claim_leads_to_its_figure(browser: Any) -> None:
    """A claim whose "Figure" leads to a table of images, or nowhere, is not shown."""
    figures = """
    return [...document.querySelectorAll('.claim a')].map(link => {
      const target = document.querySelector(link.getAttribute('href'));
      const after = document.evaluate('(.//*|following::*)[contains(@class, "plot")]', target,
        null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue;
      return after.dataset.chart;
    });
    """
    assert browser.execute_script(figures) == [
        "parameters",
        "curve-overfit",
        "maps-deletion",
        "translation-accuracy",
        "speed-step",
    ]


BROKEN = """
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walk.nextNode(); node; node = walk.nextNode()) {
  if (node.parentElement.closest('svg, script, style, pre, code')) continue;
  for (const word of node.data.matchAll(/[\\p{L}\\p{N}_]+/gu)) {
    const range = document.createRange();
    range.setStart(node, word.index);
    range.setEnd(node, word.index + word[0].length);
    const lines = new Set([...range.getClientRects()].filter(r => r.width).map(r => r.top));
    if (lines.size > 1) found.push(word[0]);
  }
}
return found;
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_no_name_is_broken_within_a_word(browser: Any, width: int) -> None:
    """`fc_drop` on one line and `out` on the next is read as two heads."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script(BROKEN) == []


def test_a_term_is_explained_under_focus_and_touch(browser: Any) -> None:
    """A manager does not know what ECE is, and has no mouse on a phone."""
    open_now = "return [...document.querySelectorAll('.gloss:popover-open')].map(g => g.id)"
    term = browser.find_element(By.CSS_SELECTOR, ".heads .term[popovertarget='term-ece']")
    assert browser.execute_script(open_now) == []
    browser.execute_script("arguments[0].focus()", term)
    assert browser.execute_script(open_now) == ["term-ece"]
    browser.execute_script("arguments[0].blur()", term)
    assert browser.execute_script(open_now) == []
    ActionChains(browser).move_to_element(term).perform()
    assert browser.execute_script(open_now) == ["term-ece"]
    term.send_keys(Keys.ESCAPE)
    browser.execute_script("arguments[0].blur(); arguments[0].click()", term)
    assert browser.execute_script(open_now) == ["term-ece"]


def test_maps_switch_to_one_scale(browser: Any) -> None:
    """On its own scale a weak map looks as strong as any: side by side one needs the common one."""
    seen = "return [...document.querySelectorAll(arguments[0])].filter(i => i.offsetParent).length"
    own, common = (browser.execute_script(seen, f".maps img.{kind}") for kind in ("own", "common"))
    assert own > 0
    assert common == 0
    browser.find_element(By.ID, "common").click()
    assert browser.execute_script(seen, ".maps img.own") == 0
    assert browser.execute_script(seen, ".maps img.common") == own


def test_a_link_unfolds_what_it_leads_to(driver: Any, page: Path) -> None:
    """A link into a folded section that shows nothing seems dead."""
    driver.get(page.as_uri())
    text = "return document.documentElement.scrollHeight"
    folded = driver.execute_script(text)
    driver.find_element(By.CSS_SELECTOR, "nav a[href='#curves']").click()
    is_open = "return document.getElementById('curves').closest('details').open"
    # The browser tells the page of a link within it when the click is over.
    assert WebDriverWait(driver, 10).until(lambda page: page.execute_script(is_open))
    assert driver.execute_script(text) > folded


def test_the_first_view_is_short(driver: Any, page: Path) -> None:
    """Details fold: whoever must decide reads two screens, not twenty."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get(page.as_uri())
    words = driver.execute_script("return document.body.innerText.split(/\\s+/).length")
    assert 100 < words < 1800
    assert driver.execute_script("return document.documentElement.scrollHeight") < 8000


AXE = os.environ.get("HEADTOHEAD_AXE", "")


@pytest.mark.skipif(not AXE, reason="HEADTOHEAD_AXE names no axe.min.js (npm install axe-core)")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, width: int, scheme: str) -> None:
    """What a screen reader cannot name or an eye not tell apart is not there for some readers."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    source = Path(AXE).read_text(encoding="utf-8")
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": source})  # past the page's policy
    run = "axe.run().then(r => arguments[0](r.violations.map(v => v.id)))"
    assert browser.execute_async_script(run) == []


def test_dark_and_print(browser: Any) -> None:
    """At night the page is dark, and on paper it is white, without its controls."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    assert browser.execute_script(ground) == "rgb(20, 23, 26)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", **dark})
    assert browser.execute_script(ground) == "rgb(255, 255, 255)"
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    assert not browser.find_element(By.ID, "quantity").is_displayed()
    assert {"curve-together-accuracy", "curve-together-loss"} <= set(shown(browser))


def test_without_scripts_the_evidence_is_there(driver: Any, page: Path) -> None:
    """Mail programs run no script: curves, tables and images stand without it."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(page.as_uri())
        root = driver.execute_cdp_cmd("DOM.getDocument", {})["root"]["nodeId"]

        def widths(selector: str) -> list[int]:
            asked = {"nodeId": root, "selector": selector}
            found = driver.execute_cdp_cmd("DOM.querySelectorAll", asked)["nodeIds"]
            assert found, selector
            return [box_width(node) for node in found]

        def box_width(node: int) -> int:
            try:
                model = driver.execute_cdp_cmd("DOM.getBoxModel", {"nodeId": node})["model"]
            except WebDriverException:  # not drawn: it has no box
                return 0
            return int(model["width"])

        assert widths(".controls") == [0]
        assert min(widths("[data-chart='forest'] svg")) > 300
        for fold in driver.execute_cdp_cmd(
            "DOM.querySelectorAll", {"nodeId": root, "selector": "details"}
        )["nodeIds"]:
            opened = {"nodeId": fold, "name": "open", "value": ""}
            driver.execute_cdp_cmd("DOM.setAttributeValue", opened)
        assert len([width for width in widths(".panel svg") if width > 300]) == 2
        assert min(widths("[data-chart='reliability'] svg")) > 300
        assert min(widths(".gallery img")) > 50
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
