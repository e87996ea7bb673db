"""How near a run comes to the ideal when answers take time: completions a second, first and last second cut.

Ideal is concurrency divided by the answer's delay. Read from the store's own time stamps after a real `evalkit run`.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from harness import start_server
from run import EVALKIT, write_project

from evalkit.store.open import open_store


def steady_share(*, n_cases: int, concurrency: int, delay_s: float) -> float:
    """Run once and return completions a second between the first and the last second, as a share of the ideal."""
    with start_server(delay_ms=delay_s * 1000) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, base_url=server.base_url, n_cases=n_cases, n_models=1, concurrency=concurrency)
        command = [str(EVALKIT), "run", "--root", name, "--progress", "quiet", "--fail-on", "never"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        store = open_store("sqlite:///.evalkit/evalkit.db", root=folder)
        (run,) = store.runs(project="bench", environment="default")
        ends = sorted(
            outcome.timings.started_at + outcome.timings.latency_s + outcome.timings.retry_s
            for outcome in store.outcomes(run.run_id, with_payloads=False)
        )
        store.close()
    inside = [end for end in ends if ends[0] + 1 < end < ends[-1] - 1]
    rate = len(inside) / (inside[-1] - inside[0])
    return rate / (concurrency / delay_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=20_000)
    options = parser.parse_args()
    for delay_s, concurrency in ((0.2, 64), (0.2, 128), (1.0, 512), (1.0, 2000)):
        share = steady_share(n_cases=options.n, concurrency=concurrency, delay_s=delay_s)
        ideal = concurrency / delay_s
        print(f"{delay_s:g} s × c {concurrency}: {share:.3f} of the ideal {ideal:.0f}/s, n = {options.n:,}")


if __name__ == "__main__":
    main()
