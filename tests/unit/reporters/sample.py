"""A realistic report and the run behind it: 3 tasks, 4 suites, 8 models, every verdict, and hostile answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from functools import cache
from random import Random

from evalkit.domain.estimate import Change, Comparison, Estimate, Flip, WorstGroup
from evalkit.domain.outcome import (
    MISSING,
    Attempt,
    Cost,
    Identity,
    IdentityClass,
    Kind,
    Outcome,
    Reading,
    Timings,
    Turn,
    Usage,
)
from evalkit.domain.policy import Waiver
from evalkit.domain.report import MetricCell, ModelSummary, NightPoint, Overhead, Previous, Report, TaskRules
from evalkit.domain.run import Cell, Run, RunStatus
from evalkit.domain.score import Score, Scored, Unscored
from evalkit.domain.suite import Case, Gate, RequestSpec, ScorerSpec, Suite
from evalkit.domain.verdict import GateResult, GateStatus, Reason, ReasonCode, Status, Verdict

STARTED_AT = 1_790_000_000.0
HOSTILE = (
    '</pre><script>document.title="pwned"</script><img src=x onerror="document.title=\'pwned\'">'
    " \x1b[31mred \u202egnp.exe\u202c zero\u200bwidth \x00 | pipe `tick` **bold** @everyone "
    "[link](javascript:alert(1)) \ud800 ]]> =HYPERLINK(1)"
)
MODELS = (
    ("gpt-4o", 0.97, 0.0061),
    ("claude-sonnet", 0.985, 0.0084),
    ("gemini-pro", 0.955, 0.0047),
    ("gpt-4o-mini", 0.93, 0.0005),
    ("claude-haiku", 0.915, 0.0011),
    ("mistral-small", 0.84, 0.0003),
    ("llama-70b-fp8-together", 0.62, 0.0007),
    ("llama-70b-local", 0.9, None),
)
SUITES = (
    ("invoice-extraction", "invoice-extraction", "fields", 0.80, "Invoices in four layouts, scanned and digital."),
    ("support-triage", "support-triage", "choice", 0.85, "Which queue should a support message go to?"),
    ("support-boundaries", "support-triage", "refusal_fit", 0.80, "Messages that must be declined politely."),
    ("contract-qa", "contract-qa", "exact", 0.88, "Questions with a short answer in the text."),
)
N = 200


class FakeReader:
    """A RunReader over lists: tonight's answers, and those of the night before."""

    def __init__(self, outcomes: list[Outcome], scored: list[Scored], run: Run, *, earlier: FakeReader | None = None):
        places = {model_id: place for place, (model_id, _, _) in enumerate(MODELS)}
        self._outcomes = sorted(outcomes, key=lambda o: (o.sequence, o.suite, places.get(o.model_id, 0)))
        self._run, self._earlier = run, earlier
        self._scored = {entry.call_key: entry for entry in scored}

    def runs(self, *, project: str, environment: str) -> tuple[Run, ...]:
        """Return the runs, newest first."""
        return (self._run, *(self._earlier.runs(project="", environment="") if self._earlier else ()))

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return self._of(run_id)._run

    def outcomes(self, run_id, *, suite=None, model_id=None, with_payloads=True):
        """Yield outcomes in scheduled order."""
        for outcome in self._of(run_id)._outcomes:
            if suite in {None, outcome.suite} and model_id in {None, outcome.model_id}:
                yield outcome if with_payloads else replace(outcome, turns=())

    def scores(self, run_id, *, suite=None, model_id=None):
        """Yield scores in scheduled order; calls that were never scored have none."""
        scored = self._of(run_id)._scored
        for outcome in self.outcomes(run_id, suite=suite, model_id=model_id):
            if outcome.call_key in scored:
                yield scored[outcome.call_key]

    def _of(self, run_id: str) -> FakeReader:
        is_earlier = self._earlier is not None and run_id == self._earlier._run.run_id
        return self._earlier if is_earlier else self


def wilson(value: float, n: int, *, n_clusters: int | None = None) -> Estimate:
    """Return a share with its two-sided 95% Wilson interval."""
    z, clusters = 1.96, n_clusters or n
    centre = (value + z * z / (2 * clusters)) / (1 + z * z / clusters)
    half = z / (1 + z * z / clusters) * math.sqrt(value * (1 - value) / clusters + z * z / (4 * clusters**2))
    return Estimate(
        value=value, lower=max(0.0, centre - half), upper=min(1.0, centre + half),
        level=0.975, method="wilson", n=n, n_clusters=clusters,
    )  # fmt: skip


def a_suite(name: str, task: str, metric: str, limit: float, description: str = "", **changes: object) -> Suite:
    """Return a suite of four cases with three gates."""
    cases = tuple(
        Case(id=f"{name}-{number:03}", expected={"total": 10 * number, "currency": "EUR"}, vars={"document": "…"})
        for number in range(N)
    )
    whole: dict[str, object] = {
        "version": 1, "name": name, "task": task, "description": description, "cases": cases, "primary": metric,
        "request": RequestSpec(prompt="{{ document }}"),
        "scorers": (ScorerSpec(name=metric), ScorerSpec(name="json_schema")),
        "gates": (
            Gate(metric=metric, at_least=limit), Gate(metric="json_schema", at_least=0.90),
            Gate(metric="latency_s", of="p95", at_most=4.0),
        ),
    }  # fmt: skip
    return Suite.model_validate({**whole, **changes})


def an_outcome(kind: Kind = Kind.OK, *, text: str | None = "fine", **changes: object) -> Outcome:
    """Return one outcome of `gpt-4o` with a request and a response on the wire."""
    request = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You extract."},
            {"role": "user", "content": "Extract the invoice below as JSON.\n\nACME Ltd, total due 1,240.00 EUR"},
        ],
    }
    body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    whole: dict[str, object] = {
        "call_key": "k0", "suite": "invoice-extraction", "case_id": "invoice-extraction-000", "cluster_id": "c0",
        "model_id": "gpt-4o", "trial": 0, "sequence": 0, "mode": "json_schema", "kind": kind,
        "turns": (
            Turn(
                reading=Reading(kind=kind, text=text, finish_reason="stop", detail="" if text else "upstream said no"),
                request_body=json.dumps(request).encode(), response_body=body,
            ),
        ),
        "attempts": (Attempt(kind=kind, status=200, latency_s=0.8),),
        "usage": Usage(prompt_tokens=90, completion_tokens=40),
        "cost": Cost(usd=0.0021, source="gateway"), "timings": Timings(started_at=STARTED_AT, latency_s=0.81),
        "identity": Identity(identity_class=IdentityClass.SELF_REPORTED, served_model="gpt-4o-2024-08-06"),
    }  # fmt: skip
    return Outcome(**{**whole, **changes})


@cache
def sample(*, is_simulated: bool = False) -> tuple[Report, FakeReader]:
    """Return the report and a reader of its run and of the one before; the same bytes every time."""
    suites = tuple(a_suite(*row) for row in SUITES)
    outcomes, scored = _answers(suites)
    cells, verdicts = _decided(suites, outcomes, scored)
    run = a_run(suites, is_simulated=is_simulated)
    night = replace(run, run_id="20260920-0200-1c22", started_at=STARTED_AT - 86_400, finished_at=STARTED_AT - 85_000)
    report = Report(
        title="Which models may serve prod-eu", environment="prod-eu", run=run, suites=suites,
        model_ids=tuple(model_id for model_id, _, _ in MODELS), verdicts=verdicts, cells=cells,
        models=tuple(_summary(row, outcomes, cells) for row in MODELS), comparisons=_comparisons(), changes=_changes(),
        offers=tuple((task, _offered(verdicts, task)) for task in dict.fromkeys(v.task for v in verdicts)),
        tasks=tuple(
            TaskRules(task=task, critical=task == "contract-qa", incumbent="gpt-4o", pin=None, rank_by="cost")
            for task in dict.fromkeys(suite.task for suite in suites)
        ),
        waivers=_waivers(), previous=Previous(run=night, verdicts=_yesterday(verdicts)),
        nights=tuple(_nights(cells, run, night)), generated_at=STARTED_AT + 1_234,
    )  # fmt: skip
    earlier = FakeReader(*_answers(suites, night=-1), night)
    return report, FakeReader(outcomes, scored, run, earlier=earlier)


def a_run(suites: tuple[Suite, ...], **changes: object) -> Run:
    """Return a finished run of these suites with every model."""
    whole: dict[str, object] = {
        "run_id": "20260921-0200-7f3a", "project": "demo", "environment": "prod-eu", "plan_digest": "sha256:0",
        "status": RunStatus.FINISHED, "started_at": STARTED_AT, "finished_at": STARTED_AT + 1_234, "seed": 7,
        "vantage": "eu-west-2", "gateway_kind": "litellm", "evalkit_version": "0.1.0",
        "cells": tuple(
            Cell(suite=suite.name, task=suite.task, model_id=model_id, model_digest="sha256:1", prompts_digest="2",
                 mode="json_schema", n_planned=N)
            for suite in suites for model_id, _, _ in MODELS
        ),
    }  # fmt: skip
    return Run(**{**whole, **changes})


def _waivers() -> tuple[Waiver, ...]:
    return (
        Waiver(task="contract-qa", model="gpt-4o-mini", action="deny", reason=f"legal review pending {HOSTILE[:30]}",
               by="legal@example.org", until=date(2026, 9, 24)),
        Waiver(task="support-triage", model="claude-haiku", action="hold", reason="new cases land on Monday",
               by="platform", until=date(2026, 10, 4)),
    )  # fmt: skip


def _yesterday(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return the verdicts of the night before: two models stood elsewhere."""
    before = {
        ("invoice-extraction", "gpt-4o"): Status.UNDECIDED,
        ("invoice-extraction", "mistral-small"): Status.ELIGIBLE,
    }
    return tuple(replace(v, status=before.get((v.task, v.model_id), v.status)) for v in verdicts)


def _nights(cells, run: Run, night: Run):
    primaries = {suite[0]: suite[2] for suite in SUITES}
    for index, one in enumerate((night, run)):
        for cell in cells:
            if primaries[cell.suite] == cell.metric:
                yield NightPoint(
                    run_id=one.run_id, started_at=one.started_at, suite=cell.suite, model_id=cell.model_id,
                    primary=cell.estimate, coverage=0.97 + 0.01 * index, latency_p50_s=0.6 - 0.1 * index,
                    cost_per_success_usd=None if cell.model_id == "llama-70b-local" else 0.002,
                    is_comparable=index == 1 or cell.suite != "contract-qa",
                )  # fmt: skip


def _offered(verdicts, task) -> tuple[str, ...]:
    eligible = [v for v in verdicts if v.task == task and v.status is Status.ELIGIBLE]
    return tuple(v.model_id for v in sorted(eligible, key=lambda v: (v.rank_key, v.model_id)))


@cache
def small(*, is_simulated: bool = False) -> Report:
    """Return 3 models × 2 tasks of the sample, for goldens a person can review: each verdict occurs, and a waiver."""
    report, _ = sample(is_simulated=is_simulated)
    models, tasks = {"gpt-4o", "gpt-4o-mini", "llama-70b-local"}, {"invoice-extraction", "contract-qa"}
    return replace(
        report,
        suites=tuple(suite for suite in report.suites if suite.task in tasks),
        model_ids=tuple(model_id for model_id in report.model_ids if model_id in models),
        verdicts=tuple(v for v in report.verdicts if v.task in tasks and v.model_id in models),
        offers=tuple((t, tuple(m for m in offered if m in models)) for t, offered in report.offers if t in tasks),
        cells=tuple(c for c in report.cells if c.suite in tasks and c.model_id in models),
        models=tuple(m for m in report.models if m.model_id in models),
        tasks=tuple(rules for rules in report.tasks if rules.task in tasks),
        previous=replace(
            report.previous,
            run=replace(report.previous.run, cells=()),
            verdicts=tuple(v for v in report.previous.verdicts if v.task in tasks and v.model_id == "gpt-4o"),
        ),
        nights=tuple(n for n in report.nights if (n.suite, n.model_id) == ("contract-qa", "gpt-4o")),
    )


def _answers(suites: tuple[Suite, ...], *, night: int = 0) -> tuple[list[Outcome], list[Scored]]:
    outcomes: list[Outcome] = []
    scored: list[Scored] = []
    for suite_index, suite in enumerate(suites):
        for model_index, (model_id, quality, usd) in enumerate(MODELS):
            random = Random(f"{suite.name}/{model_id}")
            for sequence, case in enumerate(suite.cases):
                kind = _kind(random, model_index, suite_index)
                # One case in nine is answered otherwise on another night.
                if night and sequence % 9 == 0:
                    random.random()
                wrong = HOSTILE if sequence % 7 == 0 else json.dumps({"total": 10 * sequence + 1, "currency": "EUR"})
                is_right = kind is Kind.OK and random.random() < quality
                text = None if kind is not Kind.OK else json.dumps(case.expected) if is_right else wrong
                key = f"{suite_index}-{model_index}-{sequence:04}"
                outcome = an_outcome(
                    kind, text=text, call_key=key, suite=suite.name, case_id=case.id, cluster_id=f"c{sequence // 2}",
                    model_id=model_id, sequence=sequence, flags=("fenced",) if sequence % 11 == 0 else (),
                    cost=Cost(usd=usd, source="gateway" if usd else "unknown"),
                    timings=Timings(started_at=STARTED_AT, latency_s=round(0.4 + 2 * random.random() ** 3, 3)),
                )  # fmt: skip
                outcomes.append(outcome)
                scored.append(_scored(outcome, suite.primary, is_right=is_right, random=random))
    return outcomes, scored


def _kind(random: Random, model_index: int, suite_index: int) -> Kind:
    draw = random.random()
    if model_index == 7 and suite_index == 0 and draw < 0.12:
        return random.choice([Kind.TIMEOUT, Kind.CONNECTION, Kind.RATE_LIMITED])
    if draw > 0.995 - 0.01 * model_index:
        return random.choice([Kind.REFUSAL, Kind.TRUNCATED, Kind.EMPTY, Kind.SAFETY_BLOCK])
    return Kind.OK


def _scored(outcome: Outcome, metric: str, *, is_right: bool, random: Random) -> Scored:
    if outcome.kind in MISSING:
        reason = f"missing:{outcome.kind}"
        return Scored(call_key=outcome.call_key, scores=(Unscored(metric, reason), Unscored("json_schema", reason)))
    if outcome.kind is not Kind.OK:
        scores = (Score(metric, 0.0, f"the answer was {outcome.kind}"), Score("json_schema", 0.0))
        return Scored(call_key=outcome.call_key, scores=scores)
    if is_right:
        return Scored(call_key=outcome.call_key, scores=(Score(metric, 1.0), Score("json_schema", 1.0)))
    value = random.choice([0.0, 0.25, 0.5])
    rationale = f"total: expected {outcome.sequence * 10}, got something else | <b>{HOSTILE[:60]}"
    graded = Score(metric, value, rationale, ("wrong:/total",))
    schema = Score("json_schema", 0.0, "", ("invalid_json", "schema:/total is a string, not a number"))
    return Scored(
        call_key=outcome.call_key, scores=(graded, schema if "<" in (outcome.text or "") else Score("json_schema", 1.0))
    )


def _decided(suites, outcomes, scored):
    score_of = {entry.call_key: entry.scores for entry in scored}
    cells: list[MetricCell] = []
    gates: dict[tuple[str, str], list[GateResult]] = {}
    missing: dict[tuple[str, str], int] = {}
    for suite in suites:
        for model_id, _, usd in MODELS:
            mine = [o for o in outcomes if (o.suite, o.model_id) == (suite.name, model_id)]
            n_missing = sum(o.is_missing for o in mine)
            missing[suite.task, model_id] = missing.get((suite.task, model_id), 0) + n_missing
            for metric in (suite.primary, "json_schema"):
                values = [
                    s.value for o in mine for s in score_of[o.call_key] if isinstance(s, Score) and s.metric == metric
                ]
                estimate = wilson(round(sum(values) / len(values), 6), len(values), n_clusters=len(values) // 2)
                cells.append(MetricCell(suite=suite.name, model_id=model_id, metric=metric, estimate=estimate))
                gate = next(gate for gate in suite.gates if gate.metric == metric)
                gates.setdefault((suite.task, model_id), []).append(_gate(suite.name, gate, estimate, n_missing))
            p95 = sorted(o.timings.latency_s for o in mine)[int(0.95 * len(mine))]
            estimate = Estimate(
                value=p95, lower=p95 - 0.2, upper=p95 + 0.3, level=0.95, method="order_statistic", n=N, n_clusters=10
            )
            gates[suite.task, model_id].append(_gate(suite.name, suite.gates[2], estimate, 0))
            if usd is not None:
                cost = Estimate(
                    value=usd, lower=usd * 0.95, upper=usd * 1.06, level=0.975, method="cox", n=N, n_clusters=N
                )
                cells.append(MetricCell(suite=suite.name, model_id=model_id, metric="cost_usd", estimate=cost))
    return tuple(cells), tuple(_verdict(task, model, gates[task, model], missing[task, model]) for task, model in gates)


def _gate(suite: str, gate: Gate, estimate: Estimate, n_missing: int) -> GateResult:
    low, high = (estimate.lower, estimate.upper) if gate.at_least is not None else (-estimate.upper, -estimate.lower)
    limit = gate.limit if gate.at_least is not None else -gate.limit
    status, bound = GateStatus.UNDECIDED, low
    if low >= limit:
        status = GateStatus.PASS
    elif high < limit:
        status, bound = GateStatus.FAIL, high
    cure = f"+{120 + 20 * len(suite)} cases" if status is GateStatus.UNDECIDED else ""
    return GateResult(
        suite=suite, metric=gate.metric, rule=gate.rule, limit=gate.limit, status=status, estimate=estimate,
        bound=abs(bound), n_missing=n_missing, cure=cure,
    )  # fmt: skip


def _verdict(task: str, model_id: str, gates: list[GateResult], n_missing: int) -> Verdict:
    statuses = {gate.status for gate in gates}
    status = Status.ELIGIBLE
    if GateStatus.FAIL in statuses:
        status = Status.INELIGIBLE
    elif GateStatus.UNDECIDED in statuses:
        status = Status.UNDECIDED
    codes = {GateStatus.FAIL: ReasonCode.GATE_FAILED, GateStatus.UNDECIDED: ReasonCode.GATE_UNDECIDED}
    reasons = [
        Reason(code=codes[gate.status], suite=gate.suite, metric=gate.metric, cure=gate.cure)
        for gate in gates if gate.status in codes
    ]  # fmt: skip
    if n_missing > 0.05 * N:
        status = Status.UNDECIDED
        detail = f"{N - n_missing} of {N} planned answers have a score, 0.95 are needed"
        reasons.insert(
            0,
            Reason(
                code=ReasonCode.LOW_COVERAGE,
                suite=gates[0].suite,
                detail=detail,
                cure="evalkit run --resume, when the provider is back",
            ),
        )
    if (task, model_id) == ("contract-qa", "gpt-4o-mini"):
        status = Status.INELIGIBLE
        reasons = [
            Reason(
                code=ReasonCode.WAIVER_DENY,
                detail=f"legal review pending {HOSTILE[:30]}",
                cure="ask the contracts team",
            )
        ]
    return Verdict(
        task=task, model_id=model_id, status=status, reasons=tuple(reasons), gates=tuple(gates),
        coverage=round(1 - n_missing / N, 4), identity_class=IdentityClass.SELF_REPORTED, mode="json_schema",
        measured_at=STARTED_AT + 1_234, valid_until=STARTED_AT + 180_000,
        admitted_by="evidence" if status is Status.ELIGIBLE else None,
        rank_key=(next((usd for name, _, usd in MODELS if name == model_id and usd), math.inf),),
        run_ids=("20260921-0200-7f3a",),
    )  # fmt: skip


def _summary(row, outcomes, cells) -> ModelSummary:
    model_id, _, usd = row
    mine = [o for o in outcomes if o.model_id == model_id]
    kinds: dict[str, int] = {}
    for outcome in mine:
        kinds[str(outcome.kind)] = kinds.get(str(outcome.kind), 0) + 1
    primary = {suite[0]: suite[2] for suite in SUITES}
    values = [c.estimate.value for c in cells if c.model_id == model_id and c.metric == primary[c.suite]]
    latencies = sorted(o.timings.latency_s for o in mine)
    quality = sum(values) / len(values)
    return ModelSummary(
        model_id=model_id, n_calls=len(mine), n_missing=sum(o.is_missing for o in mine),
        cost_usd=None if usd is None else round(usd * len(mine), 4),
        cost_per_success_usd=None if usd is None else round(usd / quality, 6),
        latency_p50_s=latencies[len(mine) // 2], latency_p95_s=latencies[int(0.95 * len(mine))],
        mean_quality=round(quality, 6), kinds=tuple(sorted(kinds.items(), key=lambda kv: (-kv[1], kv[0]))),
        identity_class="self_reported", **_overhead(model_id),
    )  # fmt: skip


def _overhead(model_id):
    """One model was measured against a baseline gateway, one with too few pairs for p95, the others not at all."""
    if model_id not in {MODELS[0][0], MODELS[1][0]}:
        return {}
    n, upper = (240, 0.0412) if model_id == MODELS[0][0] else (41, None)
    shared = {"method": "order_statistic", "n": n, "n_clusters": 10}
    return {
        "overhead": Overhead(
            p50=Estimate(value=0.0237, lower=0.0221, upper=0.0251, level=0.975, **shared),
            p95=Estimate(value=0.0347, lower=0.031, upper=upper, level=0.95, **shared),
        ),
        "direct_usd": 0.31,
    }


def _changes() -> tuple[Change, ...]:
    return (
        Change(suite="contract-qa", model_id=None, what="its prompts changed since 20260920-0200-1c22: a new series"),
        Change(suite="invoice-extraction", model_id="mistral-small", what=f"served {HOSTILE[:40]} before, x now"),
    )


def _comparisons() -> tuple[Comparison, ...]:
    shared = {
        "metric": "fields",
        "baseline": "20260920-0200-1c22",
        "level": 0.95,
        "n": 200,
        "n_clusters": 100,
        "method": "cluster_t",
    }
    return (
        Comparison(
            suite="invoice-extraction", model_id="mistral-small", difference=-0.062, lower=-0.094, upper=-0.03,
            p_value=0.0004, p_adjusted=0.0128, n_worse=17, n_better=3, is_regression=True,
            identity_changed="mistral-small-2503 → mistral-small-2506", standing="confirmed", q_value=0.0064,
            n_nights=14, n_missing=3, worst_group=WorstGroup(kind="tag", name=HOSTILE[:20], difference=-0.4, n=12),
            flips=(
                Flip(case_id="invoice-extraction-003", before_run="a", before_key="b", after_run="c", after_key="d"),
            ),
            **shared,
        ),
        Comparison(
            suite="contract-qa", model_id="gpt-4o-mini", difference=-0.03, lower=-0.06, upper=0.001,
            p_value=0.04, p_adjusted=0.9, n_worse=12, n_better=6, is_regression=False, standing="screened", q_value=0.2,
            alpha=0.01, cure="evalkit run contract-qa --model gpt-4o-mini --trials 5 --new --fail-on never", **shared,
        ),
        Comparison(
            suite="contract-qa", model_id="llama-70b-local", difference=-0.11, lower=-0.15, upper=-0.08,
            p_value=0.00001, p_adjusted=0.0001, n_worse=30, n_better=8, is_regression=False, standing="confirmed",
            against="incumbent", **(shared | {"baseline": "gpt-4o"}),
        ),
        Comparison(
            suite="invoice-extraction", model_id="gpt-4o", difference=0.004, lower=-0.01, upper=0.018,
            p_value=0.71, p_adjusted=1.0, n_worse=2, n_better=3, is_regression=False, **shared,
        ),
    )  # fmt: skip
