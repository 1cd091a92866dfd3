"""Where a remote provider is, and whose key a call bears; apart from the client, whose import costs a cold start."""

from collections.abc import Mapping
from dataclasses import dataclass, field
import re
from typing import Final

HEADER_KEY: Final = re.compile(r"[\x21-\x7e]{1,4096}")  # what a header can carry: RFC 9110, 5.5, without spaces


@dataclass(frozen=True, slots=True)
class Remote:
    """`timeout` bounds each wait for bytes, `connect_timeout` the connection, in seconds.

    `tls_verify` is False, True (the system's authorities) or the path of a CA bundle. Calls above `max_connections`,
    if it is not 0, wait.
    """

    provider_id: str
    base_url: str
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = 60.0
    connect_timeout: float = 5.0
    tls_verify: bool | str = True
    max_connections: int = 0


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose key a call bears; `source` says where a caller gave its own, and is empty for the operator's.

    Never in a client's defaults: what one call bears must not be borne by the next.
    """

    key: str = field(default="", repr=False)
    source: str = ""

    def headers(self, forms: Mapping[str, str]) -> dict[str, str]:
        """`forms` with the key in the place of `{key}`; without a key, only those that have no such place."""
        return {
            name: form.replace("{key}", self.key) for name, form in forms.items() if self.key or "{key}" not in form
        }
