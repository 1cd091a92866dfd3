"""Guardrails of Amazon Bedrock: a shield is one version of a guardrail.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-independent-api.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListGuardrails.html.
"""

from collections.abc import Mapping, Sequence
import re
from typing import Any, Final

from core.apis.discovery import Description
from core.apis.safety import SafetyProvider, Violation, is_strict
from core.errors import ApiError, InvalidRequest, NotFound, ProviderUnavailable
from core.frame.resources import Resource
from core.frame.types import Health, JsonObject
from core.providers.aws.clients import AwsClients, list_pages
from core.providers.bedrock.errors import translate_errors
from core.providers.bedrock.guardrail_config import Config
from core.providers.bedrock.guardrail_content import to_content
from core.providers.bedrock.guardrail_findings import CONTENT_FILTERS, categories_of, violation_of
from core.providers.http.message_text import source_of
from core.providers.http.replies import health_of

VERSION: Final = re.compile(r"[1-9][0-9]{0,7}|DRAFT")
NO_VERSION: Final = "needs `guardrailVersion` in its params: a number, or DRAFT"


class BedrockGuardrails:
    """A shield's name within this provider is the id or the ARN of a guardrail; `guardrailVersion` is in its params."""

    def __init__(self, provider_id: str, config: Config) -> None:
        """The SDK is imported and its clients are opened at the first call."""
        self._provider_id = provider_id
        self._clients = AwsClients(config)

    async def run_shield(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> Violation | None:
        """What the guardrail finds; `params` may say the `source`, INPUT or OUTPUT.

        Raises:
            InvalidRequest: a message has what the guardrail cannot judge.
            NotFound: the guardrail is gone.
            ProviderUnavailable: the shield is declared without a version.
        """
        return (await self._judge(shield, messages, params))[0]

    async def judge_by_category(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject
    ) -> tuple[Violation | None, Sequence[str]]:
        """Of words and regular expressions a guardrail tells those alone that it found."""
        return await self._judge(shield, messages, params, outputScope="FULL")

    async def _judge(
        self, shield: Resource, messages: list[dict[str, Any]], params: JsonObject, **scope: str
    ) -> tuple[Violation | None, Sequence[str]]:
        version = _version(shield)
        if version is None:
            raise ProviderUnavailable(f"Shield `{shield.identifier}` {NO_VERSION}.")
        source = source_of(messages, params)
        content = to_content(messages, source, strict=is_strict(shield))
        if not content:
            return None, CONTENT_FILTERS
        try:
            answer = await self._apply(
                guardrailIdentifier=shield.provider_resource_id,
                guardrailVersion=version,
                source=source,
                content=content,
                **scope,
            )
        except NotFound as gone:
            raise NotFound(f"The guardrail of shield `{shield.identifier}` is gone.", param="shield_id") from gone
        with translate_errors(self._provider_id):
            images = sum("image" in block for block in content) if is_strict(shield) else 0
            return violation_of(answer, images), categories_of(answer)

    async def check_shield(self, shield: Resource) -> None:
        version = _version(shield)
        if version is None:
            raise InvalidRequest(f"Shield `{shield.identifier}` {NO_VERSION}.", param="params.guardrailVersion")
        try:
            versions = await self._versions(shield.provider_resource_id)
        except NotFound:
            versions = []
        except InvalidRequest as invalid:
            raise InvalidRequest(invalid.message, param="provider_shield_id") from invalid
        except ApiError as failure:
            raise ProviderUnavailable(failure.message) from failure
        if version not in versions:
            hint = f"Its versions: {', '.join(versions)}." if versions else "There is no such guardrail."
            message = f"Shield `{shield.identifier}` with version `{version}` not found in Bedrock. {hint}"
            raise InvalidRequest(message, param="params.guardrailVersion" if versions else "provider_shield_id")

    async def health(self) -> Health:
        return await health_of(self._probe())

    async def describe(self) -> Description:
        """Its region, whether there are credentials, and the guardrails there."""
        from core.providers.bedrock.description import describe

        return await describe(self._provider_id, self._clients, self._list_guardrails)

    async def close(self) -> None:
        await self._clients.close()

    async def _probe(self) -> None:
        with translate_errors(self._provider_id):
            await (await self._clients.client("bedrock")).list_guardrails(maxResults=1)

    async def _apply(self, **arguments: Any) -> JsonObject:  # noqa: ANN401 - the SDK's own arguments
        with translate_errors(self._provider_id, arguments):
            answer: JsonObject = await (await self._clients.client("bedrock-runtime")).apply_guardrail(**arguments)
        return answer

    async def _list_guardrails(self) -> Description:
        with translate_errors(self._provider_id):
            pages = (await self._clients.client("bedrock")).get_paginator("list_guardrails").paginate()
            return Description(guardrails=[summary["id"] for summary in await list_pages(pages, "guardrails")])

    async def _versions(self, guardrail: str) -> list[str]:
        with translate_errors(self._provider_id):
            pages = (await self._clients.client("bedrock")).get_paginator("list_guardrails")
            rows = await list_pages(pages.paginate(guardrailIdentifier=guardrail), "guardrails")
            return [summary["version"] for summary in rows]


def _version(shield: Resource) -> str | None:
    """The shield's `guardrailVersion`, if it is one; YAML reads a bare one as a number."""
    params: JsonObject = shield.attributes.get("params") or {}
    version = str(params.get("guardrailVersion"))
    return version if VERSION.fullmatch(version) else None


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> SafetyProvider:
    """A provider over the guardrails of one region; it depends on no other API."""
    del deps
    return BedrockGuardrails(provider_id, config)
