"""The verified caller and the call under way, as every layer below HTTP is given them."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from core.frame.observed import Observed

CATEGORIES: Final = ("roles", "teams", "projects", "namespaces")
"""The attributes that owners share resources by; a principal may have others, as `scopes`."""

PROVIDER_DATA_HEADERS: Final = ("X-LlamaStack-Provider-Data", "X-OGX-Provider-Data")
"""Either holds a JSON object of what a caller brings for providers, as `{"openai_api_key": "..."}`."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity was verified.

    `id` is unique among those that `vouched_by`, an auth provider, vouches for; `attributes` are lists of names, as
    `{"roles": ("admin",)}`.
    """

    id: str
    attributes: Mapping[str, tuple[str, ...]]
    vouched_by: str = ""

    @property
    def anonymous(self) -> bool:
        """True where no auth is configured: then every caller is this one."""
        return not self.id


ANONYMOUS: Final = Principal("", {})


@dataclass(slots=True)
class Call:
    """One API call under way.

    `source` is the address that the gateway or the socket vouches for, never a header's word. `tokens` is what
    providers have reported as used so far, None while none did. `provider_data` holds secrets of the caller.
    """

    principal: Principal
    source: str = ""
    tokens: int | None = None
    provider_data: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    observed: Observed = field(default_factory=Observed, repr=False, compare=False)

    def add_tokens(self, tokens: int) -> None:
        """Add what a provider reports: prompt and completion tokens together."""
        self.tokens = (self.tokens or 0) + tokens


CURRENT_CALL: Final[ContextVar[Call | None]] = ContextVar("llambda_current_call", default=None)
"""The call under way; None outside of any, where the stack itself acts."""
