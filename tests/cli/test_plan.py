"""`evalkit plan`: what a run would send and cost; spends nothing."""

from __future__ import annotations

import pytest


def test_sums_up_the_calls(evalkit, shop):
    """Every suite and model has a row, and the title the whole cost."""
    said = evalkit.on(shop)("plan")

    assert said.code == 0
    assert "120 calls, about USD" in said.out
    assert said.out.count("alpha") == 2
    assert said.err == ""


def test_json(evalkit, shop):
    """Cells and digest come as one document; power only when asked for."""
    document = evalkit.on(shop)("plan", "--json").document

    assert document["calls"] == 120
    assert len(document["cells"]) == 4
    assert document["digest"].startswith("sha256:")
    assert document["power"] == []


def test_power(evalkit, shop):
    """--power tells for every gate how likely good models pass it."""
    assert "failures allowed" in evalkit.on(shop)("plan", "--power").out
    powers = evalkit.on(shop)("plan", "--power", "--json").document["power"]
    assert {power["metric"] for power in powers} == {"exact", "json_schema", "fields"}


def test_selection(evalkit, shop):
    """Suites, models, tags, cases and counts narrow what is planned."""
    planned = evalkit.on(shop)("plan", "greeting", "--model", "alpha", "--tag", "even", "-n", "3", "--json")

    assert planned.document["calls"] == 3
    assert evalkit.on(shop)("plan", "--case", "f1", "--trials", "4", "--json").document["calls"] == 8


@pytest.mark.parametrize(
    ("arguments", "problem", "next_step"),
    [
        (["greet"], "no suite is named 'greet'", "one of: colour, greeting"),
        (["--model", "gamma"], "no model is named 'gamma'", "one of: alpha, beta"),
        (["--tag", "odd"], "no tag is named 'odd'", "one of: even"),
        (["--case", "x"], "no case is named 'x'", "one of: f0"),
    ],
    ids=["suite", "model", "tag", "case"],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_unknown_name(evalkit, shop, command, arguments, problem, next_step):
    """A name nobody has is refused before anything is sent, with the names there are."""
    said = evalkit.on(shop)(command, *arguments, "--json")

    assert said.code == 2
    assert said.error["kind"] == "NotFoundError"
    assert said.error["problems"][0]["problem"] == problem
    assert said.error["problems"][0]["next_step"].startswith(next_step)


@pytest.mark.parametrize(
    "arguments", [["-n", "0"], ["--trials", "0"], ["--trials", "x"], ["--seed", str(2**53)], ["--seed", "-1"]]
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_number_out_of_range(evalkit, shop, command, arguments):
    """A number the plan could not use is a usage error."""
    said = evalkit.on(shop)(command, *arguments, "--json")

    assert said.code == 2
    assert said.error["kind"] == "BadParameter"


def test_ids_are_not_markup(evalkit, shop):
    """Square brackets of a model's detail reach the terminal as they are; no style is made of them."""
    shop.replace("roster.yaml", old="{structured: json_schema}", new="{structured: none}")
    shop.replace("suites/greeting/suite.yaml", old="[json_schema, prompted]", new="[json_schema]")

    said = evalkit.on(shop)("plan")

    assert "not asked: alpha on greeting: unsupported_mode" in said.out
    assert "\x1b" not in said.out


def test_pairs_are_counted_apart(evalkit, shop, gateway):
    """Requests to the baseline gateway have columns of their own, and the title counts their money."""
    before = evalkit.on(shop)("plan", "--json").document
    assert before["baseline_calls"] == 0
    shop.use_gateway(gateway())
    pair = f'baseline_gateway: {{kind: openai, base_url: "{gateway()}"}}\n'
    shop.write("evalkit.yaml", shop.text("evalkit.yaml") + pair)

    said = evalkit.on(shop)("plan")

    assert "120 calls and 120 to the baseline gateway, about USD" in said.out
    assert "their USD at most" in said.out
    document = evalkit.on(shop)("plan", "--json").document
    assert (document["calls"], document["baseline_calls"]) == (120, 120)
    assert [cell["usd_at_most"] for cell in document["cells"]] == [cell["usd_at_most"] for cell in before["cells"]]
    assert [cell["direct_usd_at_most"] for cell in document["cells"]] == [
        pytest.approx(cell["usd_at_most"]) for cell in document["cells"]
    ]


def test_perturb(evalkit, shop):
    """What `validate --perturb` would send: every case as it stands, again, and with a line break."""
    document = evalkit.on(shop)("plan", "colour", "--perturb", "--json").document

    assert (document["calls"], document["aside_calls"]) == (180, 180)
    assert {cell["cell"]["suite"] for cell in document["cells"]} == {"colour#plain", "colour#repeat", "colour#newline"}
    assert all(cell["usd_at_most"] > 0 for cell in document["cells"])
    assert evalkit.on(shop)("plan", "--perturb", "--ablate", "modes").code == 2
