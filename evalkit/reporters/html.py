"""The report people read: a folder that opens from a disk or a web server, without a network and at any size.

One page holds the program, and draws everything from shards it loads when they are looked at. Its content policy allows
that one script and that one style sheet by their digests, what the script itself loads, and nothing else: no image,
frame, font, connection or form. The script writes text as text; it has no way to turn a string into markup.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from evalkit.domain.outcome import Kind
from evalkit.domain.score import MEASURES
from evalkit.rendering import html_environment
from evalkit.reporters._answers import SuiteAnswers, kind_group
from evalkit.reporters._document import report_document
from evalkit.reporters._evidence import bound_words, gate_name, n_words, overhead_words, run_facts, tasks_of, worst_gate
from evalkit.reporters._format import UNKNOWN, format_time, format_value_against
from evalkit.reporters._names import file_names
from evalkit.reporters._shards import FOLDER, shard_file
from evalkit.reporters._text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evalkit.domain.report import Report
    from evalkit.domain.verdict import GateResult, Verdict
    from evalkit.plugins import Reporter
    from evalkit.ports import RunReader

__all__ = ["HtmlReporter", "build"]

# In the order they are read; all share one scope.
_SCRIPTS = (
    "data", "format", "dom", "json", "diff", "state", "charts", "frontier", "verdicts", "overview", "matrix",
    "task", "rows", "case", "answer", "changes", "trends", "review", "main",
)  # fmt: skip


def build() -> Reporter:
    """Return the HTML reporter."""
    return HtmlReporter()


class HtmlReporter:
    """A page, and beside it the shards it is drawn from."""

    folders = (FOLDER,)
    """What lies in these and was not written this time is of an older report, and goes."""

    def render(self, report: Report, reader: RunReader) -> Iterator[tuple[str, bytes]]:
        """Yield `index.html`, then the shards of one suite after the other, and the summary last."""
        yield "index.html", _page(report)
        details: dict[str, Any] = {}
        slugs = file_names(suite.name for suite in report.suites)
        for suite in report.suites:
            answers = SuiteAnswers(report, reader, suite, slug=slugs[suite.name])
            yield from answers.files()
            details[suite.name] = answers.details
        yield shard_file("summary", {**_summary(report), "details": details})


def _summary(report: Report) -> dict[str, Any]:
    """The report's document, with the sentences that other formats show too."""
    document = report_document(report)
    for verdict, shown in zip(report.verdicts, document["verdicts"], strict=True):
        shown["worst"] = _worst_index(verdict)
        for gate, words in zip(verdict.gates, shown["gates"], strict=True):
            words["words"] = _gate_words(gate)
    for model, shown in zip(report.models, document["models"], strict=True):
        shown["overhead_words"] = overhead_words(model.overhead)
    document["facts"] = run_facts(report)
    document["task_names"] = tasks_of(report)
    document["kind_groups"] = {str(kind): kind_group(kind) for kind in Kind}
    document["units"] = {name: measure.unit for name, measure in MEASURES.items()}
    return document


def _worst_index(verdict: Verdict) -> int | None:
    worst = worst_gate(verdict)
    return None if worst is None else verdict.gates.index(worst)


def _gate_words(gate: GateResult) -> dict[str, str]:
    value = UNKNOWN if gate.estimate is None else format_value_against(gate.metric, gate.estimate.value, gate.limit)
    return {"name": gate_name(gate), "value": value, "bound": bound_words(gate), "n": n_words(gate)}


def _page(report: Report) -> bytes:
    environment = html_environment("evalkit.reporters", "app")
    environment.filters["visible"] = visible
    page = environment.get_template("index.html.j2").render(
        report=report, tasks=tasks_of(report), moment=format_time, **_assets()
    )
    return page.encode("utf-8", errors="backslashreplace")


@cache
def _assets() -> dict[str, str]:
    folder = files("evalkit.reporters").joinpath("app")
    css = folder.joinpath("report.css").read_text(encoding="utf-8")
    sources = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS]
    script = "\n".join(('"use strict";', "(() => {", *sources, "})();"))
    # `strict-dynamic` passes the trust of this one script on to the shards it loads, wherever the folder lies;
    # trusted types leave it one way to name a script, and no way to write markup.
    policy = (
        f"default-src 'none'; style-src '{_csp_digest(css)}'; script-src '{_csp_digest(script)}' 'strict-dynamic'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types evalkit-shards"
    )
    return {"css": css, "script": script, "policy": policy}


def _csp_digest(text: str) -> str:
    """The source expression that allows exactly this inline text (CSP Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
