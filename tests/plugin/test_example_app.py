"""The sample application as a project of its own: evalkit comes from a wheel, and nothing from this tree."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 300

pytestmark = pytest.mark.slow


class Project:
    """The application in its own folder, with an environment of its own."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self.python = python

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a module of the environment in the project's folder."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("EVALKIT_", "PYTEST_"))}
        return subprocess.run(
            [str(self.python), "-m", *command],
            cwd=self.root, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip

    def pytest(self, *arguments: str) -> tuple[int, str, str]:
        """Run its tests; return exit code, the line of counts, and all that was said."""
        done = self.run("pytest", "-p", "no:randomly", "-p", "no:asyncio", *arguments)
        lines = done.stdout.strip().splitlines()
        return done.returncode, re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= "), done.stdout

    def evalkit(self, *arguments: str) -> None:
        """Run the installed command."""
        done = subprocess.run(
            [str(self.python.with_name("evalkit")), *arguments],
            cwd=self.root, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel; its dependencies are those of this one, so no network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, timeout=LIMIT_S, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    install = ["--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, timeout=LIMIT_S, capture_output=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    others = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()])
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    return python


@pytest.fixture
def project(installed: Path, tmp_path: Path) -> Project:
    """A copy of the application."""
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".evalkit")
    return Project(shutil.copytree(ROOT / "examples" / "app", tmp_path / "app", ignore=ignored), installed)


def test_the_wheel_is_what_is_tested(project, installed):
    """The environment imports evalkit from its own packages."""
    command = [str(installed), "-c", "import evalkit; print(evalkit.__file__)"]
    found = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed.parents[1])


def test_its_own_tests_run_without_evalkit(project):
    """An ordinary session skips what would need answers."""
    assert project.pytest()[:2] == (0, "3 passed, 3 skipped")
    assert not (project.root / ".evalkit").exists()


def test_its_suite_and_prompts_hold_against_the_recordings(project):
    """What the repository holds is enough: no network, no key; and it is labelled for what it is."""
    code, counts, said = project.pytest("--evalkit", "--evalkit-models", "large")
    assert (code, counts) == (0, "6 passed, 1 skipped"), said
    assert "3 passed; SIMULATED; replay of recordings: proves this code and its suites, not the model" in said


def test_a_changed_prompt_is_found(project):
    """A word changed in the application's prompt, and every test of it says which answers are missing."""
    path = project.root / "helpdesk.py"
    path.write_text(path.read_text().replace("Answer with the team alone.", "Answer with one word."))
    code, counts, said = project.pytest("--evalkit", "--evalkit-models", "large")
    assert (code, counts) == (1, "2 failed, 4 passed, 1 skipped"), said
    assert "60 answers are not recorded" in said


def test_the_deployed_file_chooses_the_models(project):
    """Measured and decided, the file names the models, and the application may ship on its own."""
    code, _, said = project.pytest("--evalkit")
    assert code != 0
    assert "missing" in said
    project.evalkit("run", "--progress", "quiet", "--fail-on", "never")
    project.evalkit("decide", "-o", "eligibility.json")
    code, counts, said = project.pytest("--evalkit")
    assert (code, counts) == (0, "7 passed"), said


def test_it_runs_live_with_workers(project):
    """Against its gateway and over two workers, with a limit on money."""
    code, counts, said = project.pytest(
        "--evalkit-live", "--evalkit-models", "large", "--evalkit-max-usd", "1", "-n", "2"
    )
    assert (code, counts) == (0, "6 passed, 1 skipped"), said
    assert (project.root / ".evalkit" / "evalkit.db").exists()
