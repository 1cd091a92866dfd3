"""Datasets and their rows."""

from core.runtime.function import function

app, handler = function("datasetio")
