"""Checks over a whole project: time for failover, calls for latency, waivers."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.domain.policy import Failover, Waiver

SUITE = "suites/greeting/suite.yaml"


def a_waiver(**changes) -> Waiver:
    """Return a waiver that holds until 10 March."""
    fields = {"task": "greeting", "model": "alpha", "action": "hold", "reason": "outage", "by": "ops"}
    return Waiver(**{**fields, "until": date(2026, 3, 10), **changes})


@pytest.mark.parametrize(
    ("retries", "upstream_timeout_s", "n_candidates", "seconds"),
    [(0, 10, 1, 10), (2, 10, 3, 99), (5, 1, 1, 6 + 1 + 2 + 4 + 8 + 8)],
)
def test_failover_time_adds_tries_and_backoff(retries, upstream_timeout_s, n_candidates, seconds):
    """Each candidate is tried once more than retried; pauses double up to 8 s."""
    failover = Failover(retries=retries, upstream_timeout_s=upstream_timeout_s)
    assert failover.longest_s(n_candidates) == seconds


@given(st.integers(0, 10), st.floats(0.1, 100), st.integers(1, 20))
def test_one_more_candidate_never_takes_less(retries, upstream_timeout_s, n_candidates):
    """The bound grows with the list."""
    failover = Failover(retries=retries, upstream_timeout_s=upstream_timeout_s)
    assert failover.longest_s(n_candidates + 1) > failover.longest_s(n_candidates)


def test_the_suggested_upstream_timeout_fits(folder):
    """What the message suggests is accepted."""
    folder.replace("policy.yaml", "client_timeout_s: 60", "client_timeout_s: 37")
    assert "that fits is 8.75;" in folder.error().next_step
    folder.replace("policy.yaml", "upstream_timeout_s: 10", "upstream_timeout_s: 8.75").load()


def test_fewer_candidates_take_less_time(folder):
    """`max_candidates` bounds the list the client waits for."""
    folder.replace("policy.yaml", "client_timeout_s: 60", "client_timeout_s: 30")
    folder.replace("policy.yaml", "    pin:", "    max_candidates: 1\n    pin:").load()


def test_no_timeout_may_fit_at_all(folder):
    """The backoff alone can be longer than the client waits."""
    folder.replace("policy.yaml", "client_timeout_s: 60", "client_timeout_s: 2")
    assert "no upstream timeout fits" in folder.error().next_step


def with_gate(folder, gate: str):
    """Put a gate before the others."""
    return folder.replace(SUITE, "gates:", f"gates:\n  - {gate}")


@pytest.mark.parametrize(
    ("gate", "needed"),
    [
        ("{metric: latency_s, of: p95, at_most: 4}", 200),
        ("{metric: latency_s, of: p99, at_most: 4}", 299),
        ("{metric: latency_s, at_most: 4}", 200),
        ("{metric: output_tokens, of: p95, at_most: 400}", 59),
    ],
)
def test_a_quantile_gate_needs_calls(folder, gate, needed):
    """Forty calls decide no tail."""
    error = with_gate(folder, gate).error()
    assert f"needs {needed} calls" in str(error)
    assert "make 40" in str(error)
    assert error.place.pointer == "/gates/0"


def test_trials_count_as_calls(folder):
    """Latency is measured once a call."""
    with_gate(folder, "{metric: latency_s, of: p95, at_most: 4}").replace(SUITE, "version: 1", "version: 1\ntrials: 5")
    folder.load()


def test_latency_counts_all_suites_of_the_task(folder):
    """Two suites of 100 calls make 200."""
    with_gate(folder, "{metric: latency_s, of: p95, at_most: 4}").replace(SUITE, "version: 1", "version: 1\ntrials: 3")
    other = (folder.root / SUITE).read_text().replace("name: greeting", "name: more").replace("trials: 3", "trials: 2")
    folder.write("suites/more/suite.yaml", other)
    folder.write("suites/more/cases.jsonl", (folder.root / "suites/greeting/cases.jsonl").read_text())
    folder.load()


def test_skipped_cases_make_no_calls(folder):
    """Only what is asked is counted."""
    with_gate(folder, "{metric: latency_s, of: p95, at_most: 4}").replace(SUITE, "version: 1", "version: 1\ntrials: 5")
    folder.replace("suites/greeting/cases.jsonl", '"id": "c7"', '"skip": "typo", "id": "c7"')
    assert "make 195" in str(folder.error())


def test_the_confidence_of_the_task_counts(folder):
    """At a lower confidence fewer clusters are enough."""
    folder.replace(SUITE, "exact, at_least: 0.9", "exact, at_least: 0.94")
    assert "49 clusters" in str(folder.error())
    folder.replace("policy.yaml", "    pin:", "    confidence: 0.90\n    pin:").load()


def test_a_waiver_may_not_admit_to_a_critical_task(folder):
    """Loading refuses what no date can mend."""
    folder.replace("policy.yaml", "    pin:", "    critical: true\n    pin:")
    folder.replace("waivers.yaml", "action: hold", "action: allow")
    error = folder.error()
    assert "critical task 'greeting'" in str(error)
    assert (error.place.file, error.place.pointer) == ("waivers.yaml", "/waivers/0/action")


def test_a_date_ends_with_its_day():
    """A date means its last moment, UTC."""
    assert a_waiver(until=date(2026, 3, 10)).ends_at == datetime(2026, 3, 11, tzinfo=UTC).timestamp()


def test_a_time_without_a_zone_is_utc():
    """Nobody's local time decides."""
    naive = datetime(2026, 3, 10, 8)  # noqa: DTZ001  what a file without a zone gives
    assert a_waiver(until=naive).ends_at == datetime(2026, 3, 10, 8, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("until", "is_allowed"),
    [
        ("2026-02-01", True),
        ("2026-03-15", True),
        ("2026-03-16", False),
        ("2026-03-15T12:00:00Z", True),
        ("2026-03-15T12:00:01Z", False),
    ],
)
def test_a_waiver_lasts_at_most_two_weeks(folder, until, is_allowed):
    """Fourteen days from now are allowed, one more is not; one that has ended is no error."""
    folder.replace("waivers.yaml", "2026-03-10", until)
    if is_allowed:
        folder.load()
        return
    error = folder.error()
    assert "may last 14" in str(error)
    assert (error.place.file, error.place.line, error.place.pointer) == ("waivers.yaml", 3, "/waivers/0/until")


def test_a_waiver_is_refused_by_the_name_of_its_own_file(folder):
    """The project says which file holds its waivers: a message that names another sends people to nothing."""
    (folder.root / "waivers.yaml").rename(folder.root / "exceptions.yaml")
    folder.replace("evalkit.yaml", "limits:", "waivers: exceptions.yaml\nlimits:")
    folder.replace("exceptions.yaml", "2026-03-10", "2026-04-10")
    assert (folder.error().place.file, folder.error().place.line) == ("exceptions.yaml", 3)


@pytest.mark.parametrize(("action", "critical"), [("allow", "false"), ("deny", "true"), ("hold", "true")])
def test_other_waivers_are_fine(folder, action, critical):
    """Only `allow` admits."""
    folder.replace("policy.yaml", "    pin:", f"    critical: {critical}\n    pin:")
    folder.replace("waivers.yaml", "action: hold", f"action: {action}").load()
