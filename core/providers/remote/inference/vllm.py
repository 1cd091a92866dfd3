"""vLLM, spoken to over its OpenAI-compatible server.

Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from core.apis.inference import InferenceProvider, ModelType
from core.providers.openai_compatible import OpenAICompatible, base_url
from core.providers.target import Target


class Config(BaseModel):
    """`url` or, in the newer spelling, `base_url`: the server's root, with or without `/v1`.

    `tls_verify` may be the path of a CA bundle. `max_tokens` bounds requests that set no bound.
    `model_type` and `embedding_dimension` describe what the server lists, since its listing does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    base_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    api_token: SecretStr = SecretStr("fake")
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    tls_verify: bool | str = True
    timeout: Annotated[float, Field(gt=0)] = 60.0  # seconds without a byte
    connect_timeout: Annotated[float, Field(gt=0)] = 5.0  # seconds
    model_type: ModelType = "llm"
    embedding_dimension: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_url(self) -> Self:
        if (self.url is None) == (self.base_url is None):
            raise ValueError("give `url` (or its newer name `base_url`), and only one of them")
        return self


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> InferenceProvider:
    """A provider over one vLLM server; it depends on no other API."""
    del deps
    target = Target(
        provider_id,
        base_url(config.base_url or config.url or ""),
        headers={"authorization": f"Bearer {config.api_token.get_secret_value()}"},
        timeout=config.timeout,
        connect_timeout=config.connect_timeout,
        tls_verify=config.tls_verify,
    )
    return OpenAICompatible(
        target,
        model_type=config.model_type,
        embedding_dimension=config.embedding_dimension,
        max_tokens=config.max_tokens,
    )
