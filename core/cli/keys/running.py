"""Whether a stack that runs on the run config's port takes the keys of its store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
import ssl
from typing import TYPE_CHECKING, Final

from core.config.places import Value, to_mapping

if TYPE_CHECKING:
    from core.stores.registry.port import RegistryStore

PORT: Final = 8321
SECONDS: Final = 2.0  # to answer; the key is made already
PROBE_SECONDS: Final = 60
EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
OK: Final = 200
UNAUTHENTICATED: Final = 401
ROUTE: Final = "/v1/inspect/routes"  # every stack has it, asks who calls, and asks no provider
OPEN: Final = (
    "it lets everybody in without a key, so it was started with another run config, or before this one was changed"
)
ELSEWHERE: Final = (
    "it does not know the keys of this store, so it uses another: look at its run config and its variables"
)

type Call = Callable[[str], int | None]


def address_of(document: Value) -> "tuple[str, Call]":
    """Where the stack would be, as people write it, and what calls it with a key: the answer's status, None without one."""
    server = to_mapping(to_mapping(document).get("server"))
    host, port, certificate = (server.get(name) for name in ("host", "port", "tls_certfile"))
    host = EVERYWHERE.get(str(host or ""), str(host))
    port = port if isinstance(port, int) and port else PORT
    url = f"http{'s' if certificate else ''}://{f'[{host}]' if ':' in host else host}:{port}"
    return url, lambda key: _status(host, port, str(certificate or ""), key)


def _status(host: str, port: int, certificate: str, key: str) -> int | None:
    try:
        if certificate:
            context = ssl.create_default_context(cafile=certificate)
            context.check_hostname = False  # it is made for the name that others call
            connection: HTTPConnection = HTTPSConnection(host, port, timeout=SECONDS, context=context)
        else:
            connection = HTTPConnection(host, port, timeout=SECONDS)
        try:
            connection.request("GET", ROUTE, headers={"authorization": f"Bearer {key}"} if key else {})
            return connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException):
        return None


async def warning_of(store: "RegistryStore", call: Call) -> str:
    """What is wrong with the stack that answers; empty where it takes the store's keys, or none answers.

    It is asked with a key of its own, without roles, that is removed at once and in no audit trail: whoever listens there learns no other.
    """
    from core.stores.registry.codec import PROBE
    from core.stores.registry.key_format import KIND, USE, issue

    without = call("")
    if without != UNAUTHENTICATED:
        return OPEN if without == OK else ""
    now = int(datetime.now(UTC).timestamp())
    token, resource = issue("probe of llambda keys create", [], expires=now + PROBE_SECONDS, now=now)
    await store.create(replace(resource, attributes={**resource.attributes, PROBE: True}))
    try:
        return ELSEWHERE if call(token) == UNAUTHENTICATED else ""
    finally:
        await store.delete(KIND, resource.identifier)
        await store.delete(USE, resource.identifier)
