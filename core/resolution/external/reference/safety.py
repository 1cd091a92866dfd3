"""A safety provider written for the reference, as one of this stack's."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, cast

from core.apis.safety import Violation
from core.errors import UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.resolution.external.reference.calls import Translated, call, own_method, parameters
from core.resolution.external.reference.inference import ReferenceInference, ReferenceModels
from core.resolution.external.reference.records import Record, plain, record

MOST_REGISTERED: Final = 10_000  # shields; then they are registered again
JUDGING: Final = ContextVar[Record | None]("JUDGING", default=None)
"""The shield of the judgement under way: tenants may have different ones of one name."""


class ReferenceShields:
    """The `shield_store` of the reference."""

    async def get_shield(self, identifier: Any) -> Record:  # noqa: ANN401 - a name, or a request for one
        name = str(getattr(identifier, "identifier", identifier))
        shield = JUDGING.get()
        fields = {} if shield is None else vars(shield)
        if shield is None or name not in {fields["identifier"], fields["provider_resource_id"]}:
            raise ValueError(f"Shield '{name}' not found")
        return shield


class ReferenceSafety:
    """`provider` has the reference's `run_shield`, of 0.2 or later."""

    def __init__(self, provider_id: str, provider: Any) -> None:  # noqa: ANN401 - somebody else's object
        self._provider_id = provider_id
        self._provider = provider
        self._others = ReferenceInference(provider_id, provider, ReferenceModels(provider_id))
        self._registered: set[str] = set()

    async def run_shield(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> Violation | None:
        """A violation of the level `info` is a report, as some packages have it of what passed, and so none."""
        record = _shield(shield)
        method = own_method(self._provider, "run_shield")
        if method is None:
            raise UpstreamFailed(f"Provider `{self._provider_id}` has no run_shield.")
        fields: JsonObject = {"shield_id": shield.identifier, "messages": [_join_texts(one) for one in messages]}
        takes_params = {"params", "shield_id"} - parameters(method).keys() != {"params"}
        token = JUDGING.set(record)
        try:
            with Translated(self._provider_id):
                await self._register(record)
                fields |= {"params": params} if takes_params else {}
                return self._violation(await call(method, "RunShieldRequest", "shield_id", fields))
        finally:
            JUDGING.reset(token)

    def with_provider_data(self, data: Mapping[str, Any]) -> "ReferenceSafety":
        """Itself: safety providers are not given what callers bring, also those that could read it."""
        del data
        return self

    async def check_shield(self, shield: Resource) -> None:
        record = _shield(shield)
        token = JUDGING.set(record)
        try:
            with Translated(self._provider_id):
                await self._register(record)
        finally:
            JUDGING.reset(token)

    async def health(self) -> Health:
        return await self._others.health()

    async def close(self) -> None:
        await self._others.close()

    async def _register(self, shield: Any) -> None:  # noqa: ANN401 - a Shield, or keywords of one
        method, key = own_method(self._provider, "register_shield"), shield.model_dump_json()
        if method is None or key in self._registered:
            return
        if "shield_id" in parameters(method):
            await method(
                shield_id=shield.identifier,
                provider_shield_id=shield.provider_resource_id,
                provider_id=self._provider_id,
                params=shield.params,
            )
        else:
            await method(shield)
        if len(self._registered) >= MOST_REGISTERED:
            self._registered.clear()
        self._registered.add(key)

    def _violation(self, answer: Any) -> Violation | None:  # noqa: ANN401 - a package's answer
        """Raises UpstreamFailed for what says neither that there is a violation nor that there is none."""
        fields = to_object(answer) or to_object(getattr(answer, "__dict__", {}))
        match plain(fields.get("violation", False)):
            case None | {"violation_level": "info"}:
                return None
            case {**entries}:
                violation = cast("JsonObject", entries)
                return Violation(
                    violation_level="warn" if violation.get("violation_level") == "warn" else "error",
                    user_message=violation.get("user_message"),
                    metadata=violation.get("metadata") or {},
                )
            case _:
                raise UpstreamFailed(f"Provider `{self._provider_id}` did not say whether there is a violation.")


def _shield(shield: Resource) -> Record:
    row: Record = record(
        "Shield",
        identifier=shield.identifier,
        provider_resource_id=shield.provider_resource_id,
        provider_id=shield.provider_id,
        params=shield.attributes.get("params"),
    )
    return row


def _join_texts(message: dict[str, Any]) -> dict[str, Any]:
    """Content that is nothing but text is one: many packages read a string alone."""
    content = message.get("content")
    parts = [to_object(part) for part in cast("list[object]", content)] if isinstance(content, list) else []
    if not parts or any(part.get("type") != "text" for part in parts):
        return message
    return {**message, "content": "\n".join(part["text"] for part in parts)}
