"""The `evalkit` command: finds the subcommand, imports it late, and turns errors into messages and exit codes."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import click

from evalkit.errors import ExitCode

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "init": "Write a working project that runs at once on the simulator.",
    "validate": "Check every file and test the suites themselves.",
    "plan": "Show calls, tokens and USD before spending; P(pass) per gate.",
    "preflight": "Find out what the gateway and its models can do, with a few tiny calls.",
    "run": "Measure and decide: plan, record, score, decide.",
    "merge": "Join the parts of a run that several machines made.",
    "score": "Grade stored answers again.",
    "judge": "Hold a judge against answers that people have judged.",
    "import": "Grade answers that were made elsewhere.",
    "compare": "Did a model get worse? Paired, against an earlier run.",
    "baseline": "Say from which run on earlier nights are the baseline.",
    "drift": "Did a level move slowly, over many nights?",
    "noise": "How often would two nights of the same model disagree?",
    "decide": "Turn the store into an eligibility file.",
    "export": "Write an eligibility file as a router's own configuration.",
    "verify": "Check an eligibility file as a router would.",
    "verify-gateway": "Probe a live gateway: does it hold to the file?",
    "serve": "Serve an eligibility file over HTTP.",
    "keygen": "Make a signing key.",
    "report": "Write reports of a run.",
    "nightly": "The scheduled job: measure, decide, publish, export, report, tell.",
    "canary": "A few calls an hour: does somebody else answer, or worse?",
    "runs": "List the runs in the store.",
    "history": "Keep past runs without texts in a small file, and take them back.",
    "prune": "Take old texts and runs out of the store.",
    "simulate": "Serve the embedded gateway on a port.",
}
"""Name to help line. Here, and not in the modules, so that `--help` imports none of them."""

_MODULES = {"import": "import_", "verify-gateway": "verify_gateway"}


class _LateGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a working day."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"evalkit.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help lines without importing the commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LateGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gateway-evalkit", prog_name="evalkit")
def cli() -> None:
    """Decide, with evidence, which models an LLM gateway may route each task to.

    Exit codes: 0 nothing needs a person, 1 something got worse or a check failed, 2 bad input, 3 undecided,
    4 gateway unusable, 70 a bug, 130 interrupted.
    """


def main() -> None:
    """Run the command line and exit with its code."""
    sys.stdout, sys.stderr = _patient(sys.stdout), _patient(sys.stderr)
    # Imports and a project's cases are many objects that last: by default the collector walks them again and again,
    # a sixth of the start and a fifth of a run.
    gc.set_threshold(50_000, 20, 50)
    # A container or a job that is being stopped ends as one that a person interrupts: with everything kept.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` asks for another
            signal.signal(number, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    code = _flushed(_run(sys.argv[1:]))
    # On the way out the interpreter would walk them once more, for a third of a second.
    gc.freeze()
    sys.exit(code)


class _Patient(io.FileIO):
    """An output whose reader may go, as `head` does: the rest is written nowhere, the exit code stays the command's.

    click and rich would end the process with 1, which here says that something got worse.
    """

    def write(self, data: Any, /) -> int:
        """Write, if need be to nobody."""
        try:
            return super().write(data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(data)


def _patient(stream: TextIO | None) -> TextIO:
    """Return the same output, for readers that go and for terminals that cannot show every character."""
    if stream is None:  # closed by who started us
        return Path(os.devnull).open("w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = io.BufferedWriter(_Patient(stream.fileno(), "wb", closefd=False))
    # A character that cannot be shown becomes its escape: it must never cost the answer.
    is_by_line = stream.line_buffering or stream.write_through
    return io.TextIOWrapper(raw, stream.encoding, "backslashreplace", newline="\n", line_buffering=is_by_line)


def _run(arguments: list[str]) -> int:
    try:
        code = cli.main(args=arguments, prog_name="evalkit", standalone_mode=False)
    # The last line of defence: an error nobody named is our bug, and is reported as one.
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        from evalkit.cli._errors import show_error

        # Whoever presses Ctrl-C once more now would only lose the message that says how to go on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return show_error(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else ExitCode.OK


def _flushed(code: int) -> int:
    """Hand over what is still held back; a full disk is an error."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What could not be written is written nowhere: it must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"error: standard output: {error.strerror}\n  next: mend that, then run it again", err=True)
        return ExitCode.USAGE
    return code
