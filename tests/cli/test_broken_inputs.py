"""One thing wrong in one input file: exit code 2, and a message with file, line, pointer, value and next step."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

CONFIG, ROSTER, POLICY, WAIVERS = "evalkit.yaml", "roster.yaml", "policy.yaml", "waivers.yaml"
SUITE, CASES = "suites/greeting/suite.yaml", "suites/greeting/cases.jsonl"
COLOUR, CSV = "suites/colour/suite.yaml", "suites/colour/cases.csv"
SCHEMA = "schemas/hello.schema.json"

GATE = "{metric: fields, at_least: 0.5}"
FIRST_PROPERTY = '{\n      "type": "string"\n    }'


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One way to break the project, and what must be said of it."""

    name: str
    file: str
    """The file that is changed."""
    old: str = ""
    """Empty: `new` becomes the whole file."""
    new: str
    at: str
    """`line` or `line: pointer` of the first problem, with another file in front where another one is to be mended."""
    says: str
    next_step: str


def _waiver(**values: str) -> str:
    whole = {"task": "colour", "model": "beta", "action": "deny", "reason": "outage", "by": "me", "until": "2020-01-01"}
    return f"version: 1\nwaivers:\n  - {{{', '.join(f'{k}: {v}' for k, v in (whole | values).items())}}}\n"


def _config() -> list[Broken]:
    return [
        Broken(name="unknown key", file=CONFIG, old="limits:", new="limitz:", at="5: /limitz",
               says="unknown key 'limitz' with value {'concurrency': 16}", next_step="did you mean 'limits'?"),
        Broken(name="not YAML", file=CONFIG, old="limits: {", new="limits: [", at="5",
               says="not valid YAML", next_step="check indentation, quotes and brackets"),
        Broken(name="empty", file=CONFIG, new="", at="1", says="not None", next_step="start with `version: 1`"),
        Broken(name="key twice", file=CONFIG, old="name: shop", new="name: shop\nname: shop2", at="3",
               says="the key 'name' is given twice (first on line 2)", next_step="keep one of the two"),
        Broken(name="version", file=CONFIG, old="version: 1", new="version: 2", at="1: /version",
               says="2 is not allowed", next_step="a value of the kind it asks for"),
        Broken(name="missing key", file=CONFIG, old="kind: simulator, ", new="", at="4: /gateway/kind",
               says="the required key 'kind' is missing", next_step="add kind"),
        Broken(name="wrong type", file=CONFIG, old="time_scale: 0", new="time_scale: fast",
               at="4: /gateway/simulator/time_scale", says="'fast' is not allowed",
               next_step="a value of the kind it asks for"),
        Broken(name="out of range", file=CONFIG, old="concurrency: 16", new="concurrency: 0",
               at="5: /limits/concurrency", says="0 is not allowed", next_step="a value of the kind it asks for"),
        Broken(name="no suite file", file=CONFIG, old="limits:", new='suites: ["none/*.yaml"]\nlimits:',
               at="5: /suites/0", says="no file matches 'none/*.yaml'", next_step="correct the pattern"),
        Broken(name="file outside", file=CONFIG, old="limits:", new="roster: ../roster.yaml\nlimits:",
               at="5: /roster", says="'../roster.yaml' lies outside the project", next_step="copy it into the project"),
        Broken(name="key in the file", file=CONFIG, old="kind: simulator,", new="kind: simulator, api_key: sk-9f3a,",
               at="4: /gateway/api_key", says="with value (not shown)", next_step="name that in api_key_env"),
    ]  # fmt: skip


def _roster() -> list[Broken]:
    return [
        Broken(name="unknown key", file=ROSTER, old="provider: first", new="providr: first", at="5: /models/0/providr",
               says="unknown key 'providr' with value 'first'", next_step="did you mean 'provider'?"),
        Broken(name="duplicate id", file=ROSTER, old="id: beta", new="id: alpha", at="8: /models/1/id",
               says="the model id 'alpha' is given twice (first on line 3)", next_step="give each model its own id"),
        Broken(name="bad id", file=ROSTER, old="id: beta", new='id: "[red]beta"', at="8: /models/1/id",
               says="'[red]beta' is not allowed", next_step="use letters a to z, digits and . _ : @ + - only"),
        Broken(name="id in another script", file=ROSTER, old="id: beta", new="id: größe", at="8: /models/1/id",
               says="'größe' is not allowed", next_step="use letters a to z, digits and . _ : @ + - only"),
        Broken(name="id that is a number", file=ROSTER, old="id: beta", new="id: 7", at="8: /models/1/id",
               says="7 is not allowed", next_step="put it in quotes"),
        Broken(name="nobody", file=ROSTER, new="version: 1\nmodels: []\n", at="2: /models",
               says="[] is not allowed", next_step="write at least 1"),
        Broken(name="price in words", file=ROSTER, old="1.0", new="cheap", at="6: /models/0/price/input_usd_per_mtok",
               says="'cheap' is not allowed", next_step="a value of the kind it asks for"),
        Broken(name="extends nobody", file=ROSTER, old="route: sim/claude", new="extends: gamma\n    route: sim/claude",
               at="9: /models/1/extends", says="'gamma', which is no model", next_step="models: alpha, beta"),
    ]  # fmt: skip


def _policy() -> list[Broken]:
    return [
        Broken(name="unknown key", file=POLICY, old="pin: alpha", new="pinn: alpha", at="3: /tasks/greeting/pinn",
               says="unknown key 'pinn' with value 'alpha'", next_step="did you mean 'pin'?"),
        Broken(name="task without suite", file=POLICY, old="colour: {}", new="colour: {}\n  colours: {}",
               at="5: /tasks/colours", says="no suite serves the task 'colours'", next_step="did you mean 'colour'?"),
        Broken(name="suite without task", file=POLICY, old="  colour: {}", new="", at=f"{COLOUR}:3: /task",
               says="the task 'colour' is not in the policy", next_step="tasks of the policy: greeting"),
        Broken(name="pin is nobody", file=POLICY, old="pin: alpha", new="pin: alfa", at="3: /tasks/greeting/pin",
               says="pin 'alfa' is no model of the roster", next_step="did you mean 'alpha'?"),
        Broken(name="client gives up first", file=POLICY, old="colour: {}",
               new="colour: {failover: {client_timeout_s: 15, retries: 0}}",
               at="4: /tasks/colour/failover/client_timeout_s", says="the client gives up after 15 s",
               next_step="the largest upstream_timeout_s that fits is 7.5"),
        Broken(name="retry a refusal", file=POLICY, old="colour: {}", new="colour: {failover: {retry_on: [refusal]}}",
               at="4: /tasks/colour/failover", says="refusal: never retried", next_step="change one of the values"),
        Broken(name="duration", file=POLICY, old="tasks:", new="defaults: {valid_for: 2 days}\ntasks:",
               at="2: /defaults/valid_for", says="'2 days' is not allowed",
               next_step="a whole number and s, m, h or d"),
    ]  # fmt: skip


def _waivers() -> list[Broken]:
    return [
        Broken(name="unknown action", file=WAIVERS, new=_waiver(action="permit"), at="3: /waivers/0/action",
               says="'permit' is not allowed", next_step="a value of the kind it asks for"),
        Broken(name="model is nobody", file=WAIVERS, new=_waiver(model="gamma"), at="3: /waivers/0/model",
               says="the waiver's model 'gamma' is unknown", next_step="models: alpha, beta"),
        Broken(name="no such day", file=WAIVERS, new=_waiver(until="2026-02-31"), at="3: /waivers/0/until",
               says="until '2026-02-31' is no day", next_step="write YYYY-MM-DD"),
        Broken(name="too long", file=WAIVERS, new=_waiver(until="2999-01-01"), at="3: /waivers/0/until",
               says="and may last 14", next_step="give an earlier end"),
    ]  # fmt: skip


def _suite() -> list[Broken]:
    return [
        Broken(name="unknown key", file=SUITE, old="version: 1", new="version: 1\ntrails: 2", at="2: /trails",
               says="unknown key 'trails' with value 2", next_step="did you mean 'trials'?"),
        Broken(name="unknown scorer", file=SUITE, old="json_schema, fields]", new="json_schema, feilds]",
               at="9: /scorers/1", says="no scorer named 'feilds'", next_step="did you mean 'fields'?"),
        Broken(name="primary of no scorer", file=SUITE, old="primary: fields", new="primary: exact", at="8: /primary",
               says="the primary metric 'exact'", next_step="metrics: fields"),
        Broken(name="gate on nothing", file=SUITE, old="metric: fields", new="metric: exact", at="12: /gates/1",
               says="no scorer of this suite gives the metric 'exact'", next_step="metrics: "),
        Broken(name="gate nobody can pass", file=SUITE, old=GATE, new="{metric: fields, at_least: 0.99}",
               at="12: /gates/1", says="fields >= 0.99 can never pass", next_step="add cases in 269 new clusters"),
        Broken(name="gate with both limits", file=SUITE, old=GATE, new="{metric: fields, at_least: 0.5, at_most: 0.6}",
               at="12: /gates/1", says="exactly one of at_least and at_most", next_step="change one of the values"),
        Broken(name="gate on an unused tag", file=SUITE, old=GATE,
               new="{metric: fields, at_least: 0.5, where: {tag: odd}}",
               at="12: /gates/1", says="no case carries the tag 'odd'", next_step="tags: even"),
        Broken(name="missing variable", file=SUITE, old="{{ name }}", new="{{ nme }}", at=f"{CASES}:1: /vars",
               says="the case 'g0' does not give 'nme'", next_step="did you mean 'name'?"),
        Broken(name="broken template", file=SUITE, old="{{ name }}", new="{{ name", at="5: /request/prompt",
               says="the template cannot be parsed", next_step="write {{ name }} for a variable"),
        Broken(name="no schema file", file=SUITE, old="hello.schema", new="helo.schema",
               at="6: /request/response/schema", says="there is no file '../../schemas/helo.schema.json'",
               next_step="files in schemas: hello.schema.json"),
        Broken(name="no cases file", file=SUITE, old="cases.jsonl", new="case.jsonl", at="7: /cases",
               says="there is no file 'case.jsonl'", next_step="files in suites/greeting: cases.jsonl"),
        Broken(name="extends nothing", file=SUITE, old="version: 1", new="version: 1\nextends: ../_all.yaml",
               at="2: /extends", says="there is no file '../_all.yaml'", next_step="files in suites"),
        Broken(name="duplicate name", file=SUITE, old="name: greeting", new="name: colour", at="2: /name",
               says="the suite name 'colour' is already taken by", next_step="give each suite its own name"),
    ]  # fmt: skip


def _cases() -> list[Broken]:
    return [
        Broken(name="not JSON", file=CASES, old='"]}', new='"]', at="1",
               says="not valid JSON", next_step="strict JSON"),
        Broken(name="an array", file=CASES, new='[\n{"id": "a"},\n{"id": "b"}\n]\n', at="1",
               says="a JSON array where JSON Lines are wanted", next_step="one JSON object a line"),
        Broken(name="a list in a line", file=CASES, old='{"id": "g1"', new='["g1"]\n{"id": "g1"', at="2",
               says="['g1'] is not allowed", next_step="write a mapping"),
        Broken(name="id that is a number", file=CASES, old='"g1"', new="1", at="2: /id",
               says="1 is not allowed", next_step="put it in quotes"),
        Broken(name="duplicate id", file=CASES, old='"g1"', new='"g0"', at="2: /id",
               says="the case id 'g0' is given twice (first on line 1)", next_step="give each case its own id"),
        Broken(name="unknown key", file=CASES, old='"expected"', new='"expcted"', at="1: /expcted",
               says="unknown key 'expcted'", next_step="did you mean 'expected'?"),
        Broken(name="key twice", file=CASES, old='{"id": "g0"', new='{"id": "g0", "id": "g0"', at="1",
               says="the key 'id' is given twice", next_step="strict JSON"),
        Broken(name="no case", file=CASES, new="", at=f"{SUITE}:7: /cases", says="there is no case",
               next_step="write at least one case"),
        Broken(name="cells", file=CSV, old="f1,number 1,", new="f1,number 1,blue,", at="3",
               says="4 cells under 3 columns", next_step="quote cells that hold commas"),
        Broken(name="no id column", file=CSV, old="id,fruit", new="key,fruit", at="1",
               says="there is no column 'id'", next_step="first line: id"),
        Broken(name="duplicate id in CSV", file=CSV, old="f1,", new="f0,", at="3: /id",
               says="the case id 'f0' is given twice (first on line 2)", next_step="give each case its own id"),
        Broken(name="open quote", file=CSV, old="f1,number 1", new='f1,"number 1', at="3",
               says="not valid CSV", next_step="use JSON Lines for long text"),
    ]  # fmt: skip


def _schema() -> list[Broken]:
    return [
        Broken(name="not JSON", file=SCHEMA, old='"object",', new='"object"', at="3", says="not valid JSON",
               next_step="strict JSON"),
        Broken(name="does not compile", file=SCHEMA, old='"type": "object"', new='"type": "objekt"', at=": /type",
               says="not a JSON Schema: 'objekt'", next_step="correct the keyword"),
        Broken(name="remote reference", file=SCHEMA, old=FIRST_PROPERTY, new='{"$ref": "https://example.com/x.json"}',
               at=": /properties/hello/$ref", says="$ref 'https://example.com/x.json' is not local",
               next_step="copy what it names into $defs"),
        Broken(name="dangling reference", file=SCHEMA, old=FIRST_PROPERTY, new='{"$ref": "#/$defs/no"}', at="",
               says="$ref '#/$defs/no' leads nowhere", next_step="define it under $defs"),
    ]  # fmt: skip


TABLE = [*_config(), *_roster(), *_policy(), *_waivers(), *_suite(), *_cases(), *_schema()]


@pytest.mark.parametrize("broken", TABLE, ids=lambda broken: f"{broken.file.rsplit('/')[-1]}: {broken.name}")
def test_broken_input_is_explained(evalkit, shop, broken: Broken):
    """Exit code 2; the place, the value and the next step are on stderr and, as JSON, on stdout."""
    _break(shop, broken)

    said = evalkit.on(shop)("validate", "--json")

    first = said.error["problems"][0]
    assert said.code == 2
    assert _place(first) == (broken.at if broken.at.startswith("suites/") else _join(broken.file, broken.at))
    assert broken.says in first["problem"]
    assert broken.next_step in first["next_step"]
    assert said.err.startswith(f"error: {_place(first)}: ")
    assert broken.next_step in said.err
    assert "sk-9f3a" not in said.out + said.err


def _break(shop, broken: Broken) -> None:
    if broken.old:
        shop.replace(broken.file, old=broken.old, new=broken.new)
    else:
        shop.write(broken.file, broken.new)


def _join(file: str, at: str) -> str:
    return f"{file}{at}" if at.startswith(":") else f"{file}:{at}" if at else file


def _place(problem: dict[str, object]) -> str:
    line = "" if problem["line"] is None else f":{problem['line']}"
    pointer = f": {problem['pointer']}" if problem["pointer"] else ""
    return f"{problem['file']}{line}{pointer}"


@pytest.mark.parametrize("command", ["plan", "run", "score", "compare", "report"])
def test_every_command_on_a_project_explains_a_broken_file(evalkit, shop, command):
    """A mistake in a file is told by whichever command meets it, before anything else happens."""
    _break(shop, next(broken for broken in TABLE if broken.file == POLICY))

    said = evalkit.on(shop)(command, "--json")

    assert said.code == 2
    assert said.error["problems"][0]["file"] == POLICY
    assert not shop.path(".evalkit").exists()


def test_all_mistakes_are_told_at_once(evalkit, shop):
    """People mend three mistakes in one go, not in three runs."""
    for broken in (_roster()[0], _cases()[0]):
        _break(shop, broken)
    shop.write(POLICY, "version: 1\ntasks: {}\n")

    said = evalkit.on(shop)("validate", "--json")

    assert {problem["file"] for problem in said.error["problems"]} == {ROSTER, POLICY, CASES}


def test_suite_that_fails_its_own_test_is_not_usable(evalkit, shop):
    """A known good answer that a scorer fails is a broken suite: exit code 2, with the case and a next step."""
    shop.replace(CASES, old='"tags"', new='"known_good": [{"bye": 1}], "tags"')

    said = evalkit.on(shop)("validate")

    assert said.code == 2
    assert "error: greeting/g0: " in said.out
    assert "  next: " in said.out
    assert "not usable: 2 suites" in said.out
