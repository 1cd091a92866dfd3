"""`inline::builtin`, and `inline::meta-reference` of older run configs: responses by the stack's own engine.

Sources: the provider's config of OGX 1.5.0, and that of agents of Llama Stack 0.2.12.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from core.apis.response_settings import MONTH, MOST_CONTEXT, CompactionSettings, ResponseSettings
from core.apis.responses import DEFAULT_ROUNDS, MOST_ROUNDS
from core.config.kms import KeyArn
from core.config.records import Record, Text, Whole
from core.config.user_fields import USER
from core.frame.types import Health

if TYPE_CHECKING:
    from core.apis.responses import ResponsesProvider
    from core.apis.sealing import DataKeys
    from core.providers.aws.kms_keys import KmsKeys

type Kept = Annotated[Whole, Field(ge=3600)]
SHORTEST: Final = 256
"""Tokens of a context that may be compacted."""
LEAST_CONTEXT: Final = 1_000_000
"""Bytes that any run config has to allow."""


class Retention(Record):
    """How long responses are kept, in seconds; null keeps them for ever. `conversation_seconds` are from a conversation's last item.

    `sweep_interval_seconds` and `batch_size` have no effect: nothing sweeps, what is expired is not there.
    """

    enabled: bool = True
    retention_seconds: Kept | None = MONTH
    conversation_seconds: Kept | None = None
    sweep_interval_seconds: int | None = None
    batch_size: int | None = None


class Compaction(Record):
    """The tokenizer's keys have no effect: tokens are estimated. `kms_key_id`, an ARN, is our own: without one the stack seals by a key in its state."""

    summarization_prompt: Text | None = None
    summary_prefix: Text | None = None
    summarization_model: Text | None = None
    default_compact_threshold: Annotated[Whole, Field(ge=SHORTEST)] | None = None
    kms_key_id: KeyArn = None
    tokenizer_encoding: str | None = None
    model_tokenizer_mappings: dict[str, str] | None = None


class Config(Record):
    """The reference's fields, of both generations, `max_infer_iters`, and our own `background`, `foreground_seconds` and `max_context_bytes`.

    Where state is kept is said by `storage.stores`, for all APIs alike: `persistence`, `persistence_store` and `responses_store` have no
    effect, nor have `vector_stores_config`, `memory_config` and `moderation_*`: see `core.resolution.deployment`.
    """

    persistence: dict[str, Any] | None = None
    persistence_store: dict[str, Any] | None = None
    responses_store: dict[str, Any] | None = None
    vector_stores_config: dict[str, Any] | None = None
    memory_config: dict[str, Any] | None = None
    moderation_endpoint: str | None = None
    moderation_headers: Annotated[dict[str, str] | None, Field(repr=False)] = None
    compaction_config: Compaction = Compaction.model_construct()
    retention: Retention | None = None
    max_infer_iters: Annotated[Annotated[Whole, Field(ge=1, le=MOST_ROUNDS)], USER] = DEFAULT_ROUNDS
    background: Annotated[Literal["auto"] | None, USER] = None
    foreground_seconds: Annotated[Annotated[Whole, Field(ge=1)] | None, USER] = None
    max_context_bytes: Annotated[Whole, Field(ge=LEAST_CONTEXT)] = MOST_CONTEXT


class BuiltinResponses:
    """Leaves every run to the engine of the stack."""

    def __init__(self, settings: ResponseSettings) -> None:
        self.settings = settings
        self._keys: KmsKeys | None = None

    def data_keys(self) -> "DataKeys | None":
        """Those of the run config's KMS key."""
        key_id = self.settings.compaction.kms_key_id
        if key_id and self._keys is None:
            from core.providers.aws.kms_keys import KmsKeys  # late: few responses are compacted

            self._keys = KmsKeys(key_id)
        return self._keys

    async def health(self) -> Health:
        """It asks nobody itself."""
        return Health(status="OK")

    async def close(self) -> None:
        if self._keys is not None:
            await self._keys.close()


def connect(provider_id: str, config: Config, deps: Mapping[str, Any]) -> "ResponsesProvider":
    """The settings of the stack's engine."""
    del provider_id, deps
    return BuiltinResponses(_settings(config))


def _settings(config: Config) -> ResponseSettings:
    compaction = config.compaction_config
    retention = config.retention or Retention.model_construct()
    return ResponseSettings(
        response_seconds=retention.retention_seconds if retention.enabled else None,
        conversation_seconds=retention.conversation_seconds,
        max_rounds=config.max_infer_iters,
        background=config.background == "auto",
        most_context=config.max_context_bytes,
        foreground_seconds=config.foreground_seconds,
        compaction=CompactionSettings(
            prompt=compaction.summarization_prompt or "",
            prefix=compaction.summary_prefix or "",
            model=compaction.summarization_model or "",
            threshold=compaction.default_compact_threshold,
            kms_key_id=compaction.kms_key_id or "",
        ),
    )
