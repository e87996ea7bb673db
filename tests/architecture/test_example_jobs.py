"""The ready jobs: valid for who runs them, and true to the command line."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
import yaml
from jsonschema import Draft202012Validator

from evalkit.cli.main import COMMANDS, cli

EXAMPLES = Path(__file__).parents[2] / "examples"
GITHUB = EXAMPLES / "ci" / "github-actions.yml"
CRONJOB = EXAMPLES / "kubernetes" / "cronjob.yaml"
UNITS = sorted((EXAMPLES / "systemd").iterdir())
JOBS = [GITHUB, EXAMPLES / "ci" / "gitlab-ci.yml", CRONJOB, *UNITS]


def checked(*arguments):
    """Run the checker with a schema it brings along; nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_github_takes_the_workflow():
    """By GitHub's own schema."""
    done = checked("--builtin-schema", "vendor.github-workflows", GITHUB)
    assert done.returncode == 0, done.stdout


def test_gitlab_takes_the_pipeline():
    """By GitLab's own schema."""
    done = checked("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", JOBS[1])
    assert done.returncode == 0, done.stdout


def test_the_checker_refuses_nonsense(tmp_path):
    """A schema that lets everything through would check nothing."""
    broken = tmp_path / "x.yml"
    broken.write_text(GITHUB.read_text().replace("runs-on:", "runs-in:"))
    assert checked("--builtin-schema", "vendor.github-workflows", broken).returncode == 1


def commands_in(path):
    """Yield the evalkit command lines of a job, as words."""
    text = "\n".join(line.partition("#")[0] if line.lstrip().startswith("#") else line
                     for line in path.read_text().splitlines())  # fmt: skip
    text = re.sub(r"args: \[(.*)\]", lambda found: found[1].replace(",", ""), text)
    for found in re.finditer(r"\bevalkit ((?:nightly|canary|history|baseline|merge|decide|run)\b[^>|;&\n]*)", text):
        yield shlex.split(found[1])


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_commands_are_those_of_the_command_line(path):
    """Every command, group and option in a job exists."""
    if path.suffix == ".timer":
        assert path.with_suffix(".service").exists()
        return
    lines = [*commands_in(path)]
    assert lines
    for name, *words in lines:
        command = cli.get_command(click.Context(cli), name)
        assert name in COMMANDS
        if isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        options = {spelling for option in command.params for spelling in option.opts}
        assert not [word for word in words if word.startswith("-") and word not in options], (name, words)


def test_systemd_takes_the_units():
    """By systemd itself where it is, and always by what a oneshot job needs."""
    for unit in UNITS:
        parsed = ConfigParser(strict=True, interpolation=None)
        parsed.optionxform = str
        parsed.read_string(unit.read_text())
        if unit.suffix == ".timer":
            assert parsed["Install"]["WantedBy"] == "timers.target"
            assert parsed["Timer"]["OnCalendar"]
        else:
            assert parsed["Service"]["Type"] == "oneshot"
            assert parsed["Service"]["SuccessExitStatus"] == "1 3"
            assert parsed["Service"]["ExecStart"].startswith("/")
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, UNITS)], capture_output=True, text=True, check=False
        )
        ours = [line for line in done.stderr.splitlines() if "evalkit-" in line]
        assert not ours
    for unit in UNITS:
        assert not re.search(r"(?i)key\s*=\s*\S", unit.read_text())


def strict(properties, *required):
    """Return a schema of an object that takes these keys and no others."""
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


TEXT, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
NAMED = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
CONTAINER = strict(
    {
        "name": NAMED, "image": TEXT, "args": {"type": "array", "items": TEXT}, "workingDir": TEXT,
        "env": {"type": "array", "items": strict({"name": TEXT, "value": TEXT}, "name", "value")},
        "envFrom": {"type": "array", "items": strict({"secretRef": strict({"name": NAMED}, "name")}, "secretRef")},
        "resources": strict({"requests": TEXTS, "limits": TEXTS}),
        "securityContext": strict({"allowPrivilegeEscalation": {"const": False},
                                   "capabilities": strict({"drop": {"const": ["ALL"]}})}),
        "volumeMounts": {"type": "array",
                         "items": strict({"name": NAMED, "mountPath": TEXT, "subPath": TEXT}, "name", "mountPath")},
    },
    "name", "image",
)  # fmt: skip
POD = strict(
    {
        "restartPolicy": {"enum": ["Never", "OnFailure"]},
        "automountServiceAccountToken": FLAG,
        "securityContext": strict({"runAsNonRoot": FLAG, "runAsUser": COUNT, "fsGroup": COUNT,
                                   "seccompProfile": strict({"type": TEXT})}),
        "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
        "volumes": {"type": "array", "items": strict({"name": NAMED, "persistentVolumeClaim":
                                                      strict({"claimName": NAMED}, "claimName")}, "name")},
    },
    "containers", "restartPolicy",
)  # fmt: skip
RULE = strict(
    {
        "action": {"enum": ["FailJob", "Ignore", "Count"]},
        "onExitCodes": strict({"containerName": NAMED, "operator": {"enum": ["In", "NotIn"]},
                               "values": {"type": "array", "items": {"type": "integer", "minimum": 1}}}),
        "onPodConditions": {"type": "array", "items": strict({"type": TEXT, "status": TEXT}, "type")},
    },
    "action",
)  # fmt: skip
JOB = strict(
    {
        "backoffLimit": COUNT, "activeDeadlineSeconds": COUNT,
        "podFailurePolicy": strict({"rules": {"type": "array", "items": RULE}}, "rules"),
        "template": strict({"metadata": strict({"labels": TEXTS}), "spec": POD}, "spec"),
    },
    "template",
)  # fmt: skip
CRON = strict(
    {
        "apiVersion": {"const": "batch/v1"}, "kind": {"const": "CronJob"},
        "metadata": strict({"name": NAMED, "labels": TEXTS}, "name"),
        "spec": strict(
            {
                "schedule": {"type": "string", "pattern": r"^\S+ \S+ \S+ \S+ \S+$"}, "timeZone": TEXT,
                "concurrencyPolicy": {"const": "Forbid"}, "startingDeadlineSeconds": COUNT,
                "successfulJobsHistoryLimit": COUNT, "failedJobsHistoryLimit": COUNT,
                "jobTemplate": strict({"spec": JOB}, "spec"),
            },
            "schedule", "jobTemplate",
        ),
    },
    "apiVersion", "kind", "metadata", "spec",
)  # fmt: skip


def test_kubernetes_takes_the_cronjob():
    """By the part of batch/v1 it uses: no key is misspelt, and mounts name volumes that are there."""
    document = yaml.safe_load(CRONJOB.read_text())
    assert [f"{error.json_path}: {error.message}" for error in Draft202012Validator(CRON).iter_errors(document)] == []
    pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert container["args"][:2] == ["evalkit", "nightly"]


def jq_program():
    """Return the program that makes annotations of the summary."""
    (found,) = re.findall(r"jq -r '(.*?)'", GITHUB.read_text(), re.DOTALL)
    return found


@pytest.mark.parametrize(("n_lost", "n_other"), [(0, 0), (3, 2), (10, 10), (40, 25)])
def test_annotations_stay_within_githubs_limits(n_lost, n_other):
    """At most ten errors and ten warnings, the losses by name, and what is not shown counted."""
    if not shutil.which("jq"):
        pytest.skip("no jq here; GitHub's runners have it")
    changes = [
        {"task": f"t{n}", "model": f"m{n}", "before": "eligible", "after": "ineligible", "codes": ["gate_failed"],
         "is_loss": n < n_lost}
        for n in range(n_lost + n_other)
    ]  # fmt: skip
    done = subprocess.run(
        ["jq", "-r", jq_program()], input=json.dumps({"changes": changes}), capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    errors = [line for line in lines if line.startswith("::error ")]
    warnings = [line for line in lines if line.startswith("::warning ")]
    assert (len(errors), len(warnings)) == (min(n_lost, 10), min(n_other, 10))
    assert len(lines) == len(errors) + len(warnings)
    shown = sum("more" not in line for line in errors) + sum(
        int(n) for line in errors for n in re.findall(r"(\d+) more", line)
    )
    assert shown == n_lost
