"""How large a history is: the numbers of docs/how-to/nightly.md, on made-up nights through the real encoder.

    python bench/history_size.py [CASES] [NIGHTS] [WHOLE NIGHTS] [MODELS] [SUITES]

Every case has its own chance of being right, so that 70% of the variance is between prompts; the mean is .95. Of calls
0.2% refuse and 0.2% time out. Times and costs are full-precision floats, as gateways give them.
"""

from __future__ import annotations

import random
import sys

from evalkit.api.archiving import _compressed, _framed
from evalkit.domain.outcome import Cost, Identity, IdentityClass, Kind, Outcome, Timings, Usage
from evalkit.domain.run import Cell, Run, RunStatus
from evalkit.domain.score import Score, Scored
from evalkit.pipeline.archive import archive_lines
from evalkit.store.codec import run_text

NIGHT_0 = 1_800_000_000.0
DAY_S = 86_400.0
RHO, MEAN = 0.7, 0.95
DEFAULTS = (100, 365, 0, 4, 2)


class Nights:
    """As much of a store as the encoder reads; the same arguments give the same nights."""

    def __init__(self, n_cases: int, n_models: int, n_suites: int) -> None:
        rng = random.Random(1)
        spread = (1 - RHO) / RHO
        self.n_cases = n_cases
        self.order = {s: sorted(rng.sample(range(n_cases * n_suites), n_cases)) for s in range(n_suites)}
        self.tokens = {s: [rng.randint(20, 200) for _ in range(n_cases)] for s in range(n_suites)}
        self.chance = {
            (s, m): [rng.betavariate(MEAN * spread, (1 - MEAN) * spread) for _ in range(n_cases)]
            for s in range(n_suites)
            for m in range(n_models)
        }

    def outcomes(self, run_id, *, suite, model_id, with_payloads):
        """Yield a cell's calls; there are no payloads to leave out."""
        del with_payloads
        night, s, rng = self._at("calls", run_id, cell=(suite, model_id))
        fields = {"suite": suite, "model_id": model_id, "trial": 0, "mode": "json_schema"}
        identity = Identity(
            identity_class=IdentityClass.SELF_REPORTED,
            served_model=f"{model_id}-2026-08-06",
            system_fingerprint="fp_44",
        )
        for i in range(self.n_cases):
            drawn = rng.random()
            kind = Kind.OK if drawn > 0.004 else Kind.REFUSAL if drawn > 0.002 else Kind.TIMEOUT
            n_tokens = max(1, self.tokens[s][i] + (rng.randint(-10, 10) if rng.random() < 0.4 else 0))
            yield Outcome(
                call_key=f"{run_id} {suite} {model_id} {i}", case_id=f"case-{s}-{i}", cluster_id=f"case-{s}-{i}",
                sequence=self.order[s][i], kind=kind, identity=identity, usage=Usage(completion_tokens=n_tokens),
                cost=Cost(usd=(200 + i) * 2.5e-6 + n_tokens * 1e-5, source="roster"),
                timings=Timings(started_at=NIGHT_0 + night * DAY_S + rng.random() * 3600,
                                latency_s=rng.lognormvariate(0, 0.4)), **fields,
            )  # fmt: skip

    def scores(self, run_id, *, suite, model_id):
        """Yield what was said of them: three layers of JSON and a graded metric."""
        _, s, rng = self._at("scores", run_id, cell=(suite, model_id))
        for i, chance in enumerate(self.chance[s, int(model_id.split("-")[1])]):
            is_right = rng.random() < chance
            graded = 1.0 if is_right else rng.choice([0.0, 0.5, 0.75])
            is_valid = float(is_right or rng.random() < 0.7)
            said = (Score("json_parse", 1.0), Score("json_tolerant", 1.0), Score("json_schema", is_valid))
            yield Scored(call_key=f"{run_id} {suite} {model_id} {i}", scores=(*said, Score("fields", graded)))

    @staticmethod
    def _at(what, run_id, *, cell):
        night, suite = int(run_id.split("-")[1]), cell[0]
        return night, int(suite.split("-")[1]), random.Random(f"{what} {night} {cell}")


class Demo:
    """As much of a project as a head names."""

    name = "demo"

    class config:  # noqa: N801  an attribute of a project
        environment = "prod"


def main(*sizes: int) -> None:
    """Print the size of one history."""
    n_cases, n_nights, n_whole, n_models, n_suites = (*sizes, *DEFAULTS[len(sizes) :])
    digest = "sha256:" + 64 * "a"
    cells = tuple(
        Cell(suite=f"suite-{s}", task=f"task-{s}", model_id=f"model-{m}", model_digest=digest, prompts_digest=digest,
             mode="json_schema", n_planned=n_cases)
        for m in range(n_models) for s in range(n_suites)
    )  # fmt: skip
    runs = [
        Run(run_id=f"night-{k}", project="demo", environment="prod", plan_digest=digest, status=RunStatus.FINISHED,
            started_at=NIGHT_0 + k * DAY_S, finished_at=NIGHT_0 + k * DAY_S + 3600.123, cells=cells)
        for k in reversed(range(n_nights))
    ]  # fmt: skip
    whole = {run.run_id for run in runs[:n_whole]}
    lines = archive_lines(
        Nights(n_cases, n_models, n_suites), runs, is_whole=lambda run, _cell: run.run_id in whole, run_text=run_text
    )
    n_bytes = len(_compressed(_framed(Demo, lines, n_runs=n_nights)))
    n_cells = n_nights * len(cells)
    print(f"{n_cases} cases, {n_nights} nights ({n_whole} whole), {len(cells)} cells: "
          f"{n_bytes:,} bytes, {n_bytes / n_cells:.0f} a cell and night")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
