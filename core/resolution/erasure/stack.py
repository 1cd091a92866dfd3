"""The stack of everything that keeps what principals make."""

from core.config.load import Loaded
from core.frame.version import VERSION
from core.resolution.erasure.sources import apis_with_eraser
from core.resolution.resolve import resolve
from core.resolution.stack import Stack


async def open_stack(loaded: Loaded) -> Stack:
    """With the APIs that have an eraser, be they served or not: what they kept before is there still. To be closed."""
    return await resolve(loaded, apis_with_eraser(), version=VERSION)
