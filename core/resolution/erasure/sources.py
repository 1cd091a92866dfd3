"""Everywhere that a stack keeps what principals make: the erasers of its APIs, and what is kept for all APIs alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from core.apis.index import all_manifests, kinds, manifest
from core.config.usage import usage_of
from core.frame.dotted import load
from core.resolution.erasure import shared
from core.resolution.stack import Stack
from core.services.configurations import erasing as configurations
from core.services.erasure import Erase
from core.services.jobs import erasing as jobs
from core.stores.connect import ANSWERS, BLOBS, CONFIGURATIONS, COUNTERS, JOBS, REGISTRY, SEMAPHORES, USAGE

SERVER: Final = "server"
"""What is no API's is shown by the section of the run config."""


@dataclass(frozen=True, slots=True)
class Source:
    """`api` is the name that it is shown by."""

    api: str
    erase: Erase


def apis_with_eraser() -> list[str]:
    """Each before what it depends on: a file goes after the vector stores that it is in."""
    order: dict[str, None] = {}
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        for other in manifest(name).depends:
            visit(other)
        order[name] = None

    for api in all_manifests():
        visit(api.name)
    return [name for name in reversed(order) if manifest(name).eraser is not None]


def sources(stack: Stack, *, keys: bool = False) -> Iterator[Source]:
    """In the order in which they are to be erased; with `keys` the API key goes too, and first: nobody writes with it then.

    The stack has the APIs of `apis_with_eraser`.
    """
    stores = stack.stores
    if keys:
        yield Source("auth", partial(shared.api_keys, stores.get(REGISTRY)))
    if (job_store := stores.find(JOBS)) is not None:
        names = [row.name for api in all_manifests() for row in api.jobs]
        yield Source("jobs", jobs.erase(job_store, stores.find(BLOBS), names))
    for name in apis_with_eraser():
        eraser = manifest(name).eraser
        erase: Erase | None = None if eraser is None else load(eraser.pieces)(stack)
        if erase is not None:
            yield Source(name, erase)
    for kind in kinds():
        yield Source(kind.api, partial(shared.resources, stores.get(REGISTRY), kind))
    yield Source("configurations", configurations.erase(stores.get(CONFIGURATIONS)))
    yield from _of_server(stack)


def _of_server(stack: Stack) -> Iterator[Source]:
    if (answers := stack.stores.find(ANSWERS)) is not None:
        yield Source(SERVER, partial(shared.answers, answers))
    if (counters := stack.stores.find(COUNTERS)) is not None:
        usage, days = partial(stack.stores.find, USAGE), usage_of(stack.config).retention_days
        yield Source(SERVER, partial(shared.counters, counters, usage, days))
    if (semaphores := stack.stores.find(SEMAPHORES)) is not None:
        yield Source(SERVER, partial(shared.streams, semaphores))
