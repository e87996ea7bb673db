"""Scorers by name: installed, of the project, or unknown."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.loading.project import resolve_suite
from evalkit.plugins import scorer_factory

SUITE = "suites/greeting/suite.yaml"

HOUSE_SCORER = """
class Polite:
    metrics = ("polite",)
    def ask(self, case, outcome): return ()
    def score(self, case, outcome, replies): return ()

def build(context): return Polite()

not_callable = 3
"""


@pytest.fixture
def house_scorers(tmp_path, monkeypatch):
    """A package of the project's own with a scorer."""
    (tmp_path / "house_scorers.py").write_text(HOUSE_SCORER)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("house_scorers")
def test_a_project_scorer_is_found_by_its_name(folder):
    """evalkit.yaml names it; a suite uses it like any other."""
    folder.replace("evalkit.yaml", "limits:", "scorers: {polite: 'house_scorers:build'}\nlimits:")
    folder.replace(SUITE, "  - exact\n", "  - exact\n  - polite\n")
    folder.replace(SUITE, "gates:", "gates:\n  - {metric: polite, at_least: 0.5}")
    assert folder.load().suites[0].scorers[1].name == "polite"


@pytest.mark.usefixtures("house_scorers")
def test_a_suite_alone_takes_project_scorers(folder):
    """A caller that loads one suite passes the names on."""
    folder.replace(SUITE, "  - exact\n", "  - exact\n  - polite\n")
    found = resolve_suite(folder.root / SUITE, folder.root, project_scorers={"polite": "house_scorers:build"})
    assert found.scorers[1].name == "polite"


@pytest.mark.usefixtures("house_scorers")
@pytest.mark.parametrize("target", ["house_scorers:nothing", "no_such_house:build", "house_scorers", ":build",
                                    "house_scorers:not_callable"])  # fmt: skip
def test_a_project_scorer_that_cannot_be_used_is_refused(target):
    """The message names the target."""
    with pytest.raises(InputError, match=target):
        scorer_factory("polite", {"polite": target})


def test_an_unknown_scorer_suggests_a_name():
    """Names of the project are suggested as well."""
    with pytest.raises(InputError) as caught:
        scorer_factory("politte", {"polite": "a:b"})
    assert "did you mean 'polite'" in caught.value.next_step
