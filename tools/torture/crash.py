"""The crash matrix: kill -9 in every stage, full disks, read-only and damaged stores; what the next start makes of it.

Everything is a real process on a real store. The proof that no answer is paid for twice is the server's own count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from evalkit.store.open import open_store
from torture.chaos import MODELS, Weather, count_at, write_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

N_CASES = 120
LIMIT_S = 300.0
"""No command here takes nearly so long: what hangs is a finding."""
STAGES = ("record", "score", "decide", "export", "report")
_EXPLAINED = (2, 70)
_FINE = (0, 1, 3)


@dataclass(kw_only=True)
class Crashed:
    """One way of crashing, tried so many times."""

    what: str
    n_tried: int = 0
    n_recovered: int = 0
    """The next start went on, or did the work again."""
    n_explained: int = 0
    """The next start said in an error of its own what is wrong and what to do."""
    note: str = ""
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return asdict(self)

    def take(self, done: subprocess.CompletedProcess[str], *, wanted: Sequence[int]) -> bool:
        """Count how a command ended that came after a crash; return whether it did its work."""
        self.n_tried += 1
        text = done.stderr
        if "Traceback" in text or "bug in evalkit" in text:
            self.problems.append(f"crashed with {done.returncode}: {text[-300:]}")
        elif done.returncode in wanted:
            self.n_recovered += 1
            return True
        elif done.returncode in _EXPLAINED and "error:" in text:
            self.n_explained += 1
        else:
            self.problems.append(f"ended with {done.returncode}: {text[-300:]}")
        return False


class Bench:
    """A project, its gateway, and the command line on it."""

    def __init__(self, root: Path, *, port: int, seed: int) -> None:
        gateway = Weather(faults="late", percent=100, seed=seed)
        self.base_url = gateway.base_url(port)
        self.root = write_project(root, n_cases=N_CASES, gateway={"base_url": self.base_url})
        # Here every call is answered in the end, however slow the machine: a timeout would be another test.
        config = json.loads((self.root / "evalkit.yaml").read_text(encoding="utf-8"))
        config["limits"] = {"concurrency": 8, "call_timeout_s": 60}
        (self.root / "evalkit.yaml").write_text(json.dumps(config), encoding="utf-8")
        self.file = self.root / "eligibility.json"
        self.exported = self.root / "exported"
        self.reports = self.root / "reports"
        self.as_of = ("", "")
        """Two moments of deciding, the older first: two different files from one store."""

    def settle(self) -> None:
        """Take two moments after the newest run ended, and wait until they are past."""
        store = open_store("sqlite:///.evalkit/evalkit.db", root=self.root)
        try:
            ended_at = store.runs(project=self.root.name, environment="test")[0].finished_at or 0.0
        finally:
            store.close()
        self.as_of = tuple(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ended_at + more_s)) for more_s in (1.0, 2.0))
        time.sleep(max(0.0, ended_at + 2.0 - time.time()))

    def start(self, *arguments: str, limit_bytes: int | None = None) -> subprocess.Popen[str]:
        """Start a command; with `limit_bytes` no file of it may grow further."""

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes or 0, limit_bytes or 0))

        command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", *arguments]
        return subprocess.Popen(
            command,
            env={**os.environ, "EVALKIT_ROOT": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limited if limit_bytes else None,  # noqa: PLW1509  no thread of ours holds a lock here
        )

    def done(self, *arguments: str, limit_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*arguments, limit_bytes=limit_bytes)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += "\nbug in evalkit: hung"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def command(self, stage: str) -> tuple[str, ...]:
        """Return the command that is mostly this stage."""
        return {
            "record": ("run", "--fail-on", "never", "--progress", "quiet"),
            "score": ("score",),
            "decide": ("decide", "--as-of", self.as_of[1], "-o", str(self.file)),
            "export": ("export", "litellm", str(self.file), "-o", str(self.exported)),
            "report": ("report", "--format", "html", "--format", "csv", "--format", "junit"),
        }[stage]

    def committed(self) -> set[str]:
        """Return the digests of the requests whose answers the newest unfinished run holds."""
        if not (self.root / ".evalkit" / "evalkit.db").exists():
            return set()
        store = open_store("sqlite:///.evalkit/evalkit.db", root=self.root)
        try:
            runs = store.runs(project=self.root.name, environment="test")
            if not runs or not runs[0].status.is_resumable:
                return set()
            kept = [one for one in store.outcomes(runs[0].run_id) if not one.may_be_sent_again]
            return {hashlib.sha256(one.turns[-1].request_body).hexdigest()[:16] for one in kept}
        finally:
            store.close()

    def came(self) -> dict[str, int]:
        """Return how often each request came to the gateway."""
        return count_at(self.base_url)["came"]

    def files_of(self, stage: str) -> dict[str, bytes]:
        """Return what a stage has written for others to read; its own temporary files begin with a dot."""
        folders = {"decide": (self.file,), "export": (self.exported,), "report": (self.reports,)}.get(stage, ())
        found: dict[str, bytes] = {}
        for folder in folders:
            paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
            found |= {
                str(path.relative_to(self.root)): path.read_bytes()
                for path in paths
                if path.is_file() and not path.name.startswith(".")
            }
        return found


def killed(process: subprocess.Popen[str], after_s: float) -> bool:
    """Kill a process after so long; return whether it was still running."""
    try:
        process.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    return False


def crash_recording(bench: Bench, *, n_kills: int, rng: Random) -> Crashed:
    """Kill `run` at random moments; the next start goes on, and what was committed is not sent again."""
    crashed = Crashed(what="kill -9 in record")
    n_again = n_finished = 0
    # From the start of the interpreter to a little beyond the end of the run, stretched as this machine is slow.
    whole_s = _seconds(lambda: bench.done(*bench.command("record"), "--new"))
    for _ in range(n_kills):
        held, before = bench.committed(), bench.came()
        was_running = killed(bench.start(*bench.command("record")), rng.uniform(0.2, 1.05) * whole_s)
        n_finished += not was_running
        after = bench.came()
        crashed.problems += [f"paid twice: {one}" for one in held if after.get(one, 0) != before.get(one, 0)]
        n_again += sum(after.values()) - sum(before.values())
    held, before = bench.committed(), bench.came()
    done = bench.done(*bench.command("record"))
    after = bench.came()
    crashed.take(done, wanted=_FINE)
    crashed.problems += [f"paid twice: {one}" for one in held if after.get(one, 0) != before.get(one, 0)]
    crashed.n_tried += n_kills - 1
    # Every kill but the last was followed by a start that had to go on: all of them led to this whole run.
    crashed.n_recovered += n_kills - 1 if not crashed.problems else 0
    crashed.problems += _whole_run(bench)
    crashed.note = f"{n_kills - n_finished} hit a living process; {n_again} calls were sent between the kills"
    return crashed


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _whole_run(bench: Bench) -> list[str]:
    store = open_store("sqlite:///.evalkit/evalkit.db", root=bench.root)
    try:
        newest = store.runs(project=bench.root.name, environment="test")[0]
        keys = [one.call_key for one in store.outcomes(newest.run_id, with_payloads=False)]
    finally:
        store.close()
    n_planned = N_CASES * len(MODELS)
    if str(newest.status) != "finished" or len(keys) != n_planned or len(set(keys)) != n_planned:
        return [f"the run ended {newest.status} with {len(keys)} of {n_planned} calls"]
    return []


def crash_stage(bench: Bench, stage: str, *, n_kills: int, rng: Random) -> Crashed:
    """Kill a stage at random moments; files are the old ones or the new ones, and the next start does the work."""
    crashed = Crashed(what=f"kill -9 in {stage}")
    bench.settle()
    bench.done("decide", "--as-of", bench.as_of[0], "-o", str(bench.file))
    old = bench.files_of(stage)
    saved = bench.root / ".saved.json"
    shutil.copy(bench.file, saved)
    whole_s = _seconds(lambda: bench.done(*bench.command(stage)))
    new = bench.files_of(stage)
    n_hit = n_old = 0
    for _ in range(n_kills):
        if stage == "decide":
            shutil.copy(saved, bench.file)
        was_running = killed(bench.start(*bench.command(stage)), rng.uniform(0.3, 1.05) * whole_s)
        n_hit += was_running
        found = bench.files_of(stage)
        n_old += stage == "decide" and found == old
        for name, content in found.items():
            if content not in {old.get(name), new.get(name)}:
                crashed.problems.append(f"{name} is neither the old file nor the new one")
        crashed.take(bench.done(*bench.command(stage)), wanted=_FINE)
        if bench.files_of(stage) != new:
            crashed.problems.append("the next start wrote something else")
    crashed.note = f"{n_hit} hit a living process"
    if stage == "decide":
        crashed.note += f"; {n_old} left the old file, {n_kills - n_old} the new one"
    return crashed


def crash_disk(bench: Bench, *, limits: Sequence[int]) -> Crashed:
    """Let no file grow beyond some bytes: the run ends with an explanation; with room again, the next one goes on."""
    crashed = Crashed(what="disk full (no file may grow further)")
    for limit in limits:
        shutil.rmtree(bench.root / ".evalkit", ignore_errors=True)
        first = bench.done(*bench.command("record"), limit_bytes=limit)
        if first.returncode not in {*_FINE, *_EXPLAINED} or "Traceback" in first.stderr:
            crashed.problems.append(f"at {limit} bytes: ended with {first.returncode}: {first.stderr[-300:]}")
        held, before = bench.committed(), bench.came()
        crashed.take(bench.done(*bench.command("record")), wanted=_FINE)
        after = bench.came()
        crashed.problems += [f"paid twice: {one}" for one in held if after.get(one, 0) != before.get(one, 0)]
        crashed.problems += _whole_run(bench)
    return crashed


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path | None]:
    """Mount a file system in memory of that size; None where this user may not."""
    folder = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    try:
        yield folder if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
        folder.rmdir()


def crash_small_disk(*, port: int, seed: int, sizes: Sequence[str]) -> Crashed:
    """Fill a real file system while recording, then make room and go on."""
    crashed = Crashed(what="disk full (a file system of that size)")
    for size in sizes:
        with small_disk(size) as folder:
            if folder is None:
                crashed.note = "not run: this user may not mount"
                return crashed
            bench = Bench(folder / "project", port=port, seed=seed)
            first = bench.done(*bench.command("record"))
            if first.returncode not in {*_FINE, *_EXPLAINED} or "Traceback" in first.stderr:
                crashed.problems.append(f"{size}: ended with {first.returncode}: {first.stderr[-300:]}")
            held, before = bench.committed(), bench.came()
            remount = ["mount", "-o", "remount,size=200m", str(folder)]
            subprocess.run(remount, capture_output=True, check=True)
            crashed.take(bench.done(*bench.command("record")), wanted=_FINE)
            after = bench.came()
            crashed.problems += [f"paid twice: {one}" for one in held if after.get(one, 0) != before.get(one, 0)]
            crashed.problems += _whole_run(bench)
    return crashed


def crash_read_only(*, port: int, seed: int) -> Crashed:
    """Measure once, make the file system read-only: every command reads, or explains that it cannot write."""
    crashed = Crashed(what="read-only store")
    with small_disk("200m") as folder:
        if folder is None:
            crashed.note = "not run: this user may not mount"
            return crashed
        bench = Bench(folder / "project", port=port, seed=seed)
        bench.done(*bench.command("record"))
        bench.settle()
        bench.done("decide", "--as-of", bench.as_of[0], "-o", str(bench.file))
        before = bench.came()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], capture_output=True, check=True)
        for stage in STAGES:
            crashed.take(bench.done(*bench.command(stage)), wanted=_FINE)
        if bench.came() != before:
            crashed.problems.append("calls were sent although nothing could be kept")
    return crashed


def crash_two(bench: Bench) -> Crashed:
    """Start two runs at once on one store: one measures, the other is told; every call is sent once."""
    crashed = Crashed(what="two runs at once on one store")
    shutil.rmtree(bench.root / ".evalkit", ignore_errors=True)
    before = bench.came()
    both = [bench.start(*bench.command("record"), "--new") for _ in range(2)]
    ends = []
    for process in both:
        out, err = process.communicate(timeout=LIMIT_S)
        ends.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    n_done = sum(crashed.take(done, wanted=_FINE) for done in ends)
    after = bench.came()
    # The second may have begun when the first had ended: then both measured, one after the other.
    most = max(after.get(one, 0) - before.get(one, 0) for one in after)
    if not 1 <= n_done == most:
        crashed.problems.append(f"{n_done} runs measured and a call was sent {most} times")
    return crashed


def crash_damaged(bench: Bench, *, n_times: int, rng: Random) -> Crashed:
    """Cut the store or overwrite a page of it: the next start works or says what is wrong, and keeps the file."""
    crashed = Crashed(what="store file truncated or overwritten")
    shutil.rmtree(bench.root / ".evalkit", ignore_errors=True)
    bench.done(*bench.command("record"))
    store = bench.root / ".evalkit" / "evalkit.db"
    whole = store.read_bytes()
    for number in range(n_times):
        for ending in ("-wal", "-shm"):
            store.with_name(store.name + ending).unlink(missing_ok=True)
        at = rng.randrange(len(whole))
        damaged = whole[:at] if number % 2 else whole[:at] + rng.randbytes(200) + whole[at + 200 :]
        store.write_bytes(damaged)
        stage = ("score", "decide", "report", "record")[number // 2 % 4]
        crashed.take(bench.done(*bench.command(stage)), wanted=_FINE)
        if not store.exists():
            crashed.problems.append("the damaged store is gone")
    store.write_bytes(whole)
    return crashed


def crash_matrix(*, port: int, n_kills: int, seed: int) -> Iterator[Crashed]:
    """Run all of it, and yield each way of crashing when it is done."""
    rng = Random(seed)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name) / "project", port=port, seed=seed)
        yield crash_recording(bench, n_kills=n_kills, rng=rng)
        for stage in STAGES[1:]:
            yield crash_stage(bench, stage, n_kills=n_kills, rng=rng)
        yield crash_two(bench)
        yield crash_damaged(bench, n_times=n_kills, rng=rng)
        yield crash_disk(bench, limits=[4096 * 2**step for step in range(max(2, min(9, n_kills // 4)))])
    yield crash_small_disk(port=port, seed=seed, sizes=("200k", "400k", "600k", "1m")[: max(1, n_kills // 5)])
    yield crash_read_only(port=port, seed=seed)
