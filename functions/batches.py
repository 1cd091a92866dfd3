"""Batches: files of requests, and how far their answers are."""

from core.runtime.function import function

app, handler = function("batches")
