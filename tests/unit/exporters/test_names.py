"""Names for targets: what fits their alphabet, the same each time, and never one for two of ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.exporters.names import dns_label, names_of, variable_name


@pytest.mark.parametrize(
    ("text", "label"),
    [("qa", "qa"), ("Invoice.Extract", "invoice-extract"), ("a__b--c", "a-b-c"), ("-a-", "a"), ("x" * 63, "x" * 63)],
)
def test_a_label_keeps_what_fits(text, label):
    """Letters in small, digits, and one dash for everything between."""
    assert dns_label(text) == label


def test_a_long_label_ends_with_a_digest():
    """So that texts which differ behind the cut stay apart."""
    one, other = dns_label("x" * 80 + "a"), dns_label("x" * 80 + "b")
    assert one != other
    assert one.startswith("x" * 54 + "-")
    assert len(one) == 63


@given(st.text(max_size=200))
def test_a_label_is_always_dns_1123(text):
    """Whatever goes in."""
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", dns_label(text))


def test_a_variable_is_capitals():
    """And underscores for the rest."""
    assert variable_name("invoice.extract-2") == "INVOICE_EXTRACT_2"


def test_two_texts_of_one_name_are_refused():
    """Both are named; the same text twice is no collision."""
    assert names_of(["b", "a", "b"], dns_label, what="tasks") == {"b": "b", "a": "a"}
    with pytest.raises(InputError, match=r"tasks 'a\.b' and 'a_b' would both be called 'a-b'"):
        names_of(["a.b", "c", "a_b"], dns_label, what="tasks")
