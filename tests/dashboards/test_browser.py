"""The dashboard as a person sees it: the real server in a real Chromium."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from abkit.evidence import Verdict
from abkit.report import serve
from tests.dashboards.conftest import MakeStore
from tests.report import samples

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


@pytest.fixture
def address(store: MakeStore, tmp_path: Path) -> Iterator[str]:
    """A running dashboard of three experiments."""
    path = store(samples.experiment(Verdict.SHIP), samples.canary(Verdict.ROLLBACK), samples.invalid())
    port = serve.choose_port("127.0.0.1")
    argv, env = serve.command(path, "127.0.0.1", port)
    log = (tmp_path / "streamlit.log").open("wb")
    with log, subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT) as server:
        try:
            _wait_for(f"{serve.url('127.0.0.1', port)}/_stcore/health", server, tmp_path / "streamlit.log")
            yield serve.url("127.0.0.1", port)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("chromium and chromedriver are needed: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = chromium
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield found
    finally:
        found.quit()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the dashboard didn't come up:\n{log.read_text()}")


def _see(browser: webdriver.Chrome, *texts: str) -> str:
    """Wait until all of these are on the page."""

    def text(driver: webdriver.Chrome) -> str:
        try:
            return driver.find_element(By.TAG_NAME, "body").text
        except StaleElementReferenceException:
            return ""

    try:
        WebDriverWait(browser, 60).until(lambda driver: all(wanted in text(driver) for wanted in texts))
    except Exception:
        pytest.fail(f"not on the page: {[wanted for wanted in texts if wanted not in text(browser)]}:\n{text(browser)}")
    return text(browser)


def _looks(browser: webdriver.Chrome, theme: str, width: int, height: int) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _picture(browser: webdriver.Chrome, path: Path) -> Image.Image:
    browser.save_screenshot(str(path))
    image = Image.open(io.BytesIO(path.read_bytes()))
    assert image.format == "PNG"
    colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
    assert colours is not None
    assert len(colours) > 100, "the page is blank"
    return image


def test_overview_and_result_in_a_real_browser(address: str, browser: webdriver.Chrome, tmp_path: Path) -> None:
    _looks(browser, "light", 1400, 1000)
    browser.get(address)
    text = _see(browser, "Needs attention", "Roll back", "Invalid", "Ship")
    assert text.index("payment-api-v7") < text.index("free-shipping-bar") < text.index("buy-now-button")
    light = _picture(browser, tmp_path / "overview.png").convert("RGB").getpixel((700, 995))
    assert light == (255, 255, 255)

    browser.find_element(By.PARTIAL_LINK_TEXT, "buy-now-button").click()
    text = _see(browser, "Scorecard", "Lift over time", "Split", "Health", "Download as JSON")
    assert browser.current_url == f"{address}/result?experiment=buy-now-button"
    for wanted in ("Ship", "conversion of treatment", "+8.1 %", "[+4.7 %, +11.5 %]", "< 0.001", "within margin"):
        assert wanted in text
    # Vega draws on canvas or in SVG; three charts have to have got a size.
    WebDriverWait(browser, 30).until(lambda driver: len(_charts(driver)) == 3)
    assert all(chart.size["width"] > 300 and chart.size["height"] > 60 for chart in _charts(browser))

    _looks(browser, "dark", 420, 2400)
    browser.get(f"{address}/?experiment=free-shipping-bar")
    _see(browser, "Invalid", "mismatch", "not to be believed")
    dark = _picture(browser, tmp_path / "result.png").convert("RGB").getpixel((410, 2390))
    assert dark == (15, 20, 26)
    # The page is no wider than the screen: what is wide scrolls within itself.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 420

    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    outside = [entry for entry in entries if "127.0.0.1" not in entry["message"]]
    assert outside == []


def _charts(driver: webdriver.Chrome) -> list[webdriver.remote.webelement.WebElement]:
    return driver.find_elements(By.CSS_SELECTOR, "[data-testid='stVegaLiteChart'] :is(canvas, svg).marks")
