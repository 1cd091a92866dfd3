"""Requests signed for a service of AWS that is an MCP server, as AgentCore Gateway.

Source: https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/gateway-inbound-auth.html.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.errors import ProviderUnavailable
from core.platform.signed_json import UnsignedRequest, sign
from core.providers.aws.clients import AwsClients, AwsConfig
from core.providers.mcp.config import ServerAccess
from core.providers.mcp.operators import StaticSecrets

if TYPE_CHECKING:
    from core.providers.mcp.config import SigV4


class Signatures:
    """Of one entry of the config."""

    def __init__(self, access: ServerAccess, config: "SigV4") -> None:
        """Raises ValueError for AWS credentials that are not whole."""
        own = config.model_dump(exclude={"service"}, exclude_none=True)
        self._access = access
        self._service = config.service
        self._region = config.region_name or ""
        self._clients = AwsClients(AwsConfig.model_validate(own))

    def digest(self) -> str:
        return ""

    def bind(self, endpoint: str) -> "_Signature":
        del endpoint
        return _Signature(StaticSecrets(self._access), self)

    async def close(self) -> None:
        await self._clients.close()

    async def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        from botocore.exceptions import BotoCoreError

        try:
            region = self._region or (await self._clients.session()).get_config_variable("region") or ""
            credentials = await self._clients.credentials()
        except BotoCoreError as failure:
            raise ProviderUnavailable(
                f"A tool group's MCP server takes requests that AWS's credentials sign, and there are none ({type(failure).__name__})."
            ) from failure
        if not region:
            raise ProviderUnavailable(
                "A tool group's MCP server takes signed requests: set `region_name` of its `sigv4`."
            )
        scope = region, self._service
        return sign(UnsignedRequest(url, body or b"", method), credentials, scope=scope, at=datetime.now(UTC))


@dataclass(slots=True)
class _Signature:
    more: StaticSecrets = field(repr=False)
    signatures: Signatures
    source: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.more.secrets

    @property
    def confidential(self) -> tuple[str, ...]:
        return self.secrets

    async def headers(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        more = await self.more.headers(method, url, body)
        return {**more, **await self.signatures.headers(method, url, body)}

    async def renew(self, challenge: str) -> bool:
        return await self.more.renew(challenge)
