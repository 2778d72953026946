"""Debian's Chromium without a window, driven by Selenium."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webdriver import WebDriver

Found = TypeVar("Found")
_PATIENCE = 30.0
_AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")


class Browser:
    """A browser at one dashboard."""

    def __init__(self, url: str, screenshots: Path) -> None:
        self.url = url
        self.screenshots = screenshots
        self.driver = _started()

    def quit(self) -> None:
        self.driver.quit()

    def open(self, path: str = "/", **query: Any) -> None:
        """Go to a view and wait until it has all its answers."""
        self.driver.get("about:blank")
        self.driver.get(self.url + _hash(path, query))
        self.settle()

    def go(self, path: str = "/", **query: Any) -> None:
        """Go to another view of the page that is open, as a link does, and wait."""
        self.run("location.hash = arguments[0]", _hash(path, query))
        self.run_later("setTimeout(done)")  # the page hears of it in a task of its own
        self.settle()

    def settle(self) -> None:
        """Wait until the page awaits nothing and has drawn what came."""
        quiet = (
            "const m = document.getElementById('main');"
            "return m && document.documentElement.dataset.awaited === '0'"
            " && !document.querySelector('.wait')"
            " && !/Fetching the curves|Reading the whole log|Computing…/.test(document.body.innerText)"
        )
        self.until(lambda: self.run(quiet), "the page's answers")
        self.run_later("requestAnimationFrame(() => requestAnimationFrame(() => done()))")

    def until(self, question: Callable[[], Found], what: str) -> Found:
        """Return the first true answer."""
        end = time.monotonic() + _PATIENCE
        while True:
            if answer := question():
                return answer
            assert time.monotonic() < end, f"waited for {what}: {self.text[:2000]}"
            time.sleep(0.05)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def run_later(self, script: str, *arguments: Any) -> Any:
        """Run a script that calls ``done(answer)`` when it is ready."""
        self.driver.set_script_timeout(_PATIENCE)
        taken = "const done = arguments[arguments.length - 1];"  # Selenium adds it
        return self.driver.execute_async_script(taken + script, *arguments)

    @property
    def text(self) -> str:
        return self.run("return document.body.innerText")

    def size(self, width: int, height: int) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def colours(self, theme: str) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": theme}]},
        )

    def picture(self, name: str) -> Path:
        """Write what is seen, from top to bottom, to the folder of screenshots."""
        width, height = self.run(
            "return [innerWidth, Math.min(6000, document.documentElement.scrollHeight)]"
        )
        self.size(width, max(700, height))
        self.settle()
        path = self.screenshots / f"{name}.png"
        self.driver.save_screenshot(str(path))
        return path

    def complaints(self) -> list[str]:
        """Return what was written to the console since the last call."""
        return [f"{line['level']}: {line['message']}" for line in self.driver.get_log("browser")]

    def hosts(self) -> set[str]:
        """Return the beginnings of all addresses that were asked for since the last call."""
        found: set[str] = set()
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                if not address.startswith(("data:", "blob:", "about:", "chrome:")):
                    found.add("/".join(address.split("/", 3)[:3]) + "/")
        return found

    def violations(self, *rules: str) -> list[str]:
        """Return what axe-core finds seriously wrong with the page as it stands; by default all of it."""
        if not self.run("return !!window.axe"):
            self.run(_AXE)
        found = self.run_later(
            "const rules = arguments[0];"
            "const only = rules.length ? {runOnly: rules} : {};"
            "axe.run(document, {resultTypes: ['violations'], ...only}).then((r) => done(r.violations"
            ".filter((v) => ['serious', 'critical'].includes(v.impact))"
            ".map((v) => v.id + ': ' + v.nodes.map((n) => n.target + ' ' + n.failureSummary)"
            ".slice(0, 3).join(' | '))))",
            list(rules),
        )
        return list(found)


def _hash(path: str, query: dict[str, Any]) -> str:
    text = "&".join(f"{k}={quote(str(v), safe='')}" for k, v in query.items())
    return f"#{path}{'?' if text else ''}{text}"


def _started() -> WebDriver:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "the tests of the page need Chromium: apt-get install chromium"
    assert driver, "the tests of the page need its driver: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--mute-audio"):
        options.add_argument(argument)
    if os.name == "posix" and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which root cannot have
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, Service(driver))
