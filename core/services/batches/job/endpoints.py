"""What a line may ask: for each endpoint of a batch the operation of the stack, and what a body has to have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
import re
from typing import Final

from core.apis.batches import TURN
from core.apis.index import manifest
from core.frame.operations import Operation

type Types = tuple[type, ...]

TEXT: Final[Types] = (str,)
LIST: Final[Types] = (list,)
TEXT_OR_LIST: Final[Types] = (str, list)
NAMES: Final[Mapping[Types, str]] = {TEXT: "a string", LIST: "an array", TEXT_OR_LIST: "a string or an array"}
AGENT: Final = re.compile(r"/v1/agents/([^/?#]{1,512})/turn")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`path` is that of a batch, `route` of the operation that answers a line; `required` are fields of a body, with what they are.

    `names_model`: its `model` is one of the registry of models. `inner_surface` answers a line instead of the operation's own, which
    would keep it as a stored chat.
    """

    path: str
    api: str
    route: str
    required: Mapping[str, Types] = field(hash=False)
    names_model: bool = True
    inner_surface: str = ""

    @property
    def operation(self) -> Operation:
        """As the manifest of its API has it."""
        return _operation(self.api, self.route)[1]

    @property
    def surface(self) -> str:
        """The name of the surface that answers a line."""
        return self.inner_surface or _operation(self.api, self.route)[0]

    @property
    def has_agent(self) -> bool:
        """Whether the url of a line names an agent."""
        return self.path == TURN

    def matches(self, url: str) -> bool:
        """Whether a line with this url is for it."""
        return AGENT.fullmatch(url) is not None if self.has_agent else url == self.path

    def agent_of(self, url: str) -> str:
        """The id in a url that matches."""
        match = AGENT.fullmatch(url)
        return "" if match is None else match[1]


ENDPOINTS: Final = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint(
            "/v1/chat/completions",
            "inference",
            "/v1/chat/completions",
            {"model": TEXT, "messages": LIST},
            inner_surface="inference",
        ),
        Endpoint("/v1/completions", "inference", "/v1/completions", {"model": TEXT, "prompt": TEXT_OR_LIST}),
        Endpoint("/v1/embeddings", "inference", "/v1/embeddings", {"model": TEXT, "input": TEXT_OR_LIST}),
        Endpoint("/v1/moderations", "safety", "/v1/moderations", {"input": TEXT_OR_LIST}, names_model=False),
        Endpoint("/v1/responses", "responses", "/v1/responses", {"model": TEXT}),
        Endpoint(
            TURN,
            "responses",
            "/v1/agents/{agent_id}/session/{session_id}/turn",
            {"messages": LIST},
            names_model=False,
        ),
    )
}


@cache
def _operation(api: str, route: str) -> tuple[str, Operation]:
    for surface in manifest(api).surfaces:
        for operation in surface.operations:
            if operation.method == "POST" and route in operation.paths:
                return surface.name, operation
    raise LookupError(route)
