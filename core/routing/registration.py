"""A register body, or an entry of the run config, as the resource it describes."""

from collections.abc import Iterator, Mapping, Sequence
import time
from typing import Any, cast

from core.frame.resources import BuiltIn, Kind, Resource
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


def built_in_resources(kind: Kind, provider_id: str, rows: Sequence[BuiltIn]) -> Iterator[Resource]:
    """What a provider has under ids of its own, as if the run config declared it: it is nobody's, and of no time."""
    for row in rows:
        facts = cast("Mapping[str, Any]", row)
        attributes = {name: facts.get(name, default) for name, default in kind.fields.items()}
        yield Resource(kind.name, row["id"], provider_id, row["provider_resource_id"], attributes)
