"""`evalkit validate`: usable, or not and why. What is wrong in files is in test_broken_inputs.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def test_usable_project(evalkit, shop):
    """A sound project is summed up on one line and ends with 0."""
    said = evalkit.on(shop)("validate")

    assert said.code == 0
    assert "usable: 2 suites, 60 cases, 2 models, 2 tasks" in said.out


def test_json(evalkit, shop):
    """Findings and suites come as one document."""
    document = evalkit.on(shop)("validate", "--json").document

    assert document["suites"] == ["colour", "greeting"]
    assert all(finding["severity"] == "warning" for finding in document["findings"])


def test_expired_waiver(evalkit, shop):
    """It does nothing any more, and that is said with its line; one in force is not mentioned."""
    lines = (
        f"  - {{task: colour, model: beta, action: allow, reason: outage, by: me, until: {until}}}\n"
        for until in (f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}", "2020-01-31")
    )
    shop.write("waivers.yaml", f"version: 1\nwaivers:\n{''.join(lines)}")

    said, document = evalkit.on(shop)("validate"), evalkit.on(shop)("validate", "--json").document

    assert said.code == 0
    problem = "the waiver (allow of 'beta' for 'colour') expired on 2020-01-31, and does nothing any more"
    assert f"warning: waivers.yaml:4: /waivers/1/until: {problem}\n  next: take it out" in said.out
    assert said.out.count("expired") == 1
    (ended,) = document["ended_waivers"]
    assert (ended["place"]["line"], ended["problem"]) == (4, problem)


def test_no_project(evalkit, tmp_path):
    """A folder without evalkit.yaml is told apart from one with a broken one."""
    said = evalkit("validate", "--json", "--root", tmp_path)

    assert said.code == 2
    assert said.error["kind"] == "NotFoundError"


def test_hostile_case_text_is_neutralised(evalkit, shop):
    """A finding that quotes an answer brings no control character to the terminal."""
    shop.replace(
        "suites/greeting/cases.jsonl", old='"tags"', new='"known_good": ["\\u001b[31m\\u202e\\n[red]"], "tags"'
    )

    said = evalkit.on(shop)("validate")

    assert said.code == 2
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err


class TestPerturb:
    """`validate --perturb`: every case in forms that should not matter."""

    def test_flip_rates(self, evalkit, shop):
        """One row a model and form that applies, with n, interval and both directions; nothing of it decides."""
        shop.replace("roster.yaml", old="route: sim/gpt", new="route: fickle/one")
        shop.replace("roster.yaml", old="route: sim/claude", new="route: steady/one")

        said = evalkit.on(shop)("validate", "--perturb", "--json", "colour")

        assert said.code == 0
        found = said.document["perturbation"]
        rates = {(one["model_id"], one["perturbation"]): one for one in found["flip_rates"]}
        assert list(rates) == [(model, form) for model in ("alpha", "beta") for form in ("repeat", "newline")]
        assert {key: one["estimate"]["n"] for key, one in rates.items()} == dict.fromkeys(rates, 30)
        assert {key for key, one in rates.items() if one["estimate"]["value"] > 0} == {("alpha", "newline")}
        turned = rates["alpha", "newline"]
        assert turned["estimate"]["lower"] > 0.1
        assert turned["n_lost"] + turned["n_won"] == round(30 * turned["estimate"]["value"])
        assert evalkit.on(shop)("report", "--format", "json").code == 2  # no run that says anything of a model

    def test_table(self, evalkit, shop):
        """The terminal shows the same, after the findings."""
        said = evalkit.on(shop)("validate", "--perturb", "-n", "3")

        assert said.code == 0
        assert "usable: 2 suites" in said.out
        assert "answers that turned" in said.out

    def test_budget(self, evalkit, shop):
        """A budget below what it costs is refused before anything is sent."""
        said = evalkit.on(shop)("validate", "--perturb", "--budget-usd", "0.00000001")

        assert said.code == 2
        assert "is below the USD" in said.err

    def test_dead_gateway(self, evalkit, shop):
        """Nobody there is 4."""
        shop.use_gateway("http://127.0.0.1:1/v1")

        assert evalkit.on(shop)("validate", "--perturb").code == 4

    def test_broken_suite_sends_nothing(self, evalkit, shop):
        """A suite that fails its own test is told of, and no money is spent on it."""
        shop.replace("suites/greeting/cases.jsonl", old='"tags"', new='"known_good": ["no"], "tags"')

        said = evalkit.on(shop)("validate", "--perturb", "--json")

        assert said.code == 2
        assert "perturbation" not in said.document

    def test_selection_without_it(self, evalkit, shop):
        """Options that choose calls mean nothing to the other checks, and are not swallowed."""
        assert evalkit.on(shop)("validate", "--model", "alpha").code == 2

    def test_unknown_model(self, evalkit, shop):
        """A name nobody has is bad input."""
        assert evalkit.on(shop)("validate", "--perturb", "--model", "nobody").code == 2


def test_a_prompt_that_cannot_be_rendered(evalkit, shop):
    """It is found before a run is paid for."""
    shop.replace("suites/greeting/suite.yaml", old="{{ ", new="{{ 1 / 0 }}{{ ")
    said = evalkit.on(shop)("validate")
    assert said.code == 2
    assert "greeting" in said.err
