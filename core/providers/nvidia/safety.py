"""NVIDIA NeMo Guardrails, the microservice: the rails of one configuration judge, asked for no answer.

Source: https://docs.nvidia.com/nemo/microservices/latest/guardrails/checks.html.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import ConfigDict, Field
from pydantic_core import to_json

from core.apis.discovery import Description
from core.apis.safety import OUTPUT, SafetyProvider, Violation, is_strict
from core.config.answer_limits import AnswerLimits, Limits
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.errors import UpstreamFailed
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.platform.json_values import to_object
from core.providers.http.connections import MOST_CONNECTIONS
from core.providers.http.message_text import plain_text, source_of, speaker_of, transcript
from core.providers.http.remote import Patience, Remote, RemoteConfig
from core.providers.http.replies import health_of

if TYPE_CHECKING:
    from core.providers.http.upstream import UpstreamClient

CHECKS: Final = "/v1/guardrail/checks"
CONFIGS: Final = "/v1/guardrail/configs"
REFUSAL: Final = "Sorry I cannot do this."


class Config(RemoteConfig):
    """`config_id` names the configuration at the service whose rails judge; `timeout` is in seconds without a byte.

    Who judges is not a user's to set: neither is which service, nor which of its rails.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    guardrails_service_url: UpstreamUrl = "http://localhost:7331"
    config_id: Annotated[str, Field(min_length=1)] = "self-check"
    timeout: Annotated[Patience, USER] = 60.0
    max_connections: int = MOST_CONNECTIONS
    limits: Limits = AnswerLimits.model_construct()


class NemoGuardrails:
    """A shield's name within this provider is the model that the rails may ask to judge."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The HTTP client is imported and opened at the first call."""
        self._config_id = config.config_id
        self._remote = Remote(
            provider_id,
            config.guardrails_service_url,
            timeout=config.timeout,
            max_connections=config.max_connections,
            reach=config.reach,
            limits=config.limits,
        )
        self._upstream: UpstreamClient | None = None

    @property
    def _http(self) -> "UpstreamClient":
        if self._upstream is None:
            from core.providers.http.upstream import UpstreamClient

            self._upstream = UpstreamClient(self._remote)
        return self._upstream

    async def run_shield(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> Violation | None:
        """What the input rails find in the messages, or of OUTPUT the output rails in the last.

        Raises:
            InvalidRequest: a message is not text.
            UpstreamFailed: there is no verdict, which is never taken for a pass.
        """
        return (await self.judge_by_category(shield, messages, params))[0]

    async def judge_by_category(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> tuple[Violation | None, Sequence[str]]:
        """The categories are the rails that judged."""
        image = None if is_strict(shield) else "<image>"
        turns = conversation(messages, source_of(messages, params), image)
        if not turns[-1]["content"].strip():
            return None, ()
        check = {
            "model": shield.provider_resource_id,
            "messages": turns,
            "guardrails": {"config_id": self._config_id},
        }
        match await self._http.post(CHECKS, to_json(check)):
            case {"status": "success", "rails_status": {**rails}} if rails:
                return None, tuple(map(str, rails))
            case {"status": "blocked", **more}:
                return _violation(more.get("rails_status")), tuple(to_object(more.get("rails_status")))
            case _:
                raise UpstreamFailed("No rail judged the message: the shield's configuration may have none for it.")

    async def check_shield(self, shield: Resource) -> None:
        """Any model will do: only some rails ask it, and the service alone knows which it has."""
        del shield

    async def health(self) -> Health:
        return await health_of(self._http.get(CONFIGS))

    async def describe(self) -> Description:
        """The names of the service's configurations."""
        match await self._http.get(CONFIGS):
            case {"data": [*configs]}:
                names = [to_object(config).get("name") for config in configs]
                return Description(guardrails=[name for name in names if isinstance(name, str)])
            case _:
                return Description()

    async def close(self) -> None:
        if self._upstream is not None:
            await self._upstream.close()


def conversation(messages: Sequence[Mapping[str, Any]], source: str, image: str | None = None) -> list[dict[str, str]]:
    """All that goes in as one message, since input rails judge the user's last alone; or what comes out, and what led to it.

    Raises:
        InvalidRequest: there is no message, or one is not text; `image` stands for images.
    """
    if source != OUTPUT:
        return [{"role": "user", "content": transcript(messages, image)}]
    before = [
        {"role": speaker_of(message), "content": plain_text(message.get("content"), image)} for message in messages[:-1]
    ]
    return [*before, {"role": "assistant", "content": transcript(messages[-1:], image)}]


def _violation(rails: object) -> Violation:
    status = to_object(rails)
    blocked = [name for name, rail in status.items() if rail == {"status": "blocked"}]
    names = {"violation_type": ",".join(blocked)} if blocked else {}
    return Violation(violation_level="error", user_message=REFUSAL, metadata=status | names)


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> SafetyProvider:
    """A provider over one service; it depends on no other API."""
    del deps
    return NemoGuardrails(provider_id, config)
