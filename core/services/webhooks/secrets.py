"""The secrets of endpoints as they are kept: sealed, each for one endpoint of one owner."""

from contextlib import suppress
from typing import Final

from core.apis.sealing import DataKeys
from core.services.parts import Parts
from core.services.sealing.envelope import Broken, Envelope, seal
from core.services.sealing.sealer import StateKeyBehind
from core.services.sealing.state_key import KeyPlace, StateKey
from core.services.webhooks.records import EndpointRecord, SealedSecret
from core.services.webhooks.sending import provider_of

PLACE: Final = KeyPlace("webhooks", "webhook_key", "endpoints", "the secrets of webhooks")


class SecretSealer:
    """For the owner of an endpoint, whoever calls; the `keys` are the stack's. All raise ApiError where no key can be had."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    async def seal(self, secret: str, endpoint_id: str, owner: str) -> SealedSecret:
        """`owner` is the list that the endpoint is in."""
        key = await self._keys.make(owner)
        return SealedSecret(seal(secret.encode(), key, _reader(endpoint_id, owner)))

    async def open(self, record: EndpointRecord, endpoint_id: str, owner: str, *, now: float) -> list[str]:
        """Those that sign now, without any whose key is no more."""
        secrets = list[str]()
        for secret in record.signing(now):
            with suppress(Broken):
                envelope = Envelope.read(secret.sealed)
                key = await self._keys.open(envelope.name, owner)
                if key is not None:
                    secrets.append(envelope.open(key, _reader(endpoint_id, owner)).decode())
        return secrets


def sealer_of(parts: Parts) -> SecretSealer:
    """By the keys of the provider, or by the key in the stack's state; made once for a stack."""
    state_key, keys = StateKey(parts, PLACE), provider_of(parts).data_keys()
    return SecretSealer(state_key if keys is None else StateKeyBehind(keys, state_key))


def _reader(endpoint_id: str, owner: str) -> str:
    return f"{owner}\0webhook:{endpoint_id}"
