"""What the documentation shows can be run as it stands: examples, the README's project, the demo's table."""

from __future__ import annotations

import gzip
import inspect
import json
import os
import re
from pathlib import Path

import pytest

from evalkit import errors
from evalkit.api.project import load_project
from evalkit.canonical import canonical_json, digest_of
from evalkit.domain.eligibility import Eligibility
from evalkit.plugins import ScorerContext, load_plugin, plugin_names
from evalkit.simulator.personas import PERSONAS
from evalkit.stats.power import clusters_needed, equal_pass_probability, failures_allowed, pass_probability
from evalkit.testing.builders import a_case, a_suite, an_outcome

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
STATISTICS = ROOT / "docs" / "explanation" / "statistics.md"
OUTCOMES = ROOT / "docs" / "explanation" / "outcomes.md"
DATA = Path(os.environ.get("EVALKIT_DATA") or ROOT.parent / "shared" / "data") / "outputs" / "zeroeval_gsm"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda page: page.as_posix())
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    """Return the name a page is shown by."""
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    """Return the page."""
    return page.read_text(encoding="utf-8")


def examples() -> list[tuple[str, str]]:
    """Return (page and name, source) of every Python block that calls itself an example."""
    found = []
    for page in PAGES:
        for language, source in BLOCK.findall(text_of(page)):
            name = re.match(r"# example: (\S+)", source)
            if language == "python" and name:
                found.append((f"{name_of(page)}:{name[1]}", source))
    return found


def test_every_python_block_is_an_example():
    """Nothing in the documentation looks like code and is never run."""
    blocks = [source for page in PAGES for language, source in BLOCK.findall(text_of(page)) if language == "python"]
    assert len(blocks) == len(examples()) >= 6


@pytest.mark.parametrize(("name", "source"), [e for e in examples() if not e[0].endswith(":router")])
def test_example_runs(name, source):
    """The example does what it says, and the contract tests inside it pass."""
    space = {"__name__": "example"}
    exec(compile(source, name, "exec"), space)
    for value in list(space.values()):
        if inspect.isclass(value) and value.__name__.startswith("Test"):
            tests = [attribute for attribute in dir(value) if attribute.startswith("test_")]
            assert tests
            for test in tests:
                getattr(value(), test)()


def an_eligibility_file() -> dict[str, object]:
    """Return a file that admits one model to one task, for a very long time."""
    sha256, moment = f"sha256:{'0' * 64}", "2026-01-01T00:00:00Z"
    end = "2999-01-01T00:00:00Z"
    adapt = {"system_role": "system", "max_tokens_field": "max_tokens", "extra_body": {}}
    candidate = {
        "model": "gpt-4o", "measured_at": moment, "valid_until": end, "admitted_by": "evidence",
        "request": {"mode": "text", "adapt": adapt}, "coverage": 1.0, "gates": [],
    }  # fmt: skip
    model = {
        "route": "gpt-4o-2024-08-06", "routes": {}, "provider": "openai", "host": None, "quantization": None,
        "context_tokens": None, "max_output_tokens": None, "identity": "self_reported",
    }  # fmt: skip
    task = {
        "critical": False, "pin": None, "on_expiry": "deny", "failover": {}, "spend_cap": None, "latency": None,
        "candidates": [candidate], "rejected": [],
    }  # fmt: skip
    draft = Eligibility.model_validate({
        "format": "evalkit.eligibility/1", "audience": "prod-eu", "generated_at": moment, "valid_until": end,
        "default": "deny", "simulated": False, "gateway": {"kind": "openai", "vantage": ""},
        "run": {"id": None, "evalkit": "0.1.0", "suites": {}, "roster": sha256, "policy": sha256},
        "providers": {}, "models": {"gpt-4o": model}, "tasks": {"capitals": task}, "digest": sha256,
    })  # fmt: skip
    return draft.model_copy(update={"digest": digest_of(draft.payload())}).document()


def test_router_example_reads_a_file(tmp_path, monkeypatch, capsys):
    """The example of the README prints the candidates of a file, in order."""
    source = next(source for name, source in examples() if name == "README.md:router")
    (tmp_path / "eligibility.json").write_bytes(canonical_json(an_eligibility_file()))
    monkeypatch.chdir(tmp_path)
    exec(compile(source, "README.md:router", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["gpt-4o gpt-4o-2024-08-06 text"]


def readme_files() -> dict[str, str]:
    """Return the files the README shows, by the path in their first comment."""
    blocks = [source for language, source in BLOCK.findall(text_of(README)) if language == "yaml"]
    return {block.splitlines()[0].removeprefix("# "): block for block in blocks}


def write_readme_project(root: Path, *, n_cases: int) -> None:
    """Write the files the README shows, its one case with another country each time."""
    case = json.loads(next(source for language, source in BLOCK.findall(text_of(README)) if language == "json"))
    cases = "".join(
        json.dumps({**case, "id": f"case-{number}", "vars": {"country": f"land {number}"}}) + "\n"
        for number in range(n_cases)
    )
    for name, text in {**readme_files(), "suites/capitals/cases.jsonl": cases}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def test_readme_project_loads(tmp_path):
    """The files of the README, with as many cases as it asks for, are a project without any problem."""
    write_readme_project(tmp_path, n_cases=29)
    loaded = load_project(tmp_path)
    assert [found.name for found in loaded.suites] == ["capitals"]
    assert loaded.config.gateway.kind in plugin_names("gateways")


def test_readme_project_needs_its_cases(tmp_path):
    """With one case fewer than the README asks for, loading says that the gate can never pass."""
    write_readme_project(tmp_path, n_cases=28)
    with pytest.raises(errors.InputError, match="can never pass"):
        load_project(tmp_path)


def test_readme_tells_the_truth_about_the_demo():
    """The table of the demo has the verdict and the cause each simulated model was made for."""
    table = dict(re.findall(r"^\| `(sim-[\w-]+)` \| (.+) \|$", text_of(README), re.MULTILINE))
    header = re.search(r"^\| model \| (invoice.+) \|$", text_of(README), re.MULTILINE)
    tasks = header[1].split(" | ")
    told = {
        (model, task): cell for model, row in table.items() for task, cell in zip(tasks, row.split(" | "), strict=True)
    }
    truths = {(persona.model_id, truth.task): truth for persona in PERSONAS for truth in persona.truths}
    assert told.keys() == truths.keys()
    for pair, truth in truths.items():
        cause = truth.metric.partition("/")[2] or truth.reason
        assert told[pair] == (f"{truth.status}: `{cause}`" if cause else truth.status), pair


def test_readme_is_short_enough():
    """The first page stays a first page, and the contributor's two."""
    assert len(text_of(README).splitlines()) <= 200
    assert len(text_of(ROOT / "CONTRIBUTING.md").splitlines()) <= 180


# --- numbers


def rows_of(page: Path, *, head: str) -> list[list[str]]:
    """Return the cells of the table whose first line begins with `head`."""
    lines = text_of(page).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head)) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[start:end]]


def test_power_table_is_right():
    """Every number of the table of gates is what evalkit computes."""
    rows = rows_of(STATISTICS, head="| gate | floor |")
    assert len(rows) >= 5
    for gate, floor, n_cases, n_allowed, *probabilities in rows:
        limit, n = float(gate), int(n_cases)
        assert (clusters_needed(limit, alpha=0.05), failures_allowed(limit, n, alpha=0.05)) == (
            int(floor),
            int(n_allowed),
        )
        found = [pass_probability(limit, n, alpha=0.05, true_share=share) for share in (limit, 0.97, 0.98, 0.99)]
        assert [f"{value:.3f}".removeprefix("0") for value in found] == probabilities


def test_non_inferiority_table_is_right():
    """Every chance of an identical candidate is what evalkit computes."""
    rows = rows_of(STATISTICS, head="| margin |")
    assert len(rows) >= 3
    for margin, *probabilities in rows:
        found = [equal_pass_probability(float(margin), n, 0.9, rho=0.5) for n in (150, 300, 1000)]
        assert [f"{value:.2f}".removeprefix("0") for value in found] == probabilities


def test_floors_are_right():
    """The floors quoted in prose are the floors."""
    floors = {limit: clusters_needed(limit, alpha=0.05) for limit in (0.90, 0.95, 0.98, 0.99)}
    assert floors == {0.90: 29, 0.95: 59, 0.98: 149, 0.99: 299}


@pytest.mark.data
def test_reader_table_is_right():
    """The shares of right answers by parse level are what the scorer gives on the recorded answers."""
    if not DATA.is_dir():
        pytest.skip("needs the recorded data sets (EVALKIT_DATA)")
    with (DATA / "cases.jsonl").open(encoding="utf-8") as lines:
        expected = {row["case_id"]: row["expected"] for row in map(json.loads, lines)}
    cases = {case_id: a_case(f"case-{n}", expected=gold) for n, (case_id, gold) in enumerate(expected.items())}
    suite = a_suite(cases=list(cases.values()), primary="number", scorers=("number",))
    for model, *shares in rows_of(OUTCOMES, head="| model | `strict`"):
        with gzip.open(DATA / "responses" / f"{model}.jsonl.gz", "rt", encoding="utf-8") as lines:
            answers = [(cases[row["case_id"]], row["output"] or "") for row in map(json.loads, lines)]
        for level, told in zip(("strict", "fence", "lenient"), shares, strict=True):
            scorer = load_plugin("scorers", "number")(
                ScorerContext(params={"field": "answer", "accept": level}, suite=suite)
            )
            n_right = sum(scorer.score(case, an_outcome(case.id, text=text), ())[0].value for case, text in answers)
            assert f"{n_right / len(answers):.3f}".removeprefix("0") == told, (model, level)
