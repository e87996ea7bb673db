"""The simulator in a process of its own, for as long as a context is open.

Its own process, so that serving does not take time from the loop that measures, and so that the measured wire is a
real one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Self

from evalkit.errors import GatewayUnusableError

if TYPE_CHECKING:
    from types import TracebackType

    from evalkit.simulator.book import AnswerBook
    from evalkit.simulator.options import ServerOptions

__all__ = ["SimulatorProcess"]

_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 5.0
_MAX_COMPLAINT = 500


class SimulatorProcess:
    """Starts the simulator and stops it again; `base_url` is set while the context is open."""

    def __init__(self, book: AnswerBook, options: ServerOptions) -> None:
        self._book = book
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self.base_url = ""
        """Up to and including `/v1`."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        """Start it and wait until it listens.

        Raises:
            GatewayUnusableError: when it does not start.
        """
        self._errors = tempfile.TemporaryFile()
        # The command is this interpreter and our own module; nothing in it comes from a user but numbers.
        self._process = subprocess.Popen(  # noqa: S603
            self._command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        try:
            self.base_url = self._first_words()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its standard input and wait for its end; kill it when it does not come."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close(stream)
        try:
            process.wait(timeout=_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._errors is not None:
            self._errors.close()

    def _command(self) -> list[str]:
        options = self._options
        command = [sys.executable, "-m", "evalkit.simulator", "--host", options.host, "--port", str(options.port)]
        command += ["--seed", str(options.seed), "--time-scale", repr(float(options.time_scale))]
        command += [word for route in options.down for word in ("--down", route)]
        return command if options.key is None else [*command, "--key", options.key]

    def _first_words(self) -> str:
        """Hand over the book and return the address the process answers with."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise GatewayUnusableError("the simulator has no pipes")
        # A child that hangs before its first line is killed, which ends the read below.
        timer = threading.Timer(_START_LIMIT_S, process.kill)
        timer.start()
        try:
            process.stdin.write(self._book.to_json().encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError as error:
            raise GatewayUnusableError(f"the simulator did not start: {self._complaint() or error}") from error
        finally:
            timer.cancel()
        try:
            return str(json.loads(line)["base_url"])
        except (ValueError, KeyError, TypeError) as error:
            raise GatewayUnusableError(f"the simulator did not start: {self._complaint() or line!r}") from error

    def _complaint(self) -> str:
        """Return the end of what it wrote to standard error."""
        if self._process is not None:
            # One that still lives said something else than its address: what it wrote so far has to do.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_STOP_LIMIT_S)
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip()[-_MAX_COMPLAINT:]


def _close(stream: IO[bytes]) -> None:
    # The process may be gone already, and with it the other end of the pipe.
    with contextlib.suppress(OSError):
        stream.close()
