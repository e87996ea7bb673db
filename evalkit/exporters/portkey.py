"""Portkey's open-source gateway: one conditional config without a default, and the nginx in front that makes it count.

The gateway does what the headers of each request say, so the config alone denies nothing: whoever can reach the gateway
can send another. The nginx in front passes on no header of the caller's but the task, and sets the config itself.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from evalkit.exporters.remarks import commented, notes_file, unsaid_beside_order
from evalkit.exporters.routing import routing_from_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evalkit.exporters.routing import Hop, Routing, TaskRoute
    from evalkit.plugins import Exporter

__all__ = ["build"]

_LISTEN, _UPSTREAM = "EVALKIT_PORTKEY_LISTEN", "EVALKIT_PORTKEY_URL"
_MAX_PART = 3000
"""Letters of a config in one string of nginx, which takes 4,096 with its quotes and escapes."""
_NGINX = """\
# Fill in the variables of portkey.env.example, and only those, then include the result in nginx's `http` block:
#   envsubst '{variables}' < nginx.conf.example > /etc/nginx/conf.d/evalkit.conf
# Let nobody but nginx reach the gateway, and authenticate callers here: Portkey does not.

# The task, as the router contract names it: x-evalkit-task, else metadata.task.
map $http_x_portkey_metadata $evalkit_task_of_metadata {{
    default "";
    '~"task"\\s*:\\s*"(?<evalkit_named>[A-Za-z0-9._:@+-]+)"' $evalkit_named;
}}
map $http_x_evalkit_task $evalkit_task {{
    default $http_x_evalkit_task;
    "" $evalkit_task_of_metadata;
}}
# Each task's own config, in parts: nginx limits the length of a string.
{maps}
server {{
    listen ${{{listen}}};
    default_type application/json;

    location = /v1/chat/completions {{
        if ($evalkit_portkey_config_0 = "") {{
            return 403 '{{"error":{{"message":"no model may serve this task","code":"evalkit_ineligible"}}}}';
        }}
        # Any other method, and the path in any other spelling, Portkey would pass on to the provider with its key.
        limit_except POST {{
            deny all;
        }}
        set $args "";
        proxy_pass ${{{upstream}}}/v1/chat/completions;
        # No header of the caller's: x-portkey-custom-host alone would send the provider's key where it says.
        proxy_pass_request_headers off;
        proxy_set_header Content-Type application/json;
        proxy_set_header x-portkey-metadata '{{"task":"$evalkit_task"}}';
        proxy_set_header x-portkey-config "{parts}";
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_next_upstream off;
        proxy_read_timeout {patience_s}s;
        client_max_body_size 64m;
    }}

    location / {{
        return 403;
    }}
}}
"""
_HEADERS = """\
# What a request to Portkey carries. Fill in the variables first: envsubst '{variables}' < config.json
x-portkey-config: {config}
x-portkey-metadata: {{"task":"{task}"}}
"""


def build() -> Exporter:
    """Return the exporter."""
    return _Portkey()


class _Portkey:
    def export(self, document: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield `portkey/config.json`, `headers.example`, `nginx.conf.example`, `portkey.env.example`, `notes.txt`."""
        routing = routing_from_document(document)
        routing.require_one_host()
        routing.require_own_keys()
        routing.require_distinct()
        config = _config(routing.tasks)
        keys = tuple(dict.fromkeys(hop.api_key_env for hop in routing.hops))
        notes = tuple(_notes(routing))
        head = commented((*routing.provenance, *notes))
        variables = "".join(f"{name}=\n" for name in (_LISTEN, _UPSTREAM, *keys))
        yield "portkey/config.json", f"{_to_fill_in(config, indent=2)}\n".encode()
        yield "portkey/headers.example", (head + _headers(routing, config, keys=keys)).encode()
        yield "portkey/nginx.conf.example", (head + _nginx(routing, keys)).encode()
        yield "portkey/portkey.env.example", (head + variables).encode()
        yield "portkey/notes.txt", notes_file(routing, notes)


def _config(tasks: Sequence[TaskRoute]) -> dict[str, Any]:
    # No `default`: a task without a condition is refused by the gateway itself, without a call.
    conditions = [{"query": {"metadata.task": {"$eq": task.task}}, "then": task.task} for task in tasks]
    return {
        "strategy": {"mode": "conditional", "conditions": conditions},
        "targets": [_task(task) for task in tasks],
    }


def _task(task: TaskRoute) -> dict[str, Any]:
    return {
        "name": task.task,
        # Without the list every status but 2xx would ask the next one, a rejected request too.
        "strategy": {"mode": "fallback", "on_status_codes": [*task.switch_statuses]},
        "targets": [_target(task, hop) for hop in task.hops],
    }


def _target(task: TaskRoute, hop: Hop) -> dict[str, Any]:
    retries = task.failover.retries if task.retry_statuses else 0
    target: dict[str, Any] = {
        "name": hop.model_id,
        "provider": hop.provider_kind,
        "api_key": f"${{{hop.api_key_env}}}",
        "override_params": {**hop.adapt.get("extra_body", {}), "model": hop.upstream},
        "retry": {"attempts": retries, "on_status_codes": [*task.retry_statuses]},
        "request_timeout": round(task.failover.upstream_timeout_s * 1000),
    }
    if hop.terms.api_base is not None:
        target["custom_host"] = hop.terms.api_base
    return target


def _to_fill_in(config: dict[str, Any], *, indent: int | None = None) -> str:
    r"""Return JSON in which only `"api_key": "${…}"` is to be filled in: every other `$` is written `\u0024`.

    Filling in must not eat `$eq`, and nginx must not take it for a variable of its own.
    """
    text = json.dumps(config, indent=indent, separators=None if indent else (",", ":"))
    return re.sub(r'("api_key": ?")\\u0024', r"\1$", text.replace("$", "\\u0024"))


def _nginx(routing: Routing, keys: tuple[str, ...]) -> str:
    parts = {task.task: _parts(_to_fill_in(_config([task]))) for task in routing.tasks}
    n_parts = max((len(found) for found in parts.values()), default=1)
    return _NGINX.format(
        variables=_variables((_LISTEN, _UPSTREAM, *keys)),
        maps="".join(_map(number, parts) for number in range(n_parts)),
        parts="".join(f"${{evalkit_portkey_config_{number}}}" for number in range(n_parts)),
        listen=_LISTEN,
        upstream=_UPSTREAM,
        patience_s=max((round(task.failover.client_timeout_s) for task in routing.tasks), default=60),
    )


def _parts(line: str) -> tuple[str, ...]:
    """Cut a config where no escape and no variable is cut: in front of a quote."""
    parts = [""]
    for piece in re.split(r'(?=")', line):
        if len(parts[-1]) + len(piece) > _MAX_PART:
            parts.append("")
        parts[-1] += piece
    return tuple(parts)


def _map(number: int, parts: Mapping[str, tuple[str, ...]]) -> str:
    # By pattern, because nginx compares plain keys without regard to capitals.
    rows = "".join(
        f'    "~^{re.escape(task)}$" {_quoted(found[number])};\n'
        for task, found in parts.items()
        if number < len(found)
    )
    return f'map $evalkit_task $evalkit_portkey_config_{number} {{\n    default "";\n{rows}}}\n'


def _quoted(text: str) -> str:
    """Return a string of nginx: a backslash hides the sign after it, and a quote ends the string."""
    return "'" + text.replace("'", "\\u0027").replace("\\", "\\\\") + "'"


def _headers(routing: Routing, config: dict[str, Any], *, keys: tuple[str, ...]) -> str:
    task = routing.tasks[0].task if routing.tasks else "TASK"
    return _HEADERS.format(variables=_variables(keys), config=_to_fill_in(config), task=task)


def _variables(names: tuple[str, ...]) -> str:
    return " ".join(f"${{{name}}}" for name in names)


def _notes(routing: Routing) -> Iterator[str]:
    """Say what Portkey does not hold."""
    yield from unsaid_beside_order(routing)
    if any(len(task.hops) > 1 for task in routing.tasks):
        yield "Portkey goes on by status only: not after an overflow, and not when no connection comes about"
