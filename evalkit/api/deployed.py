"""The deployed eligibility file, as an application and its tests ask it: may this model serve this task?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.api.checking import own_audience
from evalkit.clock import SystemClock
from evalkit.errors import RefusedError
from evalkit.router.reader import EligibilityReader
from evalkit.settings import deployed_file, read_environment, stated_audience

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from evalkit.domain.project import Project
    from evalkit.router.reader import View

__all__ = ["admitted_models", "assert_eligible"]


def assert_eligible(
    model: str,
    task: str,
    *,
    file: str | os.PathLike[str] | None = None,
    public_keys: Mapping[str, str] | None = None,
    allow_simulated: bool = False,
) -> None:
    """Raise unless the deployed eligibility file admits the model to the task now.

    Args:
        model: the id in the roster.
        task: the routing key.
        file: None is the variable `EVALKIT_ELIGIBILITY`, else `eligibility.json` in the current folder. The file must
            be for the environment that `EVALKIT_ENVIRONMENT` names, when it is set.
        public_keys: key id to base64 Ed25519 public key; with any, an unsigned file is refused.
        allow_simulated: accept a file made with the simulator; never in production.

    Raises:
        RefusedError: `not_eligible` with the reason the file gives, or the code by which the file itself is refused.
    """
    environ = read_environment()
    path = Path(file) if file is not None else deployed_file(Path(), environ)
    reader = EligibilityReader(
        path,
        audience=stated_audience(environ) or own_audience(path),
        public_keys=public_keys,
        allow_simulated=allow_simulated,
        now=SystemClock().now,
    )
    view = reader.view(task)
    if any(admitted.model_id == model for admitted in view.admitted):
        return
    raise RefusedError("not_eligible", f"{model!r} may not serve {task!r}: {_why(view, model)} ({path})")


def _why(view: View, model: str) -> str:
    if view.entry is None:
        return f"the file knows the tasks {', '.join(sorted(view.tasks)) or 'none'} only"
    for candidate in view.entry["candidates"]:
        if candidate["model"] == model:
            return f"its evidence expired at {candidate['valid_until']}"
    for rejected in view.entry["rejected"]:
        if rejected["model"] == model:
            codes = ", ".join(_reason(reason) for reason in rejected["reasons"])
            return f"{rejected['verdict']}" + (f" ({codes})" if codes else "")
    admitted = ", ".join(one.model_id for one in view.admitted) or "nobody"
    return f"the file does not name it; admitted: {admitted}"


def _reason(reason: Mapping[str, Any]) -> str:
    where = "/".join(str(reason[key]) for key in ("suite", "metric") if reason.get(key))
    return f"{reason['code']} {where}".strip()


def admitted_models(project: Project, task: str) -> tuple[str, ...]:
    """Return the models the project's deployed file admits to a task now, in its order; empty means nobody.

    Raises:
        RefusedError: when the file is missing or not to be believed.
    """
    path = deployed_file(project.root, read_environment())
    reader = EligibilityReader(
        path,
        audience=project.config.environment,
        allow_simulated=project.config.gateway.kind == "simulator",
        now=SystemClock().now,
    )
    return tuple(admitted.model_id for admitted in reader.candidates(task))
