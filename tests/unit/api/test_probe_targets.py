"""What of a gateway's address and headers is kept out of sight, should the gateway repeat it."""

from __future__ import annotations

import pytest

from evalkit.api.probe_targets import TargetOptions, target_from_options

URL = "https://gateway.example/v1"


@pytest.mark.parametrize(
    ("options", "secrets"),
    [
        ({"headers": ("x-team: sales-and-marketing",)}, set()),
        ({"headers": ("x-api-key: abc", "cookie: a=1; b=2")}, {"abc", "a=1", "b=2"}),
        ({"headers": ("x-team: Bearer ${HIDDEN}",)}, {"Bearer", "from-a-variable"}),
        ({"headers": ('x-config: {"a": [{"api_key": "k1", "provider": "p"}], "auth": {"b": "c"}}',)}, {"k1"}),
        ({"base_url": f"{URL}?api-key=k2&version=3"}, {"k2"}),
    ],
    ids=lambda value: "",
)
def test_secrets_of_the_target(monkeypatch, options, secrets):
    """By name, by where the value came from, and inside JSON; what is none stays readable in the findings."""
    monkeypatch.setenv("HIDDEN", "from-a-variable")

    target = target_from_options(TargetOptions(**{"base_url": URL, **options}), flags={})

    assert {*target.more_secrets} == secrets
