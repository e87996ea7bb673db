"""The documentation says what is there, and only what is there; its examples run."""

from __future__ import annotations

import ast
import inspect
import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

from evalkit import errors
from evalkit.cli.main import COMMANDS, cli
from evalkit.domain import nightly, policy, project, roster, suite
from evalkit.domain.outcome import IdentityClass, Kind
from evalkit.domain.score import MEASURES
from evalkit.domain.verdict import ReasonCode, Status
from evalkit.plugins import ScorerContext, load_plugin, plugin_names
from evalkit.pytest_plugin import pytest_addoption
from evalkit.settings import SETTINGS
from evalkit.testing.builders import a_suite
from evalkit.wire.error_rules import ORIGINS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "changelog.d").glob("*.md"), *DOCS.rglob("*.md")], key=lambda page: page.as_posix()
)
README = ROOT / "README.md"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
INLINE = re.compile(r"`evalkit ([a-z][a-z-]*)")
CONSOLE = re.compile(r"\bevalkit ([a-z][a-z-]*)")


def name_of(page: Path) -> str:
    """Return the name a page is shown by."""
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(page: Path) -> str:
    """Return the page."""
    return page.read_text(encoding="utf-8")


def has(page: str, word: str) -> bool:
    """Return whether a reference page names a word in code."""
    return re.search(rf"`[^`\n]*(?<![\w-]){re.escape(word)}(?![\w-])[^`\n]*`", text_of(REFERENCE / page)) is not None


def missing_from(page: str, words: object) -> list[str]:
    """Return the words a reference page does not name."""
    return [str(word) for word in words if not has(page, str(word))]


def commands_in(page: Path) -> set[str]:
    """Return the commands a page names in code; "evalkit is" in a sentence is none."""
    consoles = [source for language, source in BLOCK.findall(text_of(page)) if language == "console"]
    return {*INLINE.findall(text_of(page)), *(name for source in consoles for name in CONSOLE.findall(source))}


# --- links and words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page):
    """Every relative link leads to a file, and every fragment to a heading of it."""
    broken = []
    for target in LINK.findall(BLOCK.sub("", text_of(page))):
        path, _, fragment = target.partition("#")
        if "://" in target:
            continue
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (fragment and fragment not in anchors(found)):
            broken.append(target)
    assert not broken


def anchors(page: Path) -> set[str]:
    """Return the fragments a page's headings give on GitHub."""
    heads = (head.strip().lower().replace("`", "") for head in HEADING.findall(BLOCK.sub("", text_of(page))))
    return {re.sub(r"[^\w\- ]", "", head).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_name_only_registered_commands(page):
    """No page promises a command that does not exist."""
    assert not sorted(commands_in(page) - set(COMMANDS))


def test_readme_names_every_command():
    """The table of commands is complete."""
    assert sorted(commands_in(README)) == sorted(COMMANDS)


def test_every_page_is_reachable():
    """From the README every page of the documentation can be reached by links."""
    seen, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in LINK.findall(text_of(page)):
            found = (page.parent / target.partition("#")[0]).resolve()
            if "://" not in target and found.suffix == ".md" and found.exists():
                waiting.append(found)
    lost = {name_of(page) for page in PAGES if page.is_relative_to(DOCS)} - {name_of(page) for page in seen}
    assert not lost


# --- reference


def test_every_error_class_is_documented():
    """Errors are part of the interface."""
    classes = {name for name in errors.__all__ if inspect.isclass(getattr(errors, name))}
    assert not missing_from("errors.md", sorted(classes))


def test_error_classes_have_their_exit_code():
    """The table says the code each class carries."""
    for name in errors.__all__:
        cls = getattr(errors, name)
        if inspect.isclass(cls) and issubclass(cls, errors.EvalkitError):
            assert f"| `{name}` | {cls.exit_code} |" in text_of(REFERENCE / "errors.md"), name


def test_exit_codes_are_documented():
    """Both tables of exit codes have every code."""
    codes = {name: value for name, value in vars(errors.ExitCode).items() if name.isupper()}
    assert codes
    for name, value in codes.items():
        assert f"| {value} | `{name}` |" in text_of(REFERENCE / "errors.md")
        assert re.search(rf"^\| {value} \| ", text_of(README), re.MULTILINE), name


def test_refusal_codes_are_documented():
    """Every code a RefusedError is raised with is in the table."""
    codes = set()
    for path in (ROOT / "evalkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RefusedError" and node.args:
                codes.add(ast.literal_eval(node.args[0]))
    assert "tampered" in codes
    assert not missing_from("errors.md", sorted(codes))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting):
    """A setting's row has its name, variable and place in the file, and its flag where it has one."""
    place = f"`{'.'.join(setting.path)}`" if setting.path else ""
    flag = f" `{setting.flag}`" if setting.flag else ""
    row = f"| `{setting.name}` |{flag} | `{setting.env}` | {place}".rstrip()
    assert row in text_of(REFERENCE / "settings.md")


@pytest.mark.parametrize(
    ("group", "page"),
    [("scorers", "metrics.md"), ("gateways", "files.md"), ("exporters", "cli.md"), ("reporters", "cli.md")],
)
def test_every_plugin_is_documented(group, page):
    """Everything this distribution registers is in the reference."""
    assert plugin_names(group)
    assert not missing_from(page, plugin_names(group))


def test_every_scorer_parameter_is_documented():
    """The section of a scorer names each of its parameters."""
    for name in plugin_names("scorers"):
        section = text_of(REFERENCE / "metrics.md").split(f"### `{name}`")[1].split("\n##")[0]
        with pytest.raises(errors.InputError) as caught:
            load_plugin("scorers", name)(ScorerContext(params={"no_such": 1}, suite=a_suite()))
        allowed = caught.value.next_step.removeprefix("allowed: ").split(", ")
        assert not [key for key in allowed if not re.search(rf"`{key}[`:]", section)], name


def test_every_measure_is_documented():
    """A measure's row has its unit and its direction."""
    for measure in MEASURES.values():
        row = f"| `{measure.name}` | {measure.unit} | {measure.better} |"
        assert row in text_of(REFERENCE / "metrics.md")


def test_verdict_words_are_documented():
    """Statuses, reasons, kinds and identity classes are all explained."""
    for words in (Status, ReasonCode, Kind, IdentityClass):
        assert not missing_from("verdicts.md", words)
    outcomes = text_of(DOCS / "explanation" / "outcomes.md")
    assert not [kind for kind in Kind if f"`{kind}`" not in outcomes]


@pytest.mark.parametrize(
    "shape",
    [
        project.ProjectConfig, project.GatewayConfig, project.Limits, project.Signing, project.SimulatorConfig,
        roster.Roster, roster.Model, roster.Price, roster.Capabilities, roster.Adapt, roster.ModelLimits,
        suite.Suite, suite.RequestSpec, suite.ResponseSpec, suite.StreamProbe, suite.TurnSpec, suite.TurnExpect,
        suite.MessageSpec, suite.ToolSpec,
        suite.Case, suite.KnownBad,
        policy.Policy, policy.Defaults, policy.TaskPolicy, policy.Failover, policy.SpendCap, policy.Latency,
        policy.Waivers, policy.Waiver,
        nightly.Nightly, nightly.NightExport, nightly.Notify,
    ],
)  # fmt: skip
def test_every_key_of_a_file_is_documented(shape):
    """What a file may hold is in the reference, key by key."""
    fields = getattr(shape, "model_fields", None) or shape.__pydantic_fields__
    assert not missing_from("files.md", [field.alias or name for name, field in fields.items()])


def test_every_key_of_the_eligibility_file_is_documented():
    """The contract with routers has no secret parts."""
    schema = json.loads((ROOT / "schemas" / "evalkit" / "eligibility.schema.json").read_text(encoding="utf-8"))
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})}
    assert "admitted_by" in keys
    assert not missing_from("files.md", sorted(keys))


def test_gate_and_scorer_keys_are_documented():
    """The keys of gates and of scorer entries are explained with the metrics."""
    for shape in (suite.Gate, suite.ScorerSpec):
        assert not missing_from("metrics.md", [field.alias or name for name, field in shape.model_fields.items()])


def test_every_flag_is_documented():
    """Each observation the wire and the pipeline can make has a row."""
    found = flags_in_code()
    assert {"ws_lead", "not_sent", "usage_missing", "stream", "prompt_block"} <= found
    rows = set(re.findall(r"^\| `([^`]+)` \|", text_of(REFERENCE / "flags.md"), re.MULTILINE))
    assert found <= rows


def test_flags_that_are_gone_are_not_documented():
    """A row stands for a word that is still in the code."""
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for part in ("domain", "wire", "pipeline")
        for path in (ROOT / "evalkit" / part).glob("*.py")
    )
    rows = re.findall(r"^\| `([^`]+)` \|", text_of(REFERENCE / "flags.md"), re.MULTILINE)
    assert rows
    assert not [row for row in rows if f'"{row}"' not in code]


def flags_in_code() -> set[str]:
    """Return the strings that are added to something called flags, as far as the syntax tree shows."""
    found = {flag for flag, _, _ in ORIGINS}
    for part in ("domain", "wire", "pipeline"):
        for path in sorted((ROOT / "evalkit" / part).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found |= _flags_of(node)
    return found


def _flags_of(node: ast.AST) -> set[str]:
    match node:
        case ast.Call(func=ast.Attribute(attr="add", value=holder), args=[ast.Constant(value=str(flag))]):
            name = getattr(holder, "id", getattr(holder, "attr", ""))
            return {flag} if name in {"flags", "_notes"} else set()
        case ast.Assign(targets=[ast.Name(id="flags")], value=value) | ast.keyword(arg="flags", value=value):
            return {*_set_members(value)}
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            is_about_flags = any("flags" in ast.dump(side) for side in (left, right))
            return {*_set_members(left), *_set_members(right)} if is_about_flags else set()
        case ast.FunctionDef(name=name) if name.endswith("_flags"):
            return {*_dict_keys(node)}
        case _:
            return set()


def _set_members(value: ast.expr):
    for node in ast.walk(value):
        if isinstance(node, (ast.Set, ast.Tuple)):
            yield from (item.value for item in node.elts if isinstance(item, ast.Constant))


def _dict_keys(function: ast.FunctionDef):
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_and_option_is_documented(name):
    """Each command has a section, and each of its options is named there or among the shared ones."""
    page = text_of(REFERENCE / "cli.md")
    shared, _, _ = page.partition("## `evalkit init`")
    assert f"## `evalkit {name}`" in page
    section = page.split(f"## `evalkit {name}`")[1].split("\n## ")[0]
    command = cli.get_command(click.Context(cli), name)
    parts = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    options = [option for part in parts for option in part.params if isinstance(option, click.Option)]
    unknown = [
        spelling
        for option in options
        for spelling in option.opts
        if not re.search(rf"`{spelling}[` ]", section + shared)
    ]
    assert not unknown


@pytest.mark.parametrize("page", ["cli.md", "settings.md"])
def test_documented_options_exist(page):
    """No option is promised that no command takes."""
    known = {"--help", "-h", "--version"}
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        parts = list(command.commands.values()) if isinstance(command, click.Group) else [command]
        known |= {spelling for part in parts for option in part.params for spelling in option.opts}
    promised = set(re.findall(r"`(--[a-z][a-z-]*)", text_of(REFERENCE / page)))
    assert promised
    assert not sorted(promised - known)


def test_every_option_of_the_pytest_plugin_is_documented():
    """The page names each option that pytest's own help shows of the plugin, and no other."""
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    options = {name for option in parser.getgroup("evalkit").options for name in option.names()}
    assert "--evalkit-record" in options
    page = text_of(REFERENCE / "pytest.md")
    assert set(re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE)) == options


# --- glossary and decisions


def test_every_domain_class_is_in_the_glossary():
    """One concept, one name, one line that says what it is; and no line of a class that is gone."""
    names = set()
    for path in sorted((ROOT / "evalkit" / "domain").glob("*.py")):
        module = import_module(f"evalkit.domain.{path.stem}")
        names |= {name for name in getattr(module, "__all__", ()) if name[0].isupper() and not name.isupper()}
    assert "Verdict" in names
    glossary = text_of(DOCS / "glossary.md")
    assert not sorted(name for name in names if f"`{name}`" not in glossary)
    table = glossary.partition("## Classes of the domain")[2].partition("\n## ")[0]
    rows = "".join(re.findall(r"^\| (`[^|]*)\|", table, re.MULTILINE))
    assert not sorted(set(re.findall(r"`(\w+)`", rows)) - names)


def test_decisions_are_numbered_and_listed():
    """Numbers run without gaps, every page has its four parts, and the index has every page."""
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    index = text_of(DOCS / "decisions" / "README.md")
    for page in pages:
        title = text_of(page).splitlines()[0].removeprefix(f"# {page.name[:4]}. ")
        assert f"| [{page.name[:4]}]({page.name}) | {title} |" in index
        heads = [head for head in HEADING.findall(text_of(page)) if not head.startswith(page.name[:4])]
        assert heads == ["Context", "Decision", "Consequences", "Rejected"], page.name


def test_fragments_have_a_known_kind():
    """A fragment's name is its number and one of the kinds of changelog.d/README.md."""
    kinds = re.findall(r"^\| `(\w+)` \|", text_of(ROOT / "changelog.d" / "README.md"), re.MULTILINE)
    names = [page.name for page in (ROOT / "changelog.d").iterdir() if page.name != "README.md"]
    assert not [name for name in names if not re.fullmatch(rf"\d{{4,}}\.(?:{'|'.join(kinds)})\.md", name)]
