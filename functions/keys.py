"""Keys."""

from core.runtime.function import function

app, handler = function("keys")
