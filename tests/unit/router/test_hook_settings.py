"""The callback's environment: what it must say, what it may say, and what stops the gateway's start."""

from __future__ import annotations

import pytest

from evalkit.errors import InputError
from evalkit.router.hook_settings import HookSettings, settings_from_environment

NEEDED = {"EVALKIT_ELIGIBILITY_FILE": "/etc/eligibility.json", "EVALKIT_AUDIENCE": "prod"}


def test_two_variables_are_enough():
    """The rest has defaults that admit less rather than more."""
    assert settings_from_environment(NEEDED) == HookSettings(
        path="/etc/eligibility.json", audience="prod", public_keys={}, allow_simulated=False, check_every_s=0.25
    )


def test_all_of_them_are_read():
    """Base64 ends in the sign that separates a key from its name."""
    more = {
        "EVALKIT_PUBLIC_KEYS": "team=AAA=, old = BBB==,",
        "EVALKIT_ALLOW_SIMULATED": "1",
        "EVALKIT_CHECK_EVERY_S": "0",
    }
    found = settings_from_environment({**NEEDED, **more})
    assert found.public_keys == {"team": "AAA=", "old": "BBB=="}
    assert found.allow_simulated
    assert found.check_every_s == 0


@pytest.mark.parametrize("name", list(NEEDED))
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_one_is_named(name, value):
    """With what to set it to."""
    environ = {key: given for key, given in {**NEEDED, name: value}.items() if given is not None}
    with pytest.raises(InputError, match=rf"{name}: is not set.*\n  next: set {name}"):
        settings_from_environment(environ)


@pytest.mark.parametrize(("name", "value"), [
    ("EVALKIT_PUBLIC_KEYS", "AAA"), ("EVALKIT_PUBLIC_KEYS", "=AAA"), ("EVALKIT_PUBLIC_KEYS", "team="),
    ("EVALKIT_PUBLIC_KEYS", "team=A,team=B"),
    ("EVALKIT_ALLOW_SIMULATED", "yes"), ("EVALKIT_ALLOW_SIMULATED", "true"),
    ("EVALKIT_CHECK_EVERY_S", "soon"), ("EVALKIT_CHECK_EVERY_S", "-1"), ("EVALKIT_CHECK_EVERY_S", "nan"),
    ("EVALKIT_CHECK_EVERY_S", "61"), ("EVALKIT_CHECK_EVERY_S", "inf"),
])  # fmt: skip
def test_what_a_variable_cannot_mean_is_refused(name, value):
    """A key that is not understood must not turn the check of signatures off."""
    with pytest.raises(InputError, match=name):
        settings_from_environment({**NEEDED, name: value})
