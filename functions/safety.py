"""Shields, what they make of a conversation, and moderations."""

from core.runtime.function import function

app, handler = function("safety")
