"""The demo's page in a real browser, and its server against those who mean it harm."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployed import Trained, trained_study
from headtohead.deploy.demo import MOST_BYTES, Demo
from headtohead.deploy.runs import load_members
from headtohead.study_data import StudyData
from hostile import CONTENTS

HOSTILE = ("<img src=x onerror=\"document.title='run'\">", "dog\x1b[31m")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def demo(trained: Trained) -> Iterator[Demo]:
    """Of classes whose names are code."""
    ledger = trained.ledger
    members = load_members(StudyData(ledger), [("fc", 0), ("gap", 0)], device="cpu")
    file = ledger.file.model_copy(update={"classes": HOSTILE})
    with Demo(file, members, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(
    demo: Demo, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any], http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", demo.server_port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    told = json.loads(content) if answer.getheader("Content-Type") == "application/json" else {}
    return answer.status, told, answer


def photograph(trained: Trained) -> Path:
    return trained.source / trained.prepared.names[0]


def test_every_head_answers_as_it_predicts(demo: Demo, trained: Trained) -> None:
    """Else the page shows other answers than the command gives."""
    import headtohead

    path = photograph(trained)
    status, told, _ = asked(demo, "POST", "/predict", path.read_bytes())
    assert status == 200
    study = headtohead.load(trained.out)
    for found in told["heads"]:
        (shares,) = study.predictor(found["head"], 0, device="cpu").predict_proba([path])
        assert found["evidence"][0]["probability"] == pytest.approx(shares.max())
        assert len(found["evidence"]) == 2
    assert [found["head"] for found in told["heads"]] == ["fc", "gap"]


def test_uploads_that_cannot_be_answered_get_a_sentence(demo: Demo, tmp_path: Path) -> None:
    """Else a wrong file breaks the page, or fills the memory."""
    for body in CONTENTS.values():
        status, told, _ = asked(demo, "POST", "/predict", body())
        assert (status, list(told)) == (422, ["error"])
        assert told["error"].endswith(".")
        assert "Traceback" not in told["error"]
    status, told, _ = asked(demo, "POST", "/predict", None, Content_Length=str(MOST_BYTES + 1))
    assert status == 413
    assert asked(demo, "POST", "/predict", None, Content_Length="-1")[0] == 411
    assert asked(demo, "GET", "/../demo.py")[0] == 404
    assert asked(demo, "GET", "/%2e%2e/commands.py")[0] == 404


def test_other_hosts_requests_are_refused(demo: Demo, trained: Trained) -> None:
    """Else any page that is open in the browser can use this one (DNS rebinding, CSRF)."""
    body = photograph(trained).read_bytes()
    port = demo.server_address[1]
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        assert asked(demo, "POST", "/predict", body, **headers)[0] == 403
        assert asked(demo, "GET", "/", None, **headers)[0] == 403
    answer = asked(demo, "GET", "/", Host=f"localhost:{port}")[2]
    assert answer.status == 200
    assert "script-src 'self'" in (answer.getheader("Content-Security-Policy") or "")


def test_a_page_for_others_answers_under_any_address(demo: Demo) -> None:
    """Else `--host 0.0.0.0` shows the page to nobody; a name could be another site's."""
    with Demo(demo.file, demo.members, "0.0.0.0", 0) as server:  # noqa: S104 - asked for
        port = server.server_address[1]
        for name in ("192.168.1.5", "10.0.0.7", "localhost", "127.0.0.1"):
            assert server.knows(f"{name}:{port}")
        for host in (f"evil.example:{port}", "192.168.1.5", "192.168.1.5:1", f":{port}", ""):
            assert not server.knows(host)
    assert not demo.knows(f"192.168.1.5:{demo.server_address[1]}")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="no chromium with its chromedriver here (Debian: chromium, chromium-driver)",
)
def test_a_person_uploads_a_photograph(demo: Demo, trained: Trained, tmp_path: Path) -> None:
    """On a phone's width and a desktop's, light and dark; names that are code stay names."""
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--no-first-run", "--disable-background-networking"):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        for width, scheme in ((360, "dark"), (1200, "light")):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            feature = {"name": "prefers-color-scheme", "value": scheme}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            browser.get(demo.address)
            browser.find_element(By.ID, "file").send_keys(str(photograph(trained)))
            WebDriverWait(browser, 60).until(
                lambda page: len(page.find_elements(By.CSS_SELECTOR, ".head")) == 2
            )
            images = browser.execute_script(
                "return [...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect()"
                ".right <= innerWidth])"
            )
            assert images == [[256, True]] * 5  # the photograph, and two maps of each head
            wide = "return document.documentElement.scrollWidth <= innerWidth"
            assert browser.execute_script(wide)
            assert HOSTILE[0] in browser.find_element(By.ID, "about").text
            assert browser.title == "headtohead demo"
            browser.save_screenshot(str(tmp_path / f"demo-{width}-{scheme}.png"))
        ink, paper = browser.execute_script(
            "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        )
        assert (ink, paper) == ("rgb(29, 29, 31)", "rgb(255, 255, 255)")
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"no picture")
        browser.find_element(By.ID, "file").send_keys(str(bad))
        WebDriverWait(browser, 60).until(
            lambda page: page.find_element(By.ID, "status").get_attribute("class") == "bad"
        )
        assert not browser.find_element(By.ID, "result").is_displayed()
        errors = [entry for entry in browser.get_log("browser") if "422" not in entry["message"]]
        assert errors == []
    finally:
        browser.quit()
