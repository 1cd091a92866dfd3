"""Datasets that the run config declares: each gets a document, nobody's, when it is first looked up or listed."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from core.errors import Conflict
from core.frame.resources import Resource
from core.services.datasets.records import DATASET, DatasetRecord

if TYPE_CHECKING:
    from core.services.datasets.collection import DatasetCollection


async def materialise(collection: "DatasetCollection", resource: Resource) -> None:
    """Make the document of a declared dataset, or another where it has another source by now; one that failed stays failed."""
    says = resource.attributes
    if collection.seen.get(resource.identifier) == str(says):
        return
    from core.apis.datasets import RegisterDataset
    from core.services.datasets.registering import make, read_registration

    stack = replace(collection, call=None)
    # A provider that the entry does not name is the first one: then it is by the source, as for a request.
    first = next(iter(collection.parts.providers("datasetio")), None)
    provider_id = None if resource.provider_id == first else resource.provider_id
    request = RegisterDataset.model_validate({**says, "dataset_id": resource.identifier, "provider_id": provider_id})
    registration = read_registration(stack, request)
    document = await stack.store.get(DATASET, resource.identifier)
    if document is not None and DatasetRecord.of(document).digest != registration.record.digest:
        await stack.remove(document)
        document = None
    if document is None:
        with suppress(Conflict):  # another process was first
            await make(stack, registration)
    collection.seen[resource.identifier] = str(says)
