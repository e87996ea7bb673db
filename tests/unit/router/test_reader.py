"""The reader: what a router is told, and that nothing that happens to the file ever lets anybody in."""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import pytest

from evalkit.errors import RefusedError
from evalkit.router import reader as reader_module
from evalkit.router.reader import EligibilityReader

DAY_S = 86_400.0


class Clock:
    """A clock the test sets."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        """Return the time it was set to."""
        return self.now


@pytest.fixture
def clock(generated_at):
    """An hour after the document was made."""
    return Clock(generated_at + 3600)


@pytest.fixture
def path(tmp_path, document, data_of):
    """The document on disk."""
    path = tmp_path / "eligibility.json"
    path.write_bytes(data_of(document))
    return path


@pytest.fixture
def reader(path, clock):
    """A reader that looks at the file every time."""
    return EligibilityReader(path, audience="prod", check_every_s=0.0, now=clock)


def offered(reader, task="qa"):
    """The models that may serve a task now."""
    return [one.model_id for one in reader.candidates(task)]


def refusal(reader, task="qa"):
    """The code the reader refuses with; None when it does not."""
    try:
        reader.candidates(task)
    except RefusedError as error:
        assert not reader.is_eligible(task, "a")
        return error.code
    return None


def test_candidates_come_in_order(reader):
    """With all a router needs to ask them."""
    first, second = reader.candidates("qa")
    assert (first.model_id, first.route, first.is_pin, second.is_pin) == ("a", "openai/a", True, False)
    assert first.request == {"mode": "json_schema", "adapt": {}}
    assert first.entry["context_tokens"] == 1000
    assert first.valid_until == reader.newest_accepted + DAY_S


@pytest.mark.parametrize(("task", "model", "is_in"), [("qa", "a", True), ("qa", "b", True), ("qa", "c", False),
                                                      ("closed", "a", False), ("unknown", "a", False)])  # fmt: skip
def test_only_the_listed_are_eligible(reader, task, model, is_in):
    """An empty or unknown task denies."""
    assert reader.is_eligible(task, model) is is_in
    assert (model in offered(reader, task)) is is_in


def test_document_and_live_are_shown(reader, document):
    """The whole file, and twelve digits of its digest for a header."""
    assert reader.document == document
    assert reader.live == document["digest"][7:19]


@pytest.mark.parametrize(("after_s", "left"), [(0, ["a", "b"]), (DAY_S + 120, ["a", "b"]), (DAY_S + 121, ["b"]),
                                               (2 * DAY_S + 121, [])])  # fmt: skip
def test_each_candidate_expires_by_itself(reader, clock, generated_at, after_s, left):
    """To the second, with two minutes for clocks that differ."""
    clock.now = generated_at + after_s
    assert offered(reader) == left
    assert [model for model in "ab" if reader.is_eligible("qa", model)] == left


def test_a_pin_may_outlive_its_evidence(path, document, data_of, reader, clock, generated_at):
    """Where the task says so the pin alone stays."""
    document["tasks"]["qa"]["on_expiry"] = "pin_only"
    path.write_bytes(data_of(document))
    clock.now = generated_at + 400 * DAY_S
    assert offered(reader) == ["a"]
    assert (reader.is_eligible("qa", "a"), reader.is_eligible("qa", "b")) == (True, False)


def test_a_waived_pin_does_not(path, document, data_of, reader, clock, generated_at):
    """What a person let in for a while does not stay for ever."""
    document["tasks"]["qa"]["on_expiry"] = "pin_only"
    document["tasks"]["qa"]["candidates"][0]["admitted_by"] = "waiver"
    path.write_bytes(data_of(document))
    clock.now = generated_at + 400 * DAY_S
    assert offered(reader) == []


def test_an_empty_task_keeps_no_pin(path, document, data_of, reader):
    """There is nobody to keep."""
    document["tasks"]["closed"]["on_expiry"] = "pin_only"
    path.write_bytes(data_of(document))
    assert offered(reader, "closed") == []


def test_a_missing_file_denies(tmp_path, clock):
    """No file, nobody."""
    reader = EligibilityReader(tmp_path / "none.json", audience="prod", now=clock)
    assert refusal(reader) == "missing"
    with pytest.raises(RefusedError, match="No such file"):
        _ = reader.document


def test_a_folder_denies(tmp_path, clock):
    """A folder is no file."""
    assert refusal(EligibilityReader(tmp_path, audience="prod", now=clock)) == "missing"


def test_a_pipe_denies_and_does_not_wait(tmp_path, clock):
    """Reading a pipe could take for ever: nobody's request waits for it."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal(EligibilityReader(tmp_path / "pipe", audience="prod", now=clock)) == "missing"


def test_a_file_that_may_not_be_read_denies(path, reader, monkeypatch):
    """Whatever the system says."""

    def fails(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", fails)
    assert refusal(reader) == "missing"


def test_a_huge_file_is_not_read_whole(path, reader, monkeypatch):
    """One byte beyond the limit is enough to know."""
    monkeypatch.setattr(reader_module, "MAX_BYTES", 100)
    assert refusal(reader) == "truncated"


def test_a_file_taken_away_denies_and_one_put_back_admits(path, reader, tmp_path):
    """The file in force is the file that is there."""
    assert offered(reader) == ["a", "b"]
    path.rename(tmp_path / "aside")
    assert refusal(reader) == "missing"
    (tmp_path / "aside").rename(path)
    assert offered(reader) == ["a", "b"]


def test_a_new_file_is_taken_in(path, document, data_of, reader):
    """Replaced or written over, it counts from the next look on."""
    assert offered(reader) == ["a", "b"]
    document["tasks"]["qa"]["candidates"].pop()
    path.write_bytes(data_of(document))
    assert offered(reader) == ["a"]


def test_a_file_written_over_with_its_old_time_is_noticed(path, document, data_of, reader):
    """The same size and modification time do not make it the same file."""
    before = path.stat()
    assert offered(reader) == ["a", "b"]
    document["models"]["a"]["route"] = "openai/z"
    path.write_bytes(data_of(document))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert reader.candidates("qa")[0].route == "openai/z"


def test_a_link_that_points_elsewhere_is_noticed(tmp_path, document, data_of, clock):
    """A deployment that swaps a symbolic link swaps the file."""
    old, new, link = tmp_path / "old", tmp_path / "new", tmp_path / "live"
    old.write_bytes(data_of(document))
    document["tasks"]["qa"]["candidates"].pop()
    new.write_bytes(data_of(document))
    link.symlink_to(old)
    reader = EligibilityReader(link, audience="prod", check_every_s=0.0, now=clock)
    assert offered(reader) == ["a", "b"]
    link.unlink()
    link.symlink_to(new)
    assert offered(reader) == ["a"]
    link.unlink()
    link.symlink_to(link)
    assert refusal(reader) == "missing"


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-40], lambda data: b"", lambda data: data.replace(b'"a"', b'"b"')]
)
def test_a_spoilt_file_ends_what_was_admitted(path, reader, spoil):
    """What was believed before is not believed on: denied until a sound file is there."""
    sound = path.read_bytes()
    assert offered(reader) == ["a", "b"]
    path.write_bytes(spoil(sound))
    assert refusal(reader) in {"truncated", "tampered"}
    path.write_bytes(sound)
    assert offered(reader) == ["a", "b"]


def test_an_older_file_is_refused(path, document, data_of, reader):
    """Rolling back is how a withdrawn model comes back."""
    assert offered(reader) == ["a", "b"]
    document["generated_at"] = "2027-01-15T07:59:59Z"
    path.write_bytes(data_of(document))
    assert refusal(reader) == "rolled_back"


def test_an_older_file_is_refused_after_a_restart(path, clock, reader, generated_at):
    """A new process that is told what the old one had accepted takes nothing older."""
    assert offered(reader) == ["a", "b"]
    second = EligibilityReader(path, audience="prod", check_every_s=0.0, now=clock)
    second.refuse_before(reader.newest_accepted)
    assert offered(second) == ["a", "b"]
    second.refuse_before(generated_at - 9)
    assert second.newest_accepted == generated_at
    second.refuse_before(generated_at + 1)
    assert refusal(second) == "rolled_back"


def test_a_clock_that_is_behind_catches_up(reader, clock, generated_at):
    """A file from the future is looked at again until it is not."""
    clock.now = generated_at - 301
    assert refusal(reader) == "from_the_future"
    clock.now = generated_at - 300
    assert offered(reader) == ["a", "b"]


def test_a_clock_set_back_revives_nothing(reader, clock, generated_at):
    """What has expired stays expired, and before its own time a file says nothing."""
    clock.now = generated_at + DAY_S + 500
    assert offered(reader) == ["b"]
    clock.now = generated_at + 3600
    assert offered(reader) == ["b"]
    assert not reader.is_eligible("qa", "a")
    clock.now = generated_at - 9 * DAY_S
    assert refusal(reader) == "from_the_future"


def test_a_newer_file_sets_the_clock_right(path, document, data_of, reader, clock, generated_at):
    """A clock that was ahead by mistake denies until the next file, not for ever."""
    clock.now = generated_at + 900 * DAY_S
    assert offered(reader) == []
    clock.now = generated_at + 3600
    assert offered(reader) == []
    document["generated_at"] = "2027-01-15T08:30:00Z"
    path.write_bytes(data_of(document))
    assert offered(reader) == ["a", "b"]


@pytest.mark.parametrize("step_s", [-DAY_S, -1.5, 1.0, DAY_S])
def test_the_file_is_looked_at_again_wherever_the_clock_goes(path, clock, step_s):
    """Back or forth: no jump of the clock stops the looking."""
    reader = EligibilityReader(path, audience="prod", check_every_s=1.0, now=clock)
    assert offered(reader) == ["a", "b"]
    path.unlink()
    assert offered(reader) == ["a", "b"]
    clock.now += step_s
    assert refusal(reader) == "missing"


def test_a_clock_that_is_no_number_admits_nobody(reader, clock):
    """NaN is later than nothing and earlier than nothing."""
    clock.now = float("nan")
    assert offered(reader) == []
    assert not reader.is_eligible("qa", "a")


def test_a_shape_the_checks_let_through_is_refused_all_the_same(path, reader, monkeypatch):
    """Should the checks ever miss something, the router still gets a refusal and no crash."""
    for error in (KeyError("x"), TypeError("x"), OverflowError("x"), RecursionError("x")):

        def breaks(*_args, _error=error, **_kwargs):
            raise _error

        monkeypatch.setattr(reader_module, "check_document", breaks)
        path.touch()
        assert refusal(reader) == "malformed"


def test_keys_that_are_configured_are_used(path, clock):
    """With a key an unsigned file is refused."""
    reader = EligibilityReader(path, audience="prod", public_keys={"team": "AAAA"}, now=clock)
    assert refusal(reader) == "unsigned"


@pytest.mark.parametrize(
    ("fields", "code"), [({"audience": "dev"}, "wrong_audience"), ({"audience": "prod"}, "simulated")]
)
def test_what_the_reader_expects_is_held(path, document, data_of, clock, fields, code):
    """Audience and simulation are checked at every file."""
    document["simulated"] = True
    path.write_bytes(data_of(document))
    assert refusal(EligibilityReader(path, now=clock, **fields)) == code
    assert offered(EligibilityReader(path, audience="prod", allow_simulated=True, now=clock)) == ["a", "b"]


def test_many_threads_see_whole_files_only(path, document, data_of, clock):
    """While the file is replaced, broken and taken away, every answer is one of the whole files' or a refusal."""
    whole = [["a", "b"], ["a"]]
    files = [data_of(document)]
    document["tasks"]["qa"]["candidates"].pop()
    files.append(data_of(document))
    reader = EligibilityReader(path, audience="prod", check_every_s=0.0, now=clock)
    wrong, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                found = offered(reader)
                live = reader.live
            except RefusedError:
                continue
            except BaseException as error:  # noqa: BLE001
                wrong.append(error)
                return
            if found not in whole or len(live) != 12:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    ends_at = time.monotonic() + 1.0
    step = 0
    while time.monotonic() < ends_at:
        step += 1
        data = files[step % 2]
        path.write_bytes(data if step % 5 else data[: len(data) // 2])
        if step % 7 == 0:
            path.unlink()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_whoever_waits_for_the_lock_does_not_look_again(path, clock):
    """A file that is refused is read once a look, not once a thread."""
    path.write_bytes(b"{}")
    reader = EligibilityReader(path, audience="prod", check_every_s=1.0, now=clock)
    looks = []
    look = reader._look

    def slow(now):
        looks.append(now)
        time.sleep(0.05)
        return look(now)

    reader._look = slow
    threads = [threading.Thread(target=refusal, args=(reader,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looks) == 1


@pytest.mark.skipif(sys.gettrace() is not None, reason="a traced look-up says nothing of its cost")
def test_a_look_up_costs_microseconds(path, document, data_of):
    """Below 50 microseconds each, with every candidate of a large file alive or the first expired."""
    entry = document["tasks"]["qa"]["candidates"][1]
    for number in range(40):
        document["models"][f"m{number}"] = document["models"]["b"]
        document["tasks"]["qa"]["candidates"].append({**entry, "model": f"m{number}"})
    path.write_bytes(data_of(document))
    for clock in (Clock(1_800_000_000.0 + 60), Clock(1_800_000_000.0 + DAY_S + 600)):
        reader = EligibilityReader(path, audience="prod", check_every_s=1.0, now=clock)
        assert offered(reader)
        best = min(_mean_s(lambda reader=reader: reader.candidates("qa")) for _ in range(5))
        best = max(best, min(_mean_s(lambda reader=reader: reader.is_eligible("qa", "m39")) for _ in range(5)))
        assert best < 50e-6


def _mean_s(call, n=2000):
    # Of this thread alone: a busy machine is no slow reader.
    start = time.thread_time()
    for _ in range(n):
        call()
    return (time.thread_time() - start) / n


def test_the_reader_needs_json_of_the_file_only(path, reader):
    """What is not canonical but says the same is accepted: people indent files in reviews."""
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=2))
    assert offered(reader) == ["a", "b"]
