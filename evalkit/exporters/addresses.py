"""Where a provider is reached, taken apart as targets want it that are told host, port and path one by one."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from evalkit.errors import InputError

if TYPE_CHECKING:
    from evalkit.exporters.routing import Hop

__all__ = ["Address", "address_of"]

_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A provider's `api_base` in parts."""

    is_tls: bool
    hostname: str
    """A DNS name in small letters, or an IP address without brackets."""
    port: int
    path: str
    """Without a slash at the end, such as `/v1`; may be empty."""

    @property
    def is_ip(self) -> bool:
        """Whether the host is a number."""
        try:
            ipaddress.ip_address(self.hostname)
        except ValueError:
            return False
        return True

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path; the port only where it is not the scheme's own."""
        scheme = "https" if self.is_tls else "http"
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{scheme}://{host}" if self.port == _PORTS[scheme] else f"{scheme}://{host}:{self.port}"


def address_of(hop: Hop) -> Address | None:
    """Return where a hop's provider is reached, or None where the policy leaves it to the gateway.

    Raises:
        InputError: for an address no gateway could use.
    """
    if hop.terms.api_base is None:
        return None
    try:
        parts = urlsplit(hop.terms.api_base)
        address = _address(parts)
    except ValueError:
        address = None
    if address is None:
        raise InputError(
            f"the api_base {hop.terms.api_base!r} of provider {hop.provider_name!r} is no plain address",
            next_step="write scheme, host and path under `providers` in the policy, such as https://api.example.com/v1",
        )
    return address


def _address(parts: SplitResult) -> Address | None:
    host = parts.hostname or ""
    address = Address(
        is_tls=parts.scheme == "https",
        hostname=host,
        port=parts.port or _PORTS[parts.scheme],
        path=parts.path.rstrip("/"),
    )
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password)
    return address if is_plain and (address.is_ip or _HOSTNAME.fullmatch(host)) else None
