"""The simulator as a process of its own: `python -m evalkit.simulator`.

The answer book comes as one line of JSON on standard input, which then stays open: when it closes, the process ends.
So a parent that is killed, however suddenly, leaves no server behind. The first line of standard output says where
it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

from evalkit.errors import InputError
from evalkit.simulator.book import AnswerBook
from evalkit.simulator.options import ServerOptions
from evalkit.simulator.server import run_server

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until standard input closes; return the exit code."""
    options = _options(arguments)
    try:
        book = AnswerBook.from_json(sys.stdin.buffer.readline() or b"[]")
        # A process of its own has its own loop; evalkit.api is in another process.
        asyncio.run(_serve(book, options))  # noqa: TID251
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _options(arguments: Sequence[str] | None) -> ServerOptions:
    parser = argparse.ArgumentParser(prog="python -m evalkit.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--time-scale", type=float, default=0.0, help="factor on service times and retry hints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key", default=None, help="requests without this bearer token get a 401")
    parser.add_argument("--down", action="append", default=[], help="a route that answers 503; may be repeated")
    given = parser.parse_args(arguments)
    return ServerOptions(
        host=given.host,
        port=given.port,
        time_scale=given.time_scale,
        seed=given.seed,
        key=given.key,
        down=tuple(given.down),
    )


async def _serve(book: AnswerBook, options: ServerOptions) -> None:
    stop = asyncio.Event()
    _stop_at_end_of_input(asyncio.get_running_loop(), stop)
    await run_server(book, options, on_ready=_announce, stop=stop)


def _announce(base_url: str) -> None:
    sys.stdout.write(json.dumps({"base_url": base_url}) + "\n")
    sys.stdout.flush()


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Watch standard input from a thread: a pipe cannot be awaited on every platform."""
    # By its number: a daemon thread that holds the lock of a buffered reader makes the interpreter abort at its end.
    descriptor = sys.stdin.fileno()

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended before the input did
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
