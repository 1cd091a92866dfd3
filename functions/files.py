"""Files, and uploads in parts."""

from core.runtime.function import function

app, handler = function("files")
