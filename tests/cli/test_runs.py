"""`evalkit runs`: the history, readable even while the project is not."""

from __future__ import annotations


def test_lists_newest_first(evalkit, measured):
    """One line a run, with how it ended and what it was."""
    said = evalkit.on(measured)("runs")

    lines = said.out.splitlines()
    starts = {run["run_id"]: run["started_at"] for run in evalkit.on(measured)("runs", "--json").document["runs"]}
    assert said.code == 0
    # Two runs may start within one second: the text cannot tell them apart, the store can.
    assert [line.split()[0] for line in lines] == sorted(starts, key=starts.__getitem__, reverse=True)
    assert all("finished" in line and "120 calls" in line and line.endswith("simulated") for line in lines)


def test_json(evalkit, measured):
    """The runs as one document, with their cells."""
    runs = evalkit.on(measured)("runs", "--json").document["runs"]

    assert [run["status"] for run in runs] == ["finished", "finished"]
    assert len(runs[0]["cells"]) == 4


def test_none_yet(evalkit, shop):
    """An empty store is no error; the next step is named."""
    said = evalkit.on(shop)("runs")

    assert said.code == 0
    assert said.out == "no runs yet; next: evalkit run\n"
    assert evalkit.on(shop)("runs", "--json").document == {"runs": []}


def test_works_while_a_suite_is_broken(evalkit, measured):
    """What was measured can be looked up before what is measured is mended."""
    measured.write("suites/greeting/suite.yaml", "not: a suite")

    assert evalkit.on(measured)("runs").code == 0


def test_other_environment_has_its_own_runs(evalkit, measured):
    """Runs of one environment are not shown as another's."""
    assert evalkit.on(measured)("runs", "--environment", "elsewhere").out.startswith("no runs yet")


def test_store_that_is_no_database(evalkit, measured):
    """A store that cannot be read is the user's to mend: told, and never replaced."""
    measured.path(".evalkit/evalkit.db").write_text("something else", encoding="utf-8")

    said = evalkit.on(measured)("runs", "--json")

    assert said.code == 2
    assert "is not a database" in said.error["message"]
    assert measured.text(".evalkit/evalkit.db") == "something else"


def test_broken_project_file(evalkit, measured):
    """The project file itself must be right: it says where the store is."""
    measured.replace("evalkit.yaml", old="limits:", new="limitz:")

    said = evalkit.on(measured)("runs", "--json")

    assert said.code == 2
    assert said.error["problems"][0]["pointer"] == "/limitz"


def test_bad_store_url_hides_its_password(evalkit, shop):
    """A URL that cannot be used is not repeated: it may hold a password."""
    said = evalkit.on(shop)("runs", "--store", "mysql://me:sk-9f3a@host/db", "--json")

    assert said.code == 2
    assert "sk-9f3a" not in said.out + said.err
