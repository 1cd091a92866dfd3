"""The discovery API: the machine that the stack runs on, and what its upstreams offer."""

from typing import Literal, NotRequired, Protocol, TypedDict, runtime_checkable

from core.apis.inference import ModelType


class RunsOn(TypedDict):
    """The machine; null is unknown. Memory and storage in MB, of which a container may have a part.

    On Lambda `vcpus` is the share that the memory buys, elsewhere how many there are; `open_files` is the most that
    one process may have open, sockets too.
    """

    kind: Literal["lambda", "machine"]
    architecture: str
    python: str
    vcpus: float
    memory_mb: int | None
    temporary_storage_mb: int | None
    open_files: int | None
    region: str | None
    timeout_seconds: int | None
    gpus: list[str]


class OfferedModel(TypedDict):
    """`context_length` is in tokens.

    A LoRA adapter is `adapter_of` its base model, an inference profile `profile_of` the model that it leads to.
    """

    id: str
    model_type: ModelType
    context_length: NotRequired[int]
    adapter_of: NotRequired[str]
    profile_of: NotRequired[str]


class Description(TypedDict, total=False):
    """What an upstream says of itself; `error` says why there is not more of it.

    `credentials` says whether there are any to sign with, never whose or which; `guardrails` are ids of what a safety
    provider can judge with.
    """

    version: str
    region: str
    credentials: bool
    models: list[OfferedModel]
    guardrails: list[str]
    error: str


class Upstream(Description):
    """A provider of the run config, and what its upstream says."""

    api: str
    provider_id: str
    provider_type: str


class Environment(TypedDict):
    """`version` is llambda's; `upstreams` are in the order of the run config."""

    version: str
    runs_on: RunsOn
    upstreams: list[Upstream]


@runtime_checkable
class Describes(Protocol):
    """A provider that can say what its upstream offers; no provider has to.

    It is given 2 seconds, and may raise the errors of `core.errors`: their message is then the upstream's `error`.
    """

    async def describe(self) -> Description:
        """Asked now: nothing is cached."""
        ...


class Discovery(Protocol):
    """It answers whatever is down: an upstream's failure is its `error`."""

    async def environment(self) -> Environment:
        """`{version, runs_on, upstreams}`; asks every upstream, at the same time, for at most 2 seconds."""
        ...
