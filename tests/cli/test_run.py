"""`evalkit run`: one JSON document or a matrix on stdout, progress on stderr, and an exit code that says why."""

from __future__ import annotations

import json

import pytest

HOSTILE = "m\x1b[2J\x9b31m\u202e\r\nerror: [red]x[/red]"


def admit(shop, **models: str) -> None:
    """Put a file in force that admits one model for each task."""
    tasks = {task: {"candidates": [{"model": model}]} for task, model in models.items()}
    shop.write("reports/latest/eligibility.json", json.dumps({"tasks": tasks}))


class TestOutput:
    """What goes where."""

    def test_matrix_on_stdout_and_progress_on_stderr(self, evalkit, measured):
        """Text for people: verdicts and reasons are the result, counts are not."""
        said = evalkit.on(measured)("run", "--new")

        assert said.code == 0
        assert "SIMULATED: models × tasks" in said.out
        assert "greeting · beta: gate_failed greeting/json_schema" in said.out
        assert "calls" not in said.out
        assert "120/120 calls" in said.err

    def test_no_escape_code_when_not_on_a_terminal(self, evalkit, measured):
        """No colour and no animation in a pipe, even where live progress is asked for."""
        said = evalkit.on(measured)("run", "--new", "--progress", "live")

        assert "\x1b" not in said.out + said.err

    def test_progress_is_not_wrapped_in_a_pipe(self, evalkit, measured):
        """A log has one line a message."""
        said = evalkit.on(measured)("run", "--new", "--progress", "plain")

        assert len(said.err.splitlines()) == 2

    def test_quiet(self, evalkit, measured):
        """--progress quiet leaves stderr empty when nothing needs a person."""
        assert evalkit.on(measured)("run", "--new", "--progress", "quiet").err == ""

    def test_json_is_one_document_and_nothing_else(self, evalkit, measured):
        """--json: run, recording, verdicts, ranking and how it ends on stdout; nothing on stderr."""
        said = evalkit.on(measured)("run", "--new", "--json")

        assert said.err == ""
        assert set(said.document) == {"run", "recording", "verdicts", "ranking", "exit"}
        assert said.document["exit"] == {"code": 0, "reason": ""}
        assert len(said.document["verdicts"]) == 4

    def test_unknown_progress(self, evalkit, shop):
        """A style there is none of is a usage error."""
        assert evalkit.on(shop)("run", "--progress", "loud").code == 2


class TestSelection:
    """Which calls are sent."""

    def test_part_of_the_plan(self, evalkit, measured):
        """A filtered run is marked partial."""
        document = evalkit.on(measured)("run", "colour", "--model", "alpha", "-n", "3", "--json").document

        assert document["recording"]["n_sent"] == 3
        assert document["run"]["is_partial"] is True

    def test_failed_from(self, evalkit, measured):
        """--failed-from sends what got less than full marks, and nothing else."""
        document = evalkit.on(measured)("run", "greeting", "--failed-from", "latest", "--json").document

        assert document["recording"]["n_sent"] == 30
        assert {cell["model_id"] for cell in document["run"]["cells"]} == {"beta"}

    @pytest.mark.parametrize("option", ["--failed-from", "--resume"])
    def test_unknown_run(self, evalkit, measured, option):
        """A run nobody made is refused before anything is sent."""
        said = evalkit.on(measured)("run", option, "nosuch", "--json")

        assert said.code == 2
        assert said.error["kind"] == "NotFoundError"

    def test_resume_of_another_plan(self, evalkit, measured):
        """A run made with other prompts is not gone on with."""
        measured.replace("suites/greeting/suite.yaml", old="Say hello", new="Say hi")

        said = evalkit.on(measured)("run", "--resume", "latest", "--json")

        assert said.code == 2

    @pytest.mark.parametrize(
        ("option", "value"),
        [("--budget-usd", "much"), ("--budget-usd", "nan"), ("--concurrency", "0"), ("--deadline", "soon")],
    )
    def test_bad_setting(self, evalkit, shop, option, value):
        """A flag's value is refused by the flag's name."""
        said = evalkit.on(shop)("run", option, value, "--json")

        assert said.code == 2
        assert said.error["problems"][0]["pointer"] == option
        assert repr(value) in said.error["problems"][0]["problem"]


class TestExitCode:
    """1: something got worse; 3: too little to say; else 0. The reason is told."""

    def test_failed_gate_of_an_admitted_model(self, evalkit, measured):
        """The file in force admits a model that fails now."""
        admit(measured, greeting="beta")

        said = evalkit.on(measured)("run", "--new", "--json")

        assert said.code == 1
        reason = "beta on greeting: gate greeting/json_schema >= 0.5 failed"
        assert said.document["exit"] == {"code": 1, "reason": reason}

    def test_the_file_that_is_deployed_counts_too(self, evalkit, measured):
        """`decide -o eligibility.json` puts it beside the project file: a model it admits has to go on holding."""
        measured.write("eligibility.json", json.dumps({"tasks": {"greeting": {"candidates": [{"model": "beta"}]}}}))
        assert evalkit.on(measured)("run", "--new", "--json").code == 1

    def test_reason_is_told_in_text_too(self, evalkit, measured):
        """A person at a terminal sees why the command ends as it does."""
        admit(measured, greeting="beta")

        said = evalkit.on(measured)("run", "--new", "--progress", "quiet")

        assert said.err.startswith("exit code 1: beta on greeting: gate greeting/json_schema")

    def test_failed_gate_of_another_model(self, evalkit, measured):
        """A model nobody routes to may fail."""
        admit(measured, greeting="alpha", colour="beta")

        assert evalkit.on(measured)("run", "--new", "--json").code == 0

    def test_failure_in_a_task_that_was_not_run(self, evalkit, measured):
        """Only what this run measured counts."""
        admit(measured, greeting="beta")

        assert evalkit.on(measured)("run", "colour", "--new", "--json").code == 0

    @pytest.mark.parametrize(("fail_on", "code"), [("admitted", 0), ("gate", 1), ("never", 0)])
    def test_fail_on(self, evalkit, measured, fail_on, code):
        """--fail-on says whose failure counts when nobody is admitted."""
        assert evalkit.on(measured)("run", "--new", "--json", "--fail-on", fail_on).code == code

    @pytest.mark.parametrize("fail_on", ["admitted", "never"])
    def test_budget(self, evalkit, measured, fail_on):
        """A run its budget cut short says too little, whoever's failures count."""
        said = evalkit.on(measured)(
            "run", "--new", "--budget-usd", "0.001", "--json", "--allow-partial", "--fail-on", fail_on
        )

        assert said.code == 3
        assert said.document["exit"]["reason"] == "stopped early: budget"


class TestGateway:
    """What the other end does is data, until nobody answers at all."""

    def test_dead_gateway(self, evalkit, shop):
        """Nobody listens: exit code 4 and where to look."""
        shop.use_gateway("http://127.0.0.1:9/v1")

        said = evalkit.on(shop)("run", "--json")

        assert said.code == 4
        assert said.error["kind"] == "GatewayUnusableError"
        assert "check gateway.base_url" in said.error["message"]

    def test_refused_key(self, evalkit, shop, gateway):
        """Every call is refused: exit code 4; what the gateway says of it is not repeated raw."""
        shop.use_gateway(gateway(status=401, served_as=HOSTILE))

        said = evalkit.on(shop)("run")

        assert said.code == 4
        assert "auth_error" in said.err
        assert not {"\x1b", "\x9b", "\u202e"} & set(said.out + said.err)

    def test_key_missing(self, evalkit, shop):
        """A key that is not in the environment is found out before anything is sent."""
        shop.use_gateway("http://127.0.0.1:9/v1")
        shop.replace("evalkit.yaml", old="kind: openai,", new="kind: openai, api_key_env: NO_SUCH_KEY,")

        said = evalkit.on(shop)("run", "--json")

        assert said.code == 2
        assert said.error["problems"][0]["pointer"] == "/gateway/api_key_env"

    def test_hostile_model_name_is_neutralised(self, evalkit, shop, gateway):
        """Escape codes, bidi marks, line breaks and markup in a served name stay text on one line."""
        shop.use_gateway(gateway(served_as=HOSTILE))

        said = evalkit.on(shop)("run")

        assert said.out.count("alpha") >= 3
        assert not {"\x1b", "\x9b", "\u202e", "\r"} & set(said.out + said.err)
        assert not [line for line in said.out.splitlines() if line.startswith("error:")]


def test_store_that_cannot_be_made(evalkit, shop, a_file):
    """A store below a file: told before anything is sent."""
    said = evalkit.on(shop)("run", "--store", f"sqlite:///{a_file}/below.db", "--json")

    assert said.code == 2
    assert "store: " in said.error["message"]


class TestAblation:
    """`--ablate modes`: every mode a model declares, side by side."""

    def test_table(self, evalkit, shop):
        """The terminal shows each mode with n and interval, and marks the one that decides."""
        said = evalkit.on(shop)("run", "greeting", "--ablate", "modes", "--progress", "quiet")

        assert said.code == 0
        assert "request modes" in said.out
        assert "SIMULATED" in said.out

    def test_json(self, evalkit, shop):
        """One entry a suite, model and mode; without the option there is none."""
        document = evalkit.on(shop)("run", "greeting", "--ablate", "modes", "--json").document

        rows = [(row["model_id"], row["mode"], row["is_preferred"]) for row in document["ablation"]]
        assert rows == [("alpha", "json_schema", True), ("alpha", "prompted", False), ("beta", "prompted", True)]
        assert "ablation" not in evalkit.on(shop)("run", "greeting", "--new", "--json").document

    def test_plan(self, evalkit, shop):
        """What it costs is known before."""
        document = evalkit.on(shop)("plan", "greeting", "--ablate", "modes", "--json").document

        assert (document["calls"], document["aside_calls"]) == (90, 30)

    def test_unknown(self, evalkit, shop):
        """Anything but modes is bad usage."""
        assert evalkit.on(shop)("run", "--ablate", "prompts").code == 2

    def test_dead_gateway(self, evalkit, shop):
        """Nobody there is 4, as without it."""
        shop.use_gateway("http://127.0.0.1:9/v1")

        assert evalkit.on(shop)("run", "--ablate", "modes").code == 4
