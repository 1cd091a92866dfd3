"""Where a remote provider is, and whose key a call bears; apart from the client, whose import costs a cold start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.config.answer_limits import AnswerLimits


@dataclass(frozen=True, slots=True)
class Remote:
    """`base_url` may have a query, which every request carries, and a name and password, which are sent where no key is.

    `timeout` bounds each wait for bytes, `connect_timeout` the connection, in seconds; `limits` what is taken of an answer.

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
    limits: AnswerLimits = field(default_factory=AnswerLimits)


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
