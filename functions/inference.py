"""Chat completions, completions, embeddings and the model registry."""

from core.runtime.function import function

app, handler = function("inference")
