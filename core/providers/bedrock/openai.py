"""Bedrock's own OpenAI-compatible endpoint: chat passes through unchanged, signed as AWS wants it.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from core.apis.inference import ChatRequest
from core.frame.types import JsonObject, JsonStream
from core.platform.urls import join_path
from core.providers.aws.clients import AwsClients
from core.providers.bedrock.config import BedrockConfig
from core.providers.bedrock.errors import translate_errors
from core.providers.http.remote import Remote
from core.providers.http.upstream import UpstreamClient
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of

SERVICE: Final = "bedrock-runtime"
SIGNED_AS: Final = "bedrock"
PATH: Final = "/openai/v1"
SIGNATURE: Final = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


class BedrockOpenAI:
    """Chat completions at the endpoint of the region that `clients` are of."""

    def __init__(self, provider_id: str, config: BedrockConfig, clients: AwsClients) -> None:
        """The SDK says the endpoint's address, at the first call."""
        self._provider_id = provider_id
        self._config = config
        self._clients = clients
        self._lock = asyncio.Lock()
        self._region = ""
        self._remote: OpenAICompatible | None = None

    async def chat_completion(self, request: ChatRequest) -> JsonObject:
        return await (await self._connect()).chat_completion(request)

    async def stream_chat_completion(self, request: ChatRequest) -> JsonStream:
        return await (await self._connect()).stream_chat_completion(request)

    async def close(self) -> None:
        """The SDK's clients are closed by whoever made them."""
        if self._remote is not None:
            await self._remote.close()
            self._remote = None

    async def _connect(self) -> OpenAICompatible:
        async with self._lock:
            if self._remote is None:
                with translate_errors(self._provider_id):
                    meta = (await self._clients.client(SERVICE)).meta
                self._region = meta.region_name
                address = join_path(meta.endpoint_url, PATH)
                remote = Remote(
                    self._provider_id,
                    address,
                    timeout=self._config.read_timeout or 60,
                    connect_timeout=self._config.connect_timeout or 60,
                    max_connections=self._config.max_connections,
                    limits=self._config.limits,
                )
                settings = config_of("remote::openai-compatible").model_validate({"url": address})
                self._remote = OpenAICompatible(
                    self._provider_id, settings, upstream=UpstreamClient(remote, self._signature)
                )
            return self._remote

    async def _signature(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """A bearer token, or SigV4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html."""
        if token := await self._clients.bearer_token():
            return {"Authorization": f"Bearer {token}"}
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        with translate_errors(self._provider_id):
            credentials = await self._clients.credentials()
        request = AWSRequest(method=method, url=url, data=body, headers={"content-type": "application/json"})
        SigV4Auth(credentials, SIGNED_AS, self._region).add_auth(request)
        return {name: request.headers[name] for name in SIGNATURE if name in request.headers}
