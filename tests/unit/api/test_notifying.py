"""What a message says: names come from files, and no chat takes them for markup."""

from __future__ import annotations

from evalkit.api.notifying import text_of, text_of_lines
from evalkit.pipeline.verdict_changes import VerdictChange


def test_nothing_is_markup():
    """A model named like a broadcast calls nobody."""
    change = VerdictChange(task="t", model_id="<!channel>", before="eligible", after="ineligible", codes=("a&b",))
    assert text_of([change], head="h") == "h\n• &lt;!channel&gt; on t: eligible → ineligible (a&amp;b)"


def test_a_long_list_is_counted():
    """Thirty lines, and how many more there are."""
    lines = text_of_lines([str(n) for n in range(45)], head="h").splitlines()
    assert (len(lines), lines[-1]) == (32, "… and 15 more")
