"""The usage of a running stack."""

from typing import TYPE_CHECKING

from core.client.http import Transport
from core.client.shapes import check_shape

if TYPE_CHECKING:
    from core.apis.answers.spending import UsagePage
    from core.apis.spending import SpendingQuery


class Usage:
    """What calls were counted as, as far as the caller may read it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def show(self, query: "SpendingQuery") -> "UsagePage":
        """A page of the groups that the query asks for; its `format` is that of JSON."""
        from core.apis.answers.spending import UsagePage

        values = query.model_dump(exclude_defaults=True, exclude={"format"})
        return check_shape(self._transport.send("GET", "/v1/usage", query=values), UsagePage)
