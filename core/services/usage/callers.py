"""The clients that usage is counted of, as callers: `core.quota.identity` says what their names are made of."""

from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from core.services.keys.rules import ISSUER_OF_KEYS

ANONYMOUS: Final = "anonymous"
OF_KEYS: Final = f"user:{ISSUER_OF_KEYS}:"


class Caller(NamedTuple):
    """A principal's id, among those that `vouched_by` vouches for; both as they can be shown."""

    id: str
    vouched_by: str = ""


def caller_of(client: str) -> Caller:
    """Of a name that was too long, and of callers that were erased, the client itself."""
    kind, _, rest = client.partition(":")
    if kind == ANONYMOUS:
        return Caller(ANONYMOUS)
    if kind != "user":
        return Caller(client)
    issuer, _, name = rest.partition(":")
    return Caller(unquote(name, errors="replace"), unquote(issuer, errors="replace"))


def user_of(client: str) -> str:
    """The client, but one for all that nobody vouches for: an address is nobody's name."""
    return ANONYMOUS if client.startswith(f"{ANONYMOUS}:") else client


def key_of(client: str) -> str:
    """The id of its API key; "" for callers without one."""
    return client.removeprefix(OF_KEYS) if client.startswith(OF_KEYS) else ""


def client_of_key(key_id: str) -> str:
    """The client that calls with a key are counted of."""
    return f"{OF_KEYS}{quote(key_id, safe='')}"


def teams_of(text: str) -> frozenset[str]:
    """The teams, as usage has them, joined and quoted."""
    return frozenset(unquote(team, errors="replace") for team in text.split("+") if team)
