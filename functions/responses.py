"""Responses, conversations and prompts."""

from core.runtime.function import function

app, handler = function("responses")
