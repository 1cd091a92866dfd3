"""A register body, or an entry of the run config, as the resource it describes."""

import time
from typing import Any

from core.frame.resources import Kind, Resource
from core.frame.types import Wire


def resource_from(kind: Kind, body: Wire, provider_id: str, *, created: int | None = None) -> Resource:
    """`body` (already of the kind's type) with the kind's defaults filled in; `created` defaults to now."""
    fields: dict[str, Any] = body.model_dump(exclude_none=True)
    identifier: str = fields[kind.id_field]
    return Resource(
        kind=kind.name,
        identifier=identifier,
        provider_id=provider_id,
        provider_resource_id=fields.get(kind.provider_id_field) or identifier,
        attributes={name: fields.get(name, default) for name, default in kind.fields.items()},
        created=int(time.time()) if created is None else created,
    )
