"""The pytest plugin as every session meets it: options, a marker, a fixture. All work is in `evalkit.pytest_engine`.

Installed beside an application it is imported by each of its test sessions, so it must stay cheap and do nothing until
`--evalkit` asks: then the engine is imported, and collects suites.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from evalkit.pytest_engine.subject import Subject

__all__ = ["MODES", "evalkit", "pytest_addoption", "pytest_configure"]

MODES = ("replay", "live", "record")
_ENGINE = "evalkit-engine"
_MARKER = (
    "evalkit(suite, models=None): measure a suite of evalkit.yaml through the `evalkit` fixture, once for each model; "
    "default: the models that the deployed eligibility file admits to the suite's task."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; none of them does anything without `--evalkit` or one of the three modes."""
    group = parser.getgroup("evalkit", "models against suites (evalkit)")
    group.addoption(
        "--evalkit",
        action="store_true",
        help="Collect suites/**/suite.yaml, and run the tests that are marked with evalkit.",
    )
    helps = (
        "Answers come from recordings/<suite>/<model>.jsonl.gz: no network, no key (default). Implies --evalkit.",
        "Answers come from the project's gateway, and cost money. Implies --evalkit.",
        "Ask the project's gateway for what the recordings lack, add it to them, then replay. Implies --evalkit.",
    )
    for mode, text in zip(MODES, helps, strict=True):
        group.addoption(f"--evalkit-{mode}", action="append_const", const=mode, dest="evalkit_modes", help=text)
    group.addoption(
        "--evalkit-models",
        metavar="ID,ID",
        help="Test these models of the roster, or `all`, whatever the eligibility file and markers say.",
    )
    group.addoption(
        "--evalkit-max-usd", metavar="USD", type=float, help="The most that this session may spend, in USD."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known and, when it is asked for, bring in the engine."""
    config.addinivalue_line("markers", _MARKER)
    modes = set(config.option.evalkit_modes or ())
    if len(modes) > 1:
        raise pytest.UsageError(f"evalkit: give one of {', '.join(f'--evalkit-{mode}' for mode in sorted(modes))}")
    if not (config.option.evalkit or modes):
        for name in ("models", "max_usd"):
            if getattr(config.option, f"evalkit_{name}") is not None:
                raise pytest.UsageError(f"--evalkit-{name.replace('_', '-')} says nothing without --evalkit")
        return
    from evalkit.pytest_engine.engine import Engine

    engine = Engine(config, mode=next(iter(modes), MODES[0]))
    config.pluginmanager.register(engine, _ENGINE)


@pytest.fixture
def evalkit(request: pytest.FixtureRequest) -> Subject:
    """The suite and model of a test marked with `evalkit`: sends prompts the test builds, and judges the answers."""
    engine = request.config.pluginmanager.get_plugin(_ENGINE)
    if engine is None:
        pytest.skip("needs --evalkit")
    subject: Subject = engine.subject(request)
    return subject
