"""The report in a real browser: no error, no request, nothing that runs but its own script, readable on a phone."""

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from made_results import HOSTILE
from xstilts.report.charts import figures_of
from xstilts.report.page import write_page

AXE = Path(os.environ.get("XSTILTS_AXE", ""))
"""The script of axe-core, which finds violations of accessibility rules."""
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
selenium = pytest.importorskip("selenium", reason="selenium is not installed")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs the packages chromium and chromium-driver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    downloads = tmp_path_factory.mktemp("downloads")
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                 "disable-background-networking", "disable-component-update"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, result, tmp_path):
    """The report with a hostile name wherever a study has names, opened in the browser."""
    text = json.dumps(result).replace("english-again", json.dumps(HOSTILE)[1:-1])
    hostile = json.loads(text)
    hostile["study"]["question"] = hostile["answer"] = hostile["plan"]["warnings"][0] = HOSTILE
    browser.get(write_page(hostile, tmp_path, list(figures_of(hostile))).as_uri())
    return browser


def test_the_page_loads_nothing_and_runs_nothing_of_others(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url.partition(":")[0] for url in requests} <= {"file", "data"} and len(requests) == 1
    assert page.execute_script("return document.images.length") == 0
    assert page.execute_script("return document.scripts.length") == 1
    injected = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    assert page.execute_script(f"{injected}; return window.ran") is None


def test_charts_are_drawn_and_tables_sort(page):
    from selenium.webdriver.common.by import By

    sizes = page.execute_script("return [...document.querySelectorAll('figure svg')].map(s => s.getBBox().width)")
    shown = page.execute_script("return [...document.querySelectorAll('main > section figure')].length")
    assert shown == len(sizes) > 5 and all(width > 100 for width in sizes if width)
    table = page.find_element(By.CSS_SELECTOR, "#scores table.sortable")
    heading = table.find_elements(By.CSS_SELECTOR, "thead button")[1]
    column = "return [...arguments[0].tBodies[0].rows].map(row => parseFloat(row.cells[1].textContent))"
    heading.click()
    ascending = page.execute_script(column, table)
    heading.click()
    assert ascending == sorted(ascending) and page.execute_script(column, table) == ascending[::-1]
    assert len(set(ascending)) > 3
    assert heading.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"


def test_a_figure_can_be_downloaded_with_its_numbers(page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    figure = page.find_element(By.ID, "contrasts-verdicts")
    figure.find_element(By.TAG_NAME, "summary").click()
    for button in figure.find_elements(By.CSS_SELECTOR, "details button[aria-label]"):
        button.click()
    files = {kind: page.downloads / f"contrasts-verdicts.{kind}" for kind in ("svg", "png", "csv")}
    WebDriverWait(page, 10).until(lambda _: all(file.is_file() for file in files.values()))
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    shown = [(row["contrast"], float(row["estimate"])) for row in rows]
    assert shown == [("far - english", 3.25), ("english - none", 1.0)]
    assert files["png"].read_bytes().startswith(b"\x89PNG") and "<svg" in files["svg"].read_text()


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_cut_off(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    page.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    script = """return [...document.querySelectorAll('body *')].filter(e =>
        e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest('.scroll, pre'))
        .map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 60))"""
    assert page.execute_script(script) == []
    edge = "return document.querySelector('#contrasts-verdicts svg').getBoundingClientRect().right"
    assert page.execute_script(edge) <= width, "the verdicts need no scrolling"


@pytest.mark.skipif(not AXE.is_file(), reason="XSTILTS_AXE does not name the file axe.min.js of the package axe-core")
def test_no_serious_violation_of_accessibility_rules(page):
    page.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    page.execute_script(AXE.read_text(encoding="utf-8"))
    found = page.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    serious = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in serious] == []
