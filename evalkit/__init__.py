"""Decide, with evidence, which models an LLM gateway may route each task to.

Names are resolved when they are first used: a pytest entry point imports this module in every session, and
`import evalkit` must cost next to nothing there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.api.deciding import compare, decide, publish, score
    from evalkit.api.deployed import assert_eligible
    from evalkit.api.measuring import RunOptions, RunResult, arun, plan, run
    from evalkit.api.project import load_project
    from evalkit.domain.call import Plan
    from evalkit.domain.project import Project
    from evalkit.errors import EvalkitError, InputError
    from evalkit.pipeline.decide import Decision
    from evalkit.pipeline.plan import Selection
    from evalkit.router.reader import EligibilityReader

__all__ = [
    "Decision",
    "EligibilityReader",
    "EvalkitError",
    "InputError",
    "Plan",
    "Project",
    "RunOptions",
    "RunResult",
    "Selection",
    "arun",
    "assert_eligible",
    "compare",
    "decide",
    "load_project",
    "plan",
    "publish",
    "run",
    "score",
]

_HOMES = {
    "Decision": "evalkit.pipeline.decide",
    "EligibilityReader": "evalkit.router.reader",
    "EvalkitError": "evalkit.errors",
    "InputError": "evalkit.errors",
    "Plan": "evalkit.domain.call",
    "Project": "evalkit.domain.project",
    "RunOptions": "evalkit.api.measuring",
    "RunResult": "evalkit.api.measuring",
    "Selection": "evalkit.pipeline.plan",
    "arun": "evalkit.api.measuring",
    "assert_eligible": "evalkit.api.deployed",
    "compare": "evalkit.api.deciding",
    "decide": "evalkit.api.deciding",
    "load_project": "evalkit.api.project",
    "plan": "evalkit.api.measuring",
    "publish": "evalkit.api.deciding",
    "run": "evalkit.api.measuring",
    "score": "evalkit.api.deciding",
}


def __getattr__(name: str) -> Any:
    """Import a public name's home when the name is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return [*globals(), *__all__]
