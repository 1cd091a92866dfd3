"""What a caller is given to keep, sealed for it alone: another's, or what was changed, does not open."""

from typing import Final

from core.apis.sealing import DataKey, DataKeys, HasDataKeys
from core.frame.callers import Call, principal_of
from core.services.parts import Parts
from core.services.sealing.envelope import MOST_SEALED, Broken, Envelope, seal
from core.services.sealing.state_key import NAME_BYTES, StateKey

MOST_CONTENT: Final = MOST_SEALED // 2
"""Bytes that are sealed at most."""


class Sealer:
    """Of one caller; the `keys` are the stack's. What is sealed for a `purpose` opens for that alone."""

    def __init__(self, keys: DataKeys, call: Call | None, purpose: str = "") -> None:
        principal = principal_of(call)
        self._keys = keys
        self._owner = "" if principal is None else principal.identity
        self._reader = f"{self._owner}\0{purpose}" if purpose else self._owner

    async def seal(self, content: bytes) -> str:
        """Raises ApiError where no key can be had."""
        return seal(content, await self._keys.make(self._owner), self._reader)

    async def unseal(self, text: str) -> bytes:
        """Raises Broken, and ApiError where no key can be had."""
        envelope = Envelope.read(text)
        secret = await self._keys.open(envelope.name, self._owner)
        if secret is None:
            raise Broken
        return envelope.open(secret, self._reader)


class StateKeyBehind:
    """Keys of a provider, and the key that the stack had before it was given them: what is sealed with that still opens."""

    def __init__(self, keys: DataKeys, state_key: StateKey) -> None:
        self._keys = keys
        self._state_key = state_key

    async def make(self, owner: str) -> DataKey:
        return await self._keys.make(owner)

    async def open(self, name: bytes, owner: str) -> bytes | None:
        is_of_state = len(name) == NAME_BYTES  # those of KMS are longer
        return await (self._state_key if is_of_state else self._keys).open(name, owner)


def keys_of(parts: Parts, api: str) -> DataKeys:
    """Those of the API's first provider that has some, or else the one in the stack's state; made once for a stack."""
    state_key = StateKey(parts)
    for provider in parts.providers(api).values():
        if isinstance(provider, HasDataKeys) and (keys := provider.data_keys()) is not None:
            return StateKeyBehind(keys, state_key)
    return state_key
