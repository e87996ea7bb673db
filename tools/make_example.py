"""Writes `reports/example/`: five simulated nights of the starter project, and the report of the last one.

Each night has its own seed, so that answers differ as they do between nights; suites are cut to a size worth
committing. Times are those of the day it is made: the example is made again when the report changes, and
not compared byte by byte.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

EVALKIT = Path(sys.executable).with_name("evalkit")
TARGET = Path(__file__).parents[1] / "reports" / "example"
N_CASES = {"ticket-triage": 210}
FEWEST_CASES = 110
"""A gate on p95 needs 200 calls; the other suites keep the fewest."""
N_NIGHTS = 5


def main() -> None:
    """Make the nights in a scratch folder and write the report."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "example"
        call("init", root)
        for cases in root.glob("suites/*/cases.jsonl"):
            lines = cases.read_text(encoding="utf-8").splitlines(keepends=True)
            cases.write_text("".join(lines[: N_CASES.get(cases.parent.name, FEWEST_CASES)]))
        today = dt.datetime.now(tz=dt.UTC).date()
        (root / "waivers.yaml").write_text(json.dumps({"version": 1, "waivers": waivers(today)}))
        config = yaml.safe_load((root / "evalkit.yaml").read_text(encoding="utf-8"))
        for night in range(N_NIGHTS):
            config["gateway"]["simulator"] = {"seed": 11 + night}
            (root / "evalkit.yaml").write_text(json.dumps(config))
            call("run", "--root", root, "--new", "--fail-on", "never", "--progress", "quiet")
        formats = [word for name in ("html", "markdown", "junit") for word in ("--format", name)]
        call("report", "--root", root, "-o", TARGET, *formats)
    n_bytes = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    print(f"{TARGET.relative_to(Path.cwd())}: {n_bytes / 1e6:.2f} MB")


def waivers(today: dt.date) -> list[dict[str, str]]:
    """Return one waiver about to end and one that has time."""
    return [
        {
            "task": "policy-qa", "model": "sim-deepseek", "action": "hold", "by": "platform@example.org",
            "reason": "close to its gate: new cases land this week", "until": str(today + dt.timedelta(days=2)),
        },
        {
            "task": "ticket-triage", "model": "sim-mistral", "action": "deny", "by": "legal@example.org",
            "reason": "data residency is not agreed yet", "until": str(today + dt.timedelta(days=12)),
        },
    ]  # fmt: skip


def call(*words: object) -> None:
    """Run a command of evalkit; 3 says that something stayed undecided, which is what the example is there to show."""
    # Our own program, with words of our own.
    done = subprocess.run([EVALKIT, *map(str, words)], check=False, stdout=subprocess.DEVNULL)  # noqa: S603
    if done.returncode not in {0, 3}:
        sys.exit(f"evalkit {words[0]} ended with {done.returncode}")


if __name__ == "__main__":
    main()
