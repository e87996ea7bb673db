"""Many seeded inputs through each target: only our own errors, a second of work at most, memory in proportion."""

from __future__ import annotations

import gc
import signal
import time
import traceback
import tracemalloc
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torture.targets import Target

HANG_S = 1.0
"""Most processor time one input may take."""
_STUCK_S = 30
MEMORY_FACTOR = 10
MEMORY_FLOOR = 2**20
"""What any input may use whatever its size: caches and compiled templates are not the input's doing."""
_SAMPLE = 199
_MAX_FINDINGS = 20
_TURN = 20_000
_SLOW_TURN = 500


@dataclass(slots=True, kw_only=True)
class Fuzzed:
    """What became of the inputs of one target."""

    target: str
    says: str
    seed: int
    n_inputs: int = 0
    n_taken: int = 0
    """Read without complaint; the rest was refused by our own errors, or read as a failure."""
    n_bytes: int = 0
    slowest_s: float = 0.0
    n_memory_samples: int = 0
    worst_memory: float = 0.0
    """Largest peak above the floor, as a multiple of the input."""
    cpu_s: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can say it."""
        return asdict(self)


class StuckError(Exception):
    """An input did not come back."""


def _stuck(_number: int, _frame: object) -> None:
    raise StuckError


def input_of(target: Target, *, seed: int, number: int) -> bytes:
    """Return input `number` of a seed: what a finding names can always be made again."""
    return target.make(Random(seed * 1_000_000_007 + number))


def fuzz(target: Target, *, seed: int, n_inputs: int, found: Fuzzed | None = None) -> Fuzzed:
    """Run so many inputs, after those that are already in `found`."""
    found = found or Fuzzed(target=target.name, says=target.says, seed=seed)
    # What is built at first use and kept is no cost of the input that happens to come first; it is judged below again.
    with suppress(Exception):
        target.check(input_of(target, seed=found.seed, number=0))
    before = signal.signal(signal.SIGALRM, _stuck)
    began = time.process_time()
    try:
        for number in range(found.n_inputs, found.n_inputs + n_inputs):
            if len(found.findings) >= _MAX_FINDINGS:
                break
            _one(target, number, found=found)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found.cpu_s += time.process_time() - began
    return found


def fuzz_in_rounds(
    targets: Sequence[Target], *, seed: int, n_inputs: int, until_s: float, keep: Callable[[Fuzzed], None]
) -> list[Fuzzed]:
    """Give each target its inputs in turns, so that time that runs out runs out for all of them alike.

    Args:
        targets: taken in order, again and again.
        seed: with the number of an input, all that is needed to make it again.
        n_inputs: for each target.
        until_s: on the monotonic clock; no turn begins after it.
        keep: called after each turn of a target with what is known of it so far.
    """
    states = {target.name: Fuzzed(target=target.name, says=target.says, seed=seed) for target in targets}
    while open_targets := [one for one in targets if _is_open(states[one.name], n_inputs)]:
        for target in open_targets:
            state = states[target.name]
            if time.monotonic() >= until_s:
                return list(states.values())
            turn = _SLOW_TURN if target.is_slow else _TURN
            fuzz(target, seed=seed, n_inputs=min(turn, n_inputs - state.n_inputs), found=state)
            keep(state)
    return list(states.values())


def _is_open(state: Fuzzed, n_wanted: int) -> bool:
    return state.n_inputs < n_wanted and len(state.findings) < _MAX_FINDINGS


def _one(target: Target, number: int, *, found: Fuzzed) -> None:
    data = input_of(target, seed=found.seed, number=number)
    is_sampled = number % _SAMPLE == 0
    if is_sampled:
        gc.collect(0)
        tracemalloc.start()
    signal.setitimer(signal.ITIMER_REAL, _STUCK_S)
    began = time.process_time()
    try:
        found.n_taken += target.check(data)
    except Exception as error:  # noqa: BLE001  any exception is what is being looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        found.findings.append({"number": number, "what": f"{type(error).__name__} at {place}: {error}"[:300]})
    took_s = time.process_time() - began
    if is_sampled:
        _weigh(len(data), tracemalloc.get_traced_memory()[1], number=number, found=found)
        tracemalloc.stop()
    elif took_s > HANG_S:
        found.findings.append({"number": number, "what": f"took {took_s:.2f} s of processor time"})
    found.n_inputs += 1
    found.n_bytes += len(data)
    if not is_sampled:
        found.slowest_s = max(found.slowest_s, took_s)


def _weigh(n_bytes: int, peak: int, *, number: int, found: Fuzzed) -> None:
    factor = max(0, peak - MEMORY_FLOOR) / max(1, n_bytes)
    found.n_memory_samples += 1
    found.worst_memory = max(found.worst_memory, factor)
    if factor > MEMORY_FACTOR:
        found.findings.append({"number": number, "what": f"peak memory {peak} bytes for {n_bytes} bytes of input"})
