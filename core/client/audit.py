"""The audit trail of a running stack."""

from typing import TYPE_CHECKING

from core.client.http import Transport
from core.client.shapes import check_shape

if TYPE_CHECKING:
    from core.apis.answers.audit import AuditPage
    from core.apis.audit import AuditQuery


class Audit:
    """What administrators have changed, as far as the caller may read it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, query: "AuditQuery") -> "AuditPage":
        """A page, newest first."""
        from core.apis.answers.audit import AuditPage

        answer = self._transport.send("GET", "/v1/audit", query=query.model_dump(exclude_none=True))
        return check_shape(answer, AuditPage)
