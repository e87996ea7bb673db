"""What is said beside a configuration: every loss, and nothing where nothing is lost."""

from __future__ import annotations

from evalkit.exporters.remarks import commented, notes_file, unsaid_beside_order, unsaid_sessions
from evalkit.exporters.routing import routing_from_document
from evalkit.testing.eligibility import an_eligibility


def routed(tasks, **differing):
    """The routing of a file."""
    return routing_from_document(an_eligibility(tasks, **differing).document())


def test_a_comment_stays_one():
    """A line break in a remark cannot end the comment it stands in, and nothing in it makes the file unreadable."""
    assert commented(["one\ntwo = 2", "three\x1b[2J"]) == "# one two = 2\n# three [2J\n"
    assert notes_file(routed({"qa": ["a"]}), ["one\ntwo"]).decode().splitlines()[-1] == "one two"


def test_sticky_tasks_are_named():
    """A failover moves one request; with one candidate, or no wish to stay, there is nothing to say."""
    failover = {"qa": {"failover": {"session": "any"}}}
    assert not [*unsaid_sessions(routed({"qa": ["a", "b"]}, entries=failover))]
    assert not [*unsaid_sessions(routed({"qa": ["a"]}))]
    (line,) = unsaid_sessions(routed({"qa": ["a", "b"], "sums": ["b", "a"]}))
    assert line.endswith("qa, sums")


def test_what_an_order_does_not_say():
    """Denials, caps, thresholds and conversations, each with its name."""
    terms = {"spend_cap": {"usd": 5, "per": "1d"}, "latency": {"p95_s": 4}}
    providers = {"openai": {"spend_cap": {"usd": 90, "per": "30d"}}}
    routing = routed({"qa": ["a", "b"], "closed": []}, entries={"qa": terms}, providers=providers)

    assert [*unsaid_beside_order(routing)] == [
        "denied: task closed has no candidate and gets no route",
        "not enforced here: the spend cap of task qa, 5 USD per 1d",
        "not enforced here: the spend cap of provider 'openai', 90 USD per 30d",
        "not enforced here: the latency threshold of task qa, p95 4 s",
        *unsaid_sessions(routing),
    ]
    failover = {"qa": {"failover": {"session": "any"}}}
    assert [*unsaid_beside_order(routed({"qa": ["a", "b"]}, entries=failover))] == []
