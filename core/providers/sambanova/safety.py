"""Llama Guard as SambaNova serves it: a chat model, asked as any other of its models is.

Source: remote::sambanova of Llama Stack 0.2.12, but for what it takes for safe: any answer without `unsafe`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Self

from pydantic import SecretStr, model_validator

from core.apis.discovery import Description
from core.apis.inference import ChatRequest
from core.apis.safety import SafetyProvider, Violation
from core.apis.usage import Meter
from core.errors import ApiError, InvalidRequest, ProviderUnavailable
from core.frame.callers import CURRENT_CALL
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.providers.llama_guard.guard import LlamaGuard
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import ApiUrl, Settings
from core.providers.openai.rows import ROWS, Row

PREFIX: Final = "sambanova/"  # Llama Stack's shields have it, for the library that it calls SambaNova with


class Config(Settings):
    """The fields of SambaNova's inference; the key is needed, for shields are run as the stack itself.

    Who judges is not a user's to set: the URLs are the operator's alone, and so are the keys.
    """

    row: ClassVar[Row] = ROWS["remote::sambanova"]

    url: ApiUrl = None
    base_url: ApiUrl = None
    api_key: SecretStr | None = None
    auth_credential: SecretStr | None = None

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if not self.credential():
            raise ValueError("give `api_key` (or its newer name auth_credential)")
        return self


class _Charged:
    """The chat of `remote`, whose tokens are charged to the call under way: no router is between, which would do so."""

    def __init__(self, provider_id: str, remote: OpenAICompatible) -> None:
        self._provider_id = provider_id
        self._remote = remote

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        reply = await self._remote.chat_completion(request)
        if (call := CURRENT_CALL.get()) is not None:
            meter = Meter(request, self._provider_id)
            meter.feed(reply)
            meter.charge(call.cause(), "whole")
        return reply


class SambaNovaGuard:
    """A shield's name within this provider is SambaNova's id of a Llama Guard."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The HTTP client is imported and opened at the first call."""
        self._provider_id = provider_id
        self._remote = OpenAICompatible(provider_id, config)
        self._guard = LlamaGuard(_Charged(provider_id, self._remote), ())

    async def run_shield(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> Violation | None:
        """What the model says, as any Llama Guard."""
        return await self._guard.run_shield(_unprefix(shield), messages, params)

    async def judge_by_category(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> tuple[Violation | None, Sequence[str]]:
        return await self._guard.judge_by_category(_unprefix(shield), messages, params)

    async def check_shield(self, shield: Resource) -> None:
        try:
            models = {model["id"] for model in await self._remote.list_models()}
        except ApiError as failure:
            raise ProviderUnavailable(failure.message) from failure
        if _model(shield) not in models:
            message = f"Provider `{self._provider_id}` does not serve `{_model(shield)}`."
            raise InvalidRequest(message, param="provider_shield_id")

    async def health(self) -> Health:
        return await self._remote.health()

    async def describe(self) -> Description:
        """The models that it serves, whichever of them are Llama Guards."""
        return await self._remote.describe()

    async def close(self) -> None:
        await self._remote.close()


def _unprefix(shield: Resource) -> Resource:
    return replace(shield, provider_resource_id=_model(shield))


def _model(shield: Resource) -> str:
    return shield.provider_resource_id.removeprefix(PREFIX)


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> SafetyProvider:
    """A provider over SambaNova; it depends on no other API."""
    del deps
    return SambaNovaGuard(provider_id, config)
