"""What the stack keeps account of: usage, and the audit trail."""

from core.runtime.function import function

app, handler = function("usage")
