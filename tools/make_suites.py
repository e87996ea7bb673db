"""Write the cases of the starter suites. Seeded: the committed files are what this script writes.

Everything is invented here, so that no model can have seen an answer before.

    python tools/make_suites.py [ROOT]
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The writers of each suite stand beside this script; it runs as a file, not as a package.
sys.path.insert(0, str(Path(__file__).parent))

from suite_formats import format_cases
from suite_haystacks import haystack_cases
from suite_instructions import instruction_cases
from suite_invoices import invoice_cases
from suite_policies import policy_cases
from suite_refusals import refusal_cases
from suite_summaries import summary_cases
from suite_tickets import ticket_cases
from suite_tools import tool_cases

if TYPE_CHECKING:
    from collections.abc import Iterable

SEED = 20261122
N_INVOICES = 180
N_TICKETS = 330
N_POLICIES = 180
N_INSTRUCTIONS = 180
N_HAYSTACKS = 180
N_FORMATS = 250
N_SUMMARIES = 180


def rendered(cases: Iterable[dict[str, Any]]) -> str:
    """Return cases as JSON Lines, one a line, keys in the order they were written."""
    return "".join(json.dumps(case, ensure_ascii=False, separators=(", ", ": ")) + "\n" for case in cases)


def all_files() -> dict[str, str]:
    """Return the path of every generated file, relative to the repository, with its text."""
    return {
        "suites/invoice-extraction/cases.jsonl": rendered(invoice_cases(random.Random(SEED), n_cases=N_INVOICES)),
        "suites/ticket-triage/cases.jsonl": rendered(ticket_cases(random.Random(SEED + 1), n_cases=N_TICKETS)),
        "suites/policy-qa/cases.jsonl": rendered(policy_cases(random.Random(SEED + 2), n_cases=N_POLICIES)),
        "suites/tool-calling/cases.jsonl": rendered(tool_cases(random.Random(SEED + 3))),
        "suites/instruction-following/cases.jsonl": rendered(
            instruction_cases(random.Random(SEED + 4), n_clusters=N_INSTRUCTIONS)
        ),
        "suites/refusal/cases.jsonl": rendered(refusal_cases(random.Random(SEED + 5))),
        "suites/long-context/cases.jsonl": rendered(haystack_cases(random.Random(SEED + 6), n_cases=N_HAYSTACKS)),
        "suites/multilingual-format/cases.jsonl": rendered(format_cases(random.Random(SEED + 7), n_cases=N_FORMATS)),
        "suites/summarisation/cases.jsonl": rendered(summary_cases(random.Random(SEED + 8), n_cases=N_SUMMARIES)),
    }


def main(arguments: list[str]) -> int:
    """Write all files below the given root, or the repository's."""
    root = Path(arguments[0]) if arguments else Path(__file__).parents[1]
    for name, text in all_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"{path}: {text.count(chr(10))} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
