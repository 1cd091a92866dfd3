"""What a stack has kept, made to have expired, as if its time were over."""

import time
from typing import Any

from core.config.load import interpret
from core.resolution.resolve import resolve
from core.services.responses.state.place import STORE


async def expire(document: dict[str, Any], *names: tuple[str, str]) -> None:
    """Of the stack of this run config the documents with these names: collection and id."""
    stack = await resolve(interpret(document, {}), ["responses"], version="1")
    try:
        store = stack.stores.collection(STORE)
        for collection, identifier in names:
            found = await store.get(collection, identifier)
            assert found is not None, identifier
            await store.put(found, found.body, expires=int(time.time()) - 1)
    finally:
        await stack.close()
