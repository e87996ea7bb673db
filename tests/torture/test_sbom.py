"""The bill of materials names what is pinned, and nothing of the machine it was made on."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sbom():
    """Return the module; it is a script beside the package."""
    spec = importlib.util.spec_from_file_location("evalkit_sbom", ROOT / "tools" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bill_is_what_is_pinned(sbom):
    """Every pinned package with its version and all its hashes, and no other."""
    bill = sbom.bill()
    listed = {part["purl"] for part in bill["components"]}
    assert listed == {f"pkg:pypi/{name}@{version}" for name, (version, _) in sbom.pinned().items()}
    assert all(part["externalReferences"][0]["hashes"] for part in bill["components"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")


def test_dependencies_lead_to_what_is_listed(sbom):
    """Every reference is one of the bill's own, and evalkit needs what its metadata says."""
    bill = sbom.bill()
    refs = {part["bom-ref"] for part in (*bill["components"], bill["metadata"]["component"])}
    found = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert set(found) == refs
    assert {ref for needed in found.values() for ref in needed} <= refs
    assert any(ref.startswith("pkg:pypi/httpx@") for ref in found[bill["metadata"]["component"]["bom-ref"]])


def test_it_is_the_same_anywhere(tmp_path):
    """Two calls write the same bytes, and no path of this machine."""
    texts = []
    for name in ("one.json", "two.json"):
        command = [sys.executable, str(ROOT / "tools" / "sbom.py"), str(tmp_path / name)]
        subprocess.run(command, check=True)
        texts.append((tmp_path / name).read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert str(ROOT) not in texts[0]
    json.loads(texts[0])
