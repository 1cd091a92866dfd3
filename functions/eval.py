"""Benchmarks, and evaluations of models and agents."""

from core.runtime.function import function

app, handler = function("eval")
