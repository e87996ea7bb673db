"""The sample report, shared by every reporter's tests, and the comparison with golden files."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import zlib
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "reporters"


# importlib mode has no packages, so a module of builders is loaded by its path.
@pytest.fixture(scope="session")
def made():
    """Module of builders: `sample()`, `small()`, `a_suite()`, `an_outcome()`, `FakeReader`, `HOSTILE`."""
    spec = importlib.util.spec_from_file_location("reporters_sample", Path(__file__).with_name("sample.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check_golden(update_golden):
    """Compare bytes with a golden file, or rewrite it under `--update-golden`."""

    def check(name: str, content: bytes) -> None:
        path = GOLDEN / name
        if update_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert path.exists(), f"{path} is missing; run with --update-golden and review it"
        assert content.decode().splitlines() == path.read_text(encoding="utf-8").splitlines()

    return check


@pytest.fixture(scope="session")
def unpacked():
    """Function that reads a shard as the page does."""

    def read(content: bytes):
        packed = re.fullmatch(rb'evalkitShard\("[^"]+","([^"]*)"\)\n', content)[1]
        return json.loads(zlib.decompress(base64.b64decode(packed), -zlib.MAX_WBITS))

    return read
