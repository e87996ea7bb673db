"""Calls beside those that decide, over real sockets: other modes, and streams for the time to first token."""

from __future__ import annotations

import json

import pytest
import yaml

from evalkit.api.measuring import RunOptions, plan, run
from evalkit.api.project import load_project, opened_store
from evalkit.domain.run import plain_name, variant_name

N = 30
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
    "additionalProperties": False,
}
MODES = ["json_schema", "json_object", "prompted"]
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
MODELS = [
    {"id": "gpt", "route": "sim/gpt", "price": PRICE, "capabilities": {"structured": "json_schema"}},
    {"id": "claude", "route": "sim/claude", "price": PRICE, "capabilities": {"structured": "none"}},
]
LATE = {"metric": "ttft_s", "of": "p95", "at_most": 30}


@pytest.fixture
def a_sum_project(a_project):
    """Give a function: sums answered as JSON in three modes; keywords are further keys of the suite."""

    def build(models=MODELS, **suite):
        root = a_project(N, models=models)
        path = root / "suites/sums/suite.yaml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        document["request"] |= {"response": {"schema": SCHEMA, "modes": MODES}, "max_output_tokens": 200}
        for case in document["cases"]:
            case["expected"] = {"total": int(case["expected"])}
        gates = [{"metric": "fields", "at_least": 0.5}, *suite.pop("more_gates", [])]
        document |= {"scorers": ["json_schema", "fields"], "primary": "fields", "gates": gates, **suite}
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return load_project(root)

    return build


def outcomes_of(project, result):
    """Return the outcomes of a run by (suite name, model id)."""
    found = {}
    with opened_store(project) as store:
        for outcome in store.outcomes(result.run.run_id):
            found.setdefault((outcome.suite, outcome.model_id), []).append(outcome)
    return found


class TestModes:
    """`--ablate modes`: everything a model declares, and only the preferred mode decides."""

    def test_every_declared_mode_is_asked_and_shown(self, a_sum_project):
        """Three modes for one model, one for the other, each with its metrics, n and interval."""
        project = a_sum_project()
        result = run(project, RunOptions(ablate_modes=True))
        rows = {(one.model_id, one.mode): one for one in result.ablation}
        assert list(rows) == [*(("gpt", mode) for mode in MODES), ("claude", "prompted")]
        assert [one.mode for one in result.ablation if one.is_preferred] == ["json_schema", "prompted"]
        values = {
            key: {cell.metric: (cell.estimate.value, cell.estimate.n) for cell in row.metrics}
            for key, row in rows.items()
        }
        for key, row in rows.items():
            assert (row.n_calls, list(values[key])) == (N, ["json_parse", "json_schema", "fields"])
            assert values[key]["fields"][1] + row.n_missing == N
        # Held to the schema it writes JSON alone; told in words it puts a fence around it.
        assert values["gpt", "json_schema"]["json_parse"][0] > 0.9
        assert values["gpt", "prompted"]["json_parse"][0] < 0.1
        bodies = {
            plain_name(suite)[1]: json.loads(found[0].turns[0].request_body)
            for (suite, model_id), found in outcomes_of(project, result).items()
            if model_id == "gpt"
        }
        asked = {name: body.get("response_format", {}).get("type") for name, body in bodies.items()}
        assert asked == {"": "json_schema", "json_object": "json_object", "prompted": None}

    def test_only_the_preferred_mode_decides(self, a_sum_project):
        """The verdicts are those of a run without ablation, gate by gate, and so are the counts."""
        plain = run(a_sum_project(), RunOptions(is_new=True))
        ablated = run(a_sum_project(), RunOptions(is_new=True, ablate_modes=True))
        assert not plain.ablation
        for before, after in zip(plain.decision.verdicts, ablated.decision.verdicts, strict=True):
            assert (before.status, before.mode, before.coverage) == (after.status, after.mode, after.coverage)
            # Two nights are pooled, and no more than two.
            assert [(gate.estimate.value, 2 * gate.estimate.n) for gate in before.gates] == [
                (gate.estimate.value, gate.estimate.n) for gate in after.gates
            ]

    def test_the_plan_counts_them(self, a_sum_project):
        """Calls, tokens and USD of every mode are there before anything is spent."""
        project = a_sum_project()
        plain, ablated = plan(project), plan(project, ablate_modes=True)
        assert (plain.n_calls, plain.n_aside) == (2 * N, 0)
        assert (ablated.n_calls, ablated.n_aside) == (4 * N, 2 * N)
        extra = [cell for cell in ablated.cells if cell.cell.variant]
        assert [(cell.cell.model_id, cell.cell.mode) for cell in extra] == [("gpt", "json_object"), ("gpt", "prompted")]
        assert all(cell.usd_at_most == ablated.cells[0].usd_at_most > 0 for cell in extra)
        assert plain.digest != ablated.digest
        keys = [call.key for model_id in ablated.model_ids for call in ablated.calls_of(model_id)]
        assert len(set(keys)) == len(keys) == ablated.n_calls

    def test_the_report_has_the_table(self, a_sum_project, a_cli, tmp_path):
        """`report.json` carries it whole, and the terminal shows it after the matrix."""
        project = a_sum_project()
        cli = a_cli(project.root)
        code, document = cli.json("run", "--ablate", "modes")
        assert code == 0
        assert [row["mode"] for row in document["ablation"]] == [*MODES, "prompted"]

    def test_everything_else_reads_past_them(self, a_sum_project, a_cli):
        """Grading again, reports, comparisons and charts of such a run are those of its suites as they stand."""
        root = a_sum_project(more_gates=[LATE]).root
        cli = a_cli(root)
        assert cli.json("run", "--ablate", "modes")[0] == 0
        code, graded = cli.json("score")
        assert code == 0
        assert sorted(graded["graded"]) == ["sums", "sums#json_object", "sums#prompted"]
        assert cli("report", "--format", "html", "--format", "markdown", "--format", "json").returncode == 0
        document = json.loads((root / "reports/latest/report.json").read_text(encoding="utf-8"))
        assert {row["mode"] for row in document["ablation"]} == set(MODES)
        assert {cell["suite"] for cell in document["cells"]} == {"sums"}
        for command in ("drift", "noise", "runs"):
            assert cli(command).returncode in {0, 3}, command
        assert cli.json("run", "--ablate", "modes", "--new")[0] == 0
        code, compared = cli.json("compare")
        assert {one["suite"] for one in compared["comparisons"]} == {"sums"}

    def test_payloads_are_kept_back_in_every_variant(self, a_sum_project):
        """A suite that keeps no text keeps none in other modes or streams either, and still has their scores."""
        project = a_sum_project(payloads="digest", more_gates=[LATE])
        result = run(project, RunOptions(ablate_modes=True))
        found = outcomes_of(project, result)
        assert len(found) == 6
        assert all(outcome.text is None for outcomes in found.values() for outcome in outcomes)
        assert {row.mode: len(row.metrics) for row in result.ablation if row.model_id == "gpt"} == dict.fromkeys(
            MODES, 3
        )


class TestFirstToken:
    """A `ttft_s` gate brings streamed calls of its own."""

    def test_probes_decide_the_gate_and_nothing_else(self, a_sum_project):
        """Sixty streams per model; latency, coverage and scores are of the graded calls alone."""
        project = a_sum_project(more_gates=[LATE])
        result = run(project, RunOptions())
        found = outcomes_of(project, result)
        for model_id in ("gpt", "claude"):
            graded, probes = found["sums", model_id], found[variant_name("sums", "stream"), model_id]
            assert (len(graded), len(probes)) == (N, 60)
            assert all(outcome.timings.ttft_s is None for outcome in graded)
            assert all("stream" in outcome.flags for outcome in probes if not outcome.is_missing)
            timed = [outcome for outcome in probes if outcome.timings.ttft_s is not None]
            assert len(timed) >= 58
            assert all(0 < outcome.timings.ttft_s < outcome.timings.latency_s for outcome in timed)
        with opened_store(project) as store:
            keys = {scored.call_key for scored in store.scores(result.run.run_id)}
        assert not keys & {outcome.call_key for (suite, _), of in found.items() if "#" in suite for outcome in of}
        gates = {gate.metric: gate for verdict in result.decision.verdicts for gate in verdict.gates}
        assert (gates["ttft_s"].estimate.n, gates["fields"].estimate.n) == (60, N)
        assert 0 < gates["ttft_s"].estimate.value < 30

    def test_a_slow_first_token_fails(self, a_sum_project):
        """A limit no model can hold is failed by measurement, not left open."""
        result = run(a_sum_project(more_gates=[{**LATE, "at_most": 0.01}]), RunOptions())
        assert {verdict.status for verdict in result.decision.verdicts} == {"ineligible"}

    def test_the_plan_prices_them(self, a_sum_project):
        """A gate plans sixty, a number of one's own as many, a model that does not stream none."""
        mute = {"id": "mute", "route": "sim/qwen", "price": PRICE, "capabilities": {"streaming": False}}
        planned = plan(a_sum_project(models=[*MODELS, mute], more_gates=[LATE]))
        extra = [cell for cell in planned.cells if cell.cell.variant]
        assert [(cell.cell.model_id, cell.cell.n_planned) for cell in extra] == [("gpt", 60), ("claude", 60)]
        assert all(cell.usd_at_most > cell.usd_expected > 0 for cell in extra)
        own = plan(a_sum_project(stream_probe={"n": 7}))
        assert own.n_aside == 14
