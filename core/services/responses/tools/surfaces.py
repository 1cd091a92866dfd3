"""What the tools of a response are made of: the surfaces of the stack, for one caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.apis.retrieval import Retrieval
from core.apis.tools import Tools
from core.config.vector_stores import VectorStoresConfig
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.frame.callers import Call
    from core.services.parts import Parts

NO_CONFIG: Final = VectorStoresConfig.model_construct()


@dataclass(frozen=True, slots=True)
class ToolSurfaces:
    """`tools` and `retrieval` are None where the stack has none; `vector_stores` says how passages are told.

    `secrets` are what the caller brings for servers beside the request.
    """

    tools: Tools | None = None
    retrieval: Retrieval | None = None
    vector_stores: VectorStoresConfig = NO_CONFIG
    secrets: Sequence[str] = field(default=(), repr=False)


def surfaces_of(parts: "Parts", call: "Call | None") -> ToolSurfaces:
    """For what a response does on the caller's behalf: charged to its call, which keeps its name in the request log."""
    from core.services.parts import surface_for

    caused = None if call is None else call.cause()
    return ToolSurfaces(
        surface_for(parts, "tools", caused),
        surface_for(parts, "retrieval", caused),
        parts.vector_stores,
        secrets_in({} if call is None else call.provider_data),
    )


def secrets_in(provider_data: Mapping[str, object]) -> list[str]:
    """The values of `mcp_headers`, which has headers by the address of their server."""
    headers = [to_object(entry) for entry in to_object(provider_data.get("mcp_headers")).values()]
    return [value for entry in headers for value in entry.values() if isinstance(value, str)]
