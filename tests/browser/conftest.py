"""A report on the disk and on a web server, and a browser that writes down what it complains about and asks for."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.reporters.html import build

SAMPLE = Path(__file__).parents[1] / "unit" / "reporters" / "sample.py"
BROWSER = os.environ.get("EVALKIT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def made():
    """Module of builders: the sample report and its answers."""
    spec = importlib.util.spec_from_file_location("browser_sample", SAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(root: Path, report, reader) -> Path:
    """Write a report and return its first page."""
    for name, content in build().render(report, reader):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root / "index.html"


@pytest.fixture(scope="session")
def write():
    """Function that writes a report into a folder and returns its page."""
    return written


@pytest.fixture(scope="session")
def sample_page(made, tmp_path_factory) -> Path:
    """The page of the sample report."""
    return written(tmp_path_factory.mktemp("report"), *made.sample())


class _Quiet(SimpleHTTPRequestHandler):
    """A web server without a log."""

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="session")
def served(sample_page):
    """Address of the sample report on a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(sample_page.parent))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def chromium():
    """One headless browser for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="run `make test-report`, which installs Playwright")
    if BROWSER is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


SETTLED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
  done(!document.getElementById("view").hasAttribute("aria-busy")))))"""


@dataclass
class Reader:
    """A person with a browser."""

    page: object
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def look(self, address: Path | str, where: str = "#/") -> object:
        """Open a report at a place and wait until it is drawn."""
        url = address if isinstance(address, str) else address.as_uri()
        # Another fragment alone would not load the page again.
        self.page.goto("about:blank")
        self.page.goto(f"{url}{where}")
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def go(self, where: str) -> object:
        """Follow an address inside the report."""
        self.page.evaluate("(hash) => { location.hash = hash; }", where)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until nothing is being drawn."""
        self.page.wait_for_function(SETTLED)


@pytest.fixture
def reader(chromium):
    """Somebody who opens a report in a fresh window; a complaint of the browser fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    person = Reader(context.new_page())
    person.page.on("console", lambda message: person.complaints.append(f"{message.type}: {message.text}"))
    person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
    person.page.on("request", lambda request: person.asked.append(request.url))
    yield person
    context.close()
    assert person.complaints == []
