"""Health, version, the configured providers, the routes and the OpenAPI document."""

from core.runtime.function import function

app, handler = function("admin")
