"""Suite files: what extends, prompt files and schema paths are resolved to."""

from __future__ import annotations

import json

import pytest

from evalkit.loading.project import resolve_suite

SUITE = "suites/greeting/suite.yaml"


def load(folder):
    """Load the suite by itself."""
    return resolve_suite(folder.root / SUITE, folder.root)


def test_extends_merges_mappings_and_replaces_lists(folder):
    """The suite's own keys win; what it does not say comes from the base."""
    folder.write(
        "suites/_defaults.yaml",
        """
        request: {system: Base, temperature: 0.5, max_output_tokens: 9}
        trials: 3
        gates: [{metric: empty, at_most: 0.5}]
        """,
    )
    folder.replace(SUITE, "version: 1", "version: 1\nextends: ../_defaults.yaml")
    suite = load(folder)
    assert (suite.request.system, suite.request.temperature, suite.request.max_output_tokens) == ("Be polite.", 0.5, 40)
    assert suite.trials == 3
    assert len(suite.gates) == 3


def test_a_mistake_in_the_base_is_told_in_the_base(folder):
    """The place is where the value was written, not where it is used."""
    folder.write("suites/_defaults.yaml", "trials: 0\n")
    folder.replace(SUITE, "version: 1", "version: 1\nextends: ../_defaults.yaml")
    error = folder.error()
    assert (error.place.file, error.place.line) == ("suites/_defaults.yaml", 1)


def test_extends_may_go_on(folder):
    """A base may have a base of its own."""
    folder.write("suites/_a.yaml", "extends: _b.yaml\n").write("suites/_b.yaml", "trials: 4\n")
    folder.replace(SUITE, "version: 1", "version: 1\nextends: ../_a.yaml")
    assert load(folder).trials == 4


@pytest.mark.parametrize(
    ("base", "fragment"),
    [
        ("suite.yaml", "goes in a circle"),
        ("../_loop.yaml", "goes in a circle"),
        ("../../../out.yaml", "outside the project"),
        ("../_none.yaml", "no file '../_none.yaml'"),
        ("[a.yaml]", "not a file name"),
        ("../_list.yaml", "a suite is a mapping"),
    ],
)
def test_an_impossible_base_is_refused(folder, base, fragment):
    """Circles, strangers and odd values are all told."""
    folder.write("suites/_loop.yaml", "extends: greeting/suite.yaml\n").write("suites/_list.yaml", "- a\n")
    folder.replace(SUITE, "version: 1", f"version: 1\nextends: {base}")
    assert fragment in str(folder.error())


def test_prompt_files_are_read_to_the_last_byte(folder):
    """The final newline of a prompt file reaches the model, as it would from YAML."""
    folder.write("suites/greeting/prompt.txt", "Greet {{ name }}!\n").write("system.txt", "Be kind.")
    folder.replace(SUITE, 'prompt: "Greet {{ name }}."', "prompt: file:prompt.txt")
    folder.replace(SUITE, 'system: "Be polite."', 'system: "file: ../../system.txt"')
    request = load(folder).request
    assert (request.prompt, request.system) == ("Greet {{ name }}!\n", "Be kind.")


def test_a_path_in_a_base_is_relative_to_the_base(folder):
    """Whoever writes a path means the files beside them."""
    folder.write("suites/_defaults.yaml", "request: {system: file:tone.txt}\n").write("suites/tone.txt", "Soft.")
    folder.replace(SUITE, '  system: "Be polite."\n', "")
    folder.replace(SUITE, "version: 1", "version: 1\nextends: ../_defaults.yaml")
    assert load(folder).request.system == "Soft."


def test_a_mistake_in_a_prompt_file_is_told_there(folder):
    """The template's own file is the place."""
    folder.write("suites/greeting/prompt.txt", "Greet {{ name")
    folder.replace(SUITE, 'prompt: "Greet {{ name }}."', "prompt: file:prompt.txt")
    assert folder.error().place.file == "suites/greeting/prompt.txt"


def test_a_schema_path_becomes_the_schema(folder):
    """Nothing below loading reads a file."""
    folder.write("schemas/a.json", json.dumps({"type": "string"}))
    folder.replace(SUITE, "  max_output_tokens", "  response: {schema: ../../schemas/a.json}\n  max_output_tokens")
    assert load(folder).request.response.schema_ == {"type": "string"}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[1]", "an object"),
        ("{", "not valid JSON"),
        ('{"type": "strin"}', "strin"),
        ('{"$ref": "http://x.test/a"}', "x.test"),
    ],
)
def test_a_wrong_schema_file_is_told_there(folder, text, fragment):
    """The schema's own file is the place."""
    folder.write("schemas/a.json", text)
    folder.replace(SUITE, "  max_output_tokens", "  response: {schema: ../../schemas/a.json}\n  max_output_tokens")
    error = folder.error()
    assert error.place.file == "schemas/a.json"
    assert fragment in str(error)
