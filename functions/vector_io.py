"""Vector stores: OpenAI's API of them, vector-io and vector-dbs."""

from core.runtime.function import function

app, handler = function("vector_io")
