"""Scoring functions, and what they make of rows."""

from core.runtime.function import function

app, handler = function("scoring")
