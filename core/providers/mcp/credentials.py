"""Whose credentials a call bears: the caller's, and nothing of the operator's beside them; or the operator's, for endpoints of the run config.

Nobody may add a header to the operator's credentials: what a server does for these should not depend on a stranger's word.
docs/adr/0075-mcp-client.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
import os
from typing import Any, Final

from core.apis.tools import ToolAccess, ToolGroup
from core.errors import InvalidRequest
from core.frame.callers import CURRENT_CALL, principal_of
from core.platform.json_values import to_object
from core.providers.mcp.endpoints import headers_for
from core.providers.mcp.headers import bearer, merge, read_headers

HEADERS: Final = "mcp_headers"
OF_DATA: Final = f"the provider data `{HEADERS}`"
OF_CALL: Final = "`authorization` or `headers` of the call"
SALT: Final = os.urandom(16)
"""Digests are of no use to another process, nor to whoever reads one."""
MOST_ENDPOINTS: Final = 64


@dataclass(frozen=True, slots=True)
class CallersCredentials:
    """Headers of the caller's own, which nobody renews; `source` is "" where there are none."""

    source: str = ""
    own: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return ()

    @property
    def confidential(self) -> tuple[str, ...]:
        parts = {part for value in self.own.values() for part in (value, value.rpartition(" ")[2])}
        return tuple(sorted(parts, key=len, reverse=True))

    @property
    def digest(self) -> str:
        """Empty where there are no headers."""
        return digest_of(*(part for item in sorted(self.own.items()) for part in item)) if self.own else ""

    async def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        del method, url, body
        return self.own

    async def renew(self, challenge: str) -> bool:
        del challenge
        return False


def read_data(data: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    """What a caller brings for which endpoints. Raises InvalidRequest."""
    by_uri = data.get(HEADERS)
    if by_uri is None:
        return {}
    entries = to_object(by_uri)
    if len(entries) > MOST_ENDPOINTS or not isinstance(by_uri, dict):
        raise InvalidRequest(
            f"{HEADERS}: must be an object of at most {MOST_ENDPOINTS} endpoints, each with its headers.", param=HEADERS
        )
    return {uri: read_headers(headers, HEADERS) for uri, headers in entries.items()}


def callers_credentials(
    group: ToolGroup, access: ToolAccess, by_uri: Mapping[str, Mapping[str, str]]
) -> CallersCredentials:
    """What the caller brings for this endpoint. Raises InvalidRequest: a header given twice, or one that may not be set."""
    of_data = headers_for(group.endpoint, by_uri)
    of_call = read_headers(dict(access.headers), "headers")
    if any(name.lower() == "authorization" for name in of_call):
        raise InvalidRequest("headers: must have no Authorization; give the token as `authorization`.", param="headers")
    if access.authorization:
        of_call |= bearer(access.authorization)
    source = " and ".join(text for text, headers in ((OF_CALL, of_call), (OF_DATA, of_data)) if headers)
    return CallersCredentials(source, merge(of_data, of_call))


def digest_of(*parts: str) -> str:
    """Of texts, each with its end."""
    digest = blake2b(key=SALT, digest_size=16)
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        digest.update(len(encoded).to_bytes(8) + encoded)
    return digest.hexdigest()


def callers_identity() -> str:
    """The name of who calls, "" for the anonymous caller, and `*` for the stack itself."""
    principal = principal_of(CURRENT_CALL.get())
    return "*" if principal is None else principal.identity
