"""The body of a response that a model's own provider answers. Apart: only where there is one is it imported."""

from typing import Any

from core.apis.inference import Name
from core.frame.types import Wire


class NativeBody(Wire):
    """What is sent; only what the stack looks at is typed."""

    model: Name
    input: list[dict[str, Any]]
