"""Usage: what the stack keeps account of, to be read. It has no providers, and changes nothing."""

from typing import Final

from core.frame.api import Api, Deployment, Surface
from core.frame.operations import Operation

AUDIT: Final = (
    Operation(
        "GET",
        ("/v1/audit",),
        "index",
        "List what administrators have changed.",
        query="core.apis.audit:AuditQuery",
        response="core.apis.answers.audit:AuditPage",
    ),
)

API: Final = Api(
    "usage",
    surfaces=(Surface("audit", "core.apis.audit:Audit", AUDIT),),
    assemble="core.services.usage.assemble:assemble",
    deployment=Deployment(memory_mb=512, rights=("ReadAudit",)),
)
