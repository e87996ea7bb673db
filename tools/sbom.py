"""Writes a software bill of materials: CycloneDX 1.5 JSON of evalkit and what it needs at run time, as installed.

From the metadata of the environment alone: no network, and the hashes are those that `requirements/run.txt` pins, so
the bill names exactly what `pip install --require-hashes` accepts. Same environment, same bytes: it carries no time.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
NAME = "gateway-evalkit"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def pinned() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return name to version and SHA-256 hashes of everything that is pinned for run time."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    name = ""
    for line in (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8").splitlines():
        pin = _PIN.match(line)
        if pin:
            name = _plain(pin[1])
            found[name] = (pin[2], ())
        for digest in _HASH.findall(line):
            version, hashes = found[name]
            found[name] = (version, (*hashes, digest))
    return found


def _plain(name: str) -> str:
    """Return a distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bill() -> dict[str, Any]:
    """Return the document."""
    pins = pinned()
    own = distribution(NAME)
    other = [name for name, (version, _) in pins.items() if distribution(name).version != version]
    if other:
        sys.exit(f"installed in another version than is pinned: {', '.join(other)}; make setup puts it right")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**_component(own), "type": "application"}},
        "components": [_component(distribution(name), hashes=pins[name][1]) for name in sorted(pins)],
        "dependencies": [
            {
                "ref": _purl(found),
                "dependsOn": sorted(_purl(distribution(name)) for name in _needs(found) if name in pins),
            }
            for found in (own, *(distribution(name) for name in sorted(pins)))
        ],
    }


def _component(found: Distribution, *, hashes: tuple[str, ...] = ()) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(found),
        "name": found.metadata["Name"],
        "version": found.version,
        "purl": _purl(found),
    }
    licence = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    if licence:
        # Some packages put the whole text there: its first line is its name.
        component["licenses"] = [{"license": {"name": licence.strip().splitlines()[0][:100]}}]
    if hashes:
        # One for each file of the release that pip may install: wheels of every platform, and the source.
        component["externalReferences"] = [
            {"type": "distribution", "url": f"https://pypi.org/project/{found.metadata['Name']}/{found.version}/",
             "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes]}
        ]  # fmt: skip
    return component


def _purl(found: Distribution) -> str:
    return f"pkg:pypi/{_plain(found.metadata['Name'])}@{found.version}"


def _needs(found: Distribution) -> Iterator[str]:
    for requirement in found.requires or ():
        head, _, marker = requirement.partition(";")
        name = re.match(r"[A-Za-z0-9._-]+", head)
        if name and "extra ==" not in marker:
            yield _plain(name[0])


def main() -> None:
    """Write the bill to the path that is given, else to standard output."""
    text = json.dumps(bill(), indent=2, ensure_ascii=False) + "\n"
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
