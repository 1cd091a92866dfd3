"""Fixtures for all tests live in plugins beside what they start: tests/parts."""

from hypothesis import HealthCheck, settings

pytest_plugins = (
    "tests.parts.cognito",
    "tests.parts.dynamodb",
    "tests.parts.issuer",
    "tests.parts.model_server",
    "tests.parts.secrets",
    "tests.parts.stack",
)

# Slow machines fail no test: neither by an example's duration nor by how long it takes to make one.
settings.register_profile("llambda", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("llambda")
