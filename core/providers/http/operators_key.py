"""The operator's key, which may be a secret by reference: revealed for each call, and once more where it was replaced."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.errors import UpstreamFailed
from core.platform.secrets import is_reference, parse, renew, reveal
from core.providers.http.remote import HEADER_KEY, Credentials


async def call_with_key[Answer](credentials: Credentials, call: Callable[[Credentials], Awaitable[Answer]]) -> Answer:
    """What `call` returns; where it was refused with a key that has been replaced since, it is made once more.

    A caller's own key, which has a `source`, is what it is: callers must not have the stack's secrets read.

    Raises:
        SecretUnavailable: there is no such secret, or it cannot be read; says which.
    """
    if credentials.source or not is_reference(credentials.key):
        return await call(credentials)
    key = await reveal(credentials.key)
    try:
        return await call(_bearing(credentials, key))
    except UpstreamFailed as refusal:
        new = await renew(credentials.key, key) if refusal.unauthorized else None
        if new is None:
            raise
    return await call(_bearing(credentials, new))


def _bearing(credentials: Credentials, key: str) -> Credentials:
    if not HEADER_KEY.fullmatch(key):
        place = parse(credentials.key).place
        raise place.unavailable("has a space or another character that a header cannot carry", final=True)
    return replace(credentials, key=key)
