"""Suite files as pytest collects them: one item for each model a suite is tested with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from evalkit.errors import EvalkitError, InputError
from evalkit.pytest_engine.subject import judge
from evalkit.pytest_engine.wording import UnprovenError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evalkit.domain.project import Project
    from evalkit.domain.suite import Suite
    from evalkit.pytest_engine.engine import Engine

__all__ = ["SuiteFile", "SuiteItem", "nobody_message"]


def nobody_message(suite: Suite) -> str:
    """Return what a test says that has no model to run with."""
    return (
        f"the deployed eligibility file admits no model to the task {suite.task!r}\n"
        "  next: fetch the newest file, or name models with --evalkit-models"
    )


class SuiteFile(pytest.File):
    """One suite file; its items are the models it is tested with."""

    def __init__(self, *, engine: Engine, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._engine = engine

    def collect(self) -> Iterator[SuiteItem]:
        """Yield one item a model; what is wrong with the project is an error of the collection."""
        engine = self._engine
        try:
            suite = self._suite(engine.project)
            models = engine.models(suite)
        except EvalkitError as error:
            raise self.CollectError(str(error)) from error
        for model_id in models:
            name = f"{suite.name}[{engine.item_id(model_id)}]"
            # Said in full: pytest reads the brackets as parameters then, as it does when --lf reads them from a file.
            node_id = f"{self.nodeid}::{name}"
            item: SuiteItem = SuiteItem.from_parent(
                self, name=name, nodeid=node_id, engine=engine, suite=suite, model_id=model_id
            )
            yield item

    def _suite(self, project: Project) -> Suite:
        path = self.path.resolve()
        for suite, file in zip(project.suites, project.suite_files, strict=True):
            if (project.root / file).resolve() == path:
                return suite
        raise InputError(
            f"{self.path} is not among the suites of the project at {project.root}",
            next_step="add it to `suites` in evalkit.yaml, or move it out of suites/",
        )


class SuiteItem(pytest.Item):
    """A suite × model as a test: passes when every gate is held."""

    def __init__(self, *, engine: Engine, suite: Suite, model_id: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._engine = engine
        self.suite = suite
        self.model_id = model_id
        self.add_marker("evalkit")
        self.user_properties.append(("evalkit.mode", str(engine.mode)))

    def runtest(self) -> None:
        """Judge the pair; the first item of a session measures all of them."""
        if self.model_id is None:
            raise UnprovenError(nobody_message(self.suite))
        judge(self._engine.proof((self.suite.name, self.model_id)), mode=self._engine.mode, item=self)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what was found, and no traceback through this plugin."""
        if isinstance(excinfo.value, (UnprovenError, EvalkitError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return file, line and name."""
        return self.path, None, self.name
