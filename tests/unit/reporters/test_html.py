"""The pages open anywhere, say who may serve what, and run nothing a model wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from evalkit.plugins import load_plugin
from evalkit.reporters import html
from evalkit.reporters.html import HtmlReporter, build

VOID = {"meta", "input", "br", "link", "img", "hr", "wbr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; raises where tags do not match."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, str] = {}
        self.text = ""
        self.feed(content.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Remember an element."""
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"attribute twice in <{tag}>"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Remember an SVG element that closes itself."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Check that it closes what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Collect text, apart from style and script."""
        if self.open and self.open[-1] in {"style", "script"}:
            self.raw[self.open[-1]] = self.raw.get(self.open[-1], "") + data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a tag."""
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def files(made):
    """The sample as files."""
    return dict(build().render(*made.sample()))


@pytest.fixture(scope="module")
def page(files):
    """The sample's page, parsed."""
    return Page(files["index.html"])


@pytest.fixture(scope="module")
def summary(files, unpacked):
    """What the page knows before it loads anything else."""
    return unpacked(files["shards/summary.js"])


def test_entry_point_finds_it():
    """The command line finds it as it finds any plugin."""
    assert isinstance(load_plugin("reporters", "html")(), HtmlReporter)


def test_a_page_first_and_shards_beside_it(files, made):
    """The first file is the one to open; the summary comes last, when everything it names is there."""
    names = [*files]
    assert names[0] == "index.html"
    assert names[-1] == "shards/summary.js"
    assert {name.split(".")[0] for name in names[1:-1]} == {f"shards/{suite.name}" for suite in made.sample()[0].suites}


def test_what_the_page_asks_for_is_what_is_written(files, summary, unpacked):
    """Every shard the page will name is there, and no other."""
    wanted = {"index.html", "shards/summary.js"}
    for details in summary["details"].values():
        rows = unpacked(files[f"shards/{details['slug']}.rows.js"])
        wanted |= {f"shards/{details['slug']}.rows.js"}
        wanted |= {f"shards/{details['slug']}.cases-{index}.js" for index in range(len(rows["starts"]))}
    assert set(files) == wanted


def test_the_policy_allows_exactly_what_is_inside(page):
    """Style and script are named by their digest, the script passes its trust on, everything else is forbidden."""
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    style, script = (
        base64.b64encode(hashlib.sha256(page.raw[k].encode()).digest()).decode() for k in ("style", "script")
    )
    assert rules.pop("style-src") == f"'sha256-{style}'"
    assert rules.pop("script-src") == f"'sha256-{script}' 'strict-dynamic'"
    assert rules == {"require-trusted-types-for": "'script'", "trusted-types": "evalkit-shards"}


def test_the_policy_stands_before_what_it_governs(files):
    """A policy after the style would not hold for it."""
    content = files["index.html"]
    assert content.index(b"Content-Security-Policy") < content.index(b"<style>")


def test_nothing_inline_and_nothing_from_elsewhere(page):
    """No handler, no style attribute, no address outside the page, one script and one style."""
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not {tag for tag, _ in page.elements} & {"img", "iframe", "object", "embed", "link", "form", "base"}
    for _, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name in {"style", "src", "srcset"}]
        assert re.fullmatch(r"(#[\w-]+)?", attrs.get("href") or "")


SOURCES = sorted(Path(html.__file__).with_name("app").glob("*.js"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_script_cannot_write_markup(path):
    """No string becomes markup, code or a style, and nothing is fetched: text is set as text."""
    text = path.read_text(encoding="utf-8")
    forbidden = (
        *("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "fetch(", "</script"),
        *("XMLHttpRequest", 'setAttribute("on', 'setAttribute("style', "http://", "https://"),
    )
    assert [word for word in forbidden if word in text.replace("http://www.w3.org/2000/svg", "")] == []
    assert len(text.splitlines()) <= 400


def test_every_source_is_in_the_page():
    """A file that is not read would be a lie."""
    assert sorted(html._SCRIPTS) == [path.stem for path in SOURCES]


def test_the_first_screen_has_its_answers(summary):
    """Who may serve, why not, what would help, what it costs and what got worse are in what is loaded first."""
    text = json.dumps(summary, ensure_ascii=False)
    for answer in (
        "even the upper bound is 0.753, needs ≥ 0.8", "n = 200 in 100 clusters",
        "169 of 200 planned answers have a score", "when the provider is back", "$18.06", "20 min 34 s",
        "0.024 s [0.022 s, 0.025 s]", "p95 0.035 s, upper bound 0.041 s, 240 pairs", "not measured",
        "mistral-small-2503 → mistral-small-2506", "20260920-0200-1c22", "legal@example.org",
    ):  # fmt: skip
        assert answer in text, answer
    assert dict(summary["offers"])["invoice-extraction"] == ["gemini-pro", "gpt-4o", "claude-sonnet"]


def test_a_verdict_points_at_the_gate_that_decided(summary):
    """The same one as in the other formats."""
    verdict = next(v for v in summary["verdicts"] if v["model_id"] == "llama-70b-fp8-together")
    assert verdict["gates"][verdict["worst"]]["status"] == "fail"


def test_without_its_script_the_page_still_says_the_verdicts(page):
    """Text browsers, and whoever forbids scripts, see the answer and what else there is."""
    text = " ".join(page.text.split())
    assert re.search(r"gpt-4o ?eligible", text)
    assert "evalkit report --format markdown" in text


def test_simulated_is_in_the_page_and_its_data(made, unpacked):
    """A screenshot of any view says that nothing real was measured."""
    files = dict(build().render(*made.sample(is_simulated=True)))
    assert "[SIMULATED]" in Page(files["index.html"]).text
    assert unpacked(files["shards/summary.js"])["simulated"]
    assert b"SIMULATED</strong>" not in dict(build().render(*made.sample()))["index.html"]


def test_a_hostile_title_is_text(made):
    """Even what a person named is escaped, and the unseen is written out."""
    report, reader = made.sample()
    page = Page(next(iter(build().render(replace(report, title=made.HOSTILE), reader)))[1])
    assert len(page.all("script")) == 1
    assert "⟦U+202E⟧" in page.text


def test_suite_names_cannot_leave_the_folder(made):
    """Identifiers cannot hold a slash, but a report made by hand can."""
    report, reader = made.sample()
    suite = report.suites[0].model_copy(update={"name": "../../x"})
    for name, _ in build().render(replace(report, suites=(suite,)), reader):
        assert re.fullmatch(r"index\.html|shards/[\w.-]+\.js", name)


def test_an_empty_report_is_still_a_page(made, unpacked):
    """Before the first measurement there is something to look at."""
    report, _ = made.sample()
    empty = replace(report, verdicts=(), offers=(), cells=(), models=(), comparisons=(), model_ids=(), previous=None)
    files = dict(build().render(empty, made.FakeReader([], [], report.run)))
    assert unpacked(files["shards/summary.js"])["details"]["contract-qa"]["models"] == {}
    assert unpacked(files["shards/contract-qa.rows.js"])["cases"] == []


def test_the_same_run_gives_the_same_bytes(made, files):
    """A report can be compared byte by byte."""
    assert dict(build().render(*made.sample())) == files
