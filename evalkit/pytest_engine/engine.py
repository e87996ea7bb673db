"""The hooks of a session that was asked for, and what its items share.

Every worker of pytest-xdist collects the same items; whichever needs an answer first measures all selected suites, and
the others read what it found.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.api.deployed import admitted_models
from evalkit.api.loop import run_until_stopped
from evalkit.api.project import load_project
from evalkit.api.proving import Mode, Proving, aprove
from evalkit.errors import EvalkitError, InputError, NotFoundError
from evalkit.pytest_engine.items import SuiteFile, SuiteItem, nobody_message
from evalkit.pytest_engine.shared import Shared
from evalkit.pytest_engine.subject import Subject, left_usd
from evalkit.pytest_engine.wording import UnprovenError, proof_from_document, proof_to_document, told
from evalkit.settings import read_environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evalkit.api.proving import Pair
    from evalkit.domain.project import Project
    from evalkit.domain.suite import Suite
    from evalkit.pipeline.proving import Proof
    from evalkit.pytest_engine.shared import Held

__all__ = ["Engine"]

_NOBODY = "no-model"
_SHARED = "evalkit_shared"
_SUITES = "suites"


class Engine:
    """A session that uses evalkit."""

    def __init__(self, config: pytest.Config, *, mode: str) -> None:
        self.mode = Mode(mode)
        self._config = config
        self._project: Project | None = None
        self._pairs: tuple[Pair, ...] = ()
        self._proofs: dict[Pair, Proof] = {}
        given = getattr(config, "workerinput", {}).get(_SHARED)
        self._own = None if given else Path(tempfile.mkdtemp(prefix="evalkit-"))
        self._shared = Shared(Path(given or str(self._own)))
        self._max_usd: float | None = config.option.evalkit_max_usd
        suites = config.rootpath / _SUITES
        # `testpaths` names the folders of the Python tests; whoever asks for evalkit wants the suites too.
        if config.args_source is pytest.Config.ArgsSource.TESTPATHS and suites.is_dir():
            config.args.extend({str(suites)} - set(config.args))

    @property
    def project(self) -> Project:
        """The project at `EVALKIT_ROOT`, else at pytest's root; read once.

        Raises:
            InputError: with all that is wrong in it.
        """
        if self._project is None:
            self._project = load_project(read_environment().get("EVALKIT_ROOT") or self._config.rootpath)
        return self._project

    def models(self, suite: Suite, *, marked: Iterable[str] | None = None) -> tuple[str | None, ...]:
        """Return the models to test: the option over the marker over the deployed file; (None,) when that is nobody.

        Raises:
            NotFoundError: for a model that is not in the roster.
            RefusedError: when the deployed file is needed and cannot be believed.
        """
        option = self._config.option.evalkit_models
        known = self.project.roster.by_id
        if option is not None:
            names = tuple(known) if option == "all" else tuple(filter(None, map(str.strip, option.split(","))))
        elif marked is not None:
            names = (marked,) if isinstance(marked, str) else tuple(marked)
        else:
            names = admitted_models(self.project, suite.task)
        for name in names:
            if name not in known:
                raise NotFoundError(f"no model is named {name!r}", next_step=f"one of: {', '.join(sorted(known))}")
        return tuple(dict.fromkeys(names)) or (None,)

    def item_id(self, model_id: str | None) -> str:
        """Return what stands in brackets behind the name of an item."""
        return f"{model_id or _NOBODY}-{'live' if self.mode is Mode.LIVE else 'replay'}"

    def proof(self, pair: Pair) -> Proof:
        """Return what a suite × model proves; the first one asked for measures all that were selected.

        Raises:
            UnprovenError: when the measurement failed as a whole; that is kept too, so that nothing is paid for twice.
        """
        if pair not in self._proofs:
            document = json.loads(self._shared.once(_SUITES, self._measure))
            if "error" in document:
                raise UnprovenError(document["error"])
            self._proofs = {(one["suite"], one["model_id"]): proof_from_document(one) for one in document["proofs"]}
        return self._proofs[pair]

    def _measure(self, held: Held) -> str:
        proving = Proving(mode=self.mode, pairs=self._pairs, max_usd=left_usd(self._max_usd, held))
        try:
            proved = run_until_stopped(aprove(self.project, proving))
        except EvalkitError as error:
            return json.dumps({"error": str(error)})
        held.spend(proved.spent_usd)
        return json.dumps({"proofs": [proof_to_document(proof) for proof in proved.proofs.values()]})

    def subject(self, request: pytest.FixtureRequest) -> Subject:
        """Return the value of the `evalkit` fixture."""
        mark = request.node.get_closest_marker("evalkit")
        if mark is None:
            pytest.fail("mark the test with @pytest.mark.evalkit(suite=…): it must say what to measure", pytrace=False)
        suite = self._marked_suite(mark)
        model_id: str | None = request.param
        if model_id is None:
            pytest.fail(nobody_message(suite), pytrace=False)
        item: pytest.Item = request.node
        item.user_properties.append(("evalkit.mode", str(self.mode)))
        return Subject(
            suite=suite,
            model=self.project.roster.by_id[model_id],
            _project=self.project,
            _mode=self.mode,
            _max_usd=self._max_usd,
            _shared=self._shared,
            _item=item,
        )

    def _marked_suite(self, mark: pytest.Mark) -> Suite:
        name = mark.kwargs.get("suite", mark.args[0] if mark.args else None)
        if not isinstance(name, str) or mark.kwargs.keys() - {"suite", "models"} or len(mark.args) > 1:
            problem = f"the marker evalkit cannot be used with {mark.args} {dict(mark.kwargs)}"
            raise InputError(problem, next_step="write evalkit(suite=NAME), and models=[ID, …] if need be")
        if name not in self.project.suite_by_name:
            known = ", ".join(sorted(self.project.suite_by_name))
            raise NotFoundError(f"no suite is named {name!r}", next_step=f"one of: {known}")
        return self.project.suite_by_name[name]

    # What pytest calls.

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
        """Collect suite files below a folder named `suites`."""
        if file_path.name != "suite.yaml" or _SUITES not in file_path.parts[:-1]:
            return None
        collected: SuiteFile = SuiteFile.from_parent(parent, path=file_path, engine=self)
        return collected

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test of a marked function for each model."""
        node_id = metafunc.definition.nodeid
        mark = metafunc.definition.get_closest_marker("evalkit")
        if mark is None:
            return
        if "evalkit" not in metafunc.fixturenames:
            problem = "marked with evalkit, but takes no fixture `evalkit`: nothing would be measured"
            raise pytest.Collector.CollectError(f"{node_id}: {problem}")
        try:
            models = self.models(self._marked_suite(mark), marked=mark.kwargs.get("models"))
        except EvalkitError as error:
            raise pytest.Collector.CollectError(f"{node_id}: {error}") from error
        metafunc.parametrize("evalkit", models, indirect=True, ids=[self.item_id(model) for model in models])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take note of what is left after -k, --lf and the like: that is measured, and nothing else."""
        items = (item for item in session.items if isinstance(item, SuiteItem) and item.model_id is not None)
        self._pairs = tuple(sorted({(item.suite.name, str(item.model_id)) for item in items}))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell each worker of pytest-xdist where the session shares what it found."""
        node.workerinput[_SHARED] = str(self._shared.folder)

    def pytest_unconfigure(self) -> None:
        """Remove what was shared; the workers have ended."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def pytest_report_header(self) -> str:
        """Say where the answers come from."""
        return f"evalkit: {told(self.mode)}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say once more what the results stand for, and what they cost."""
        counted: Counter[str] = Counter()
        is_simulated = False
        for outcome in ("passed", "failed", "skipped"):
            for report in terminalreporter.stats.get(outcome, ()):
                said = dict(getattr(report, "user_properties", ()))
                counted[outcome] += "evalkit.mode" in said and report.when == "call"
                is_simulated |= "evalkit.simulated" in said
        if not counted.total():
            return
        terminalreporter.section("evalkit")
        numbers = ", ".join(f"{count} {outcome}" for outcome, count in counted.items() if count)
        label = "SIMULATED; " if is_simulated else ""
        terminalreporter.line(f"{numbers}; {label}{told(self.mode)}")
        if self.mode is not Mode.REPLAY:
            terminalreporter.line(f"known cost: {self._shared.spent_usd():.4f} USD")
