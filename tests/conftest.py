"""Fixtures for all tests live in plugins beside what they start: tests/parts."""

import asyncio
from collections.abc import Generator
import os
import sys

import coverage
from hypothesis import HealthCheck, settings
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["COLUMNS"] = "1000"  # pytest-xdist sets 80; messages are a line each, as where nothing is set

asyncio.set_event_loop(
    None
)  # else pytest-asyncio makes one with the first test, which the first asyncio.run drops unclosed

pytest_plugins = (
    "tests.parts.shared",
    "tests.parts.moto",  # before those that import it
    "tests.parts.cognito",
    "tests.parts.dynamodb",
    "tests.parts.figures",
    "tests.parts.issuer",
    "tests.parts.model_server",
    "tests.parts.postgres",
    "tests.parts.secrets",
    "tests.parts.stack",
)

if "MEASURE" in os.environ:  # by `make test`: here and in pytest-xdist's workers, but in no process that a test starts
    coverage.Coverage(auto_data=True).start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Hundreds of examples reach what other tests reach too, and to measure them costs most of what they take again."""
    tracing = sys.gettrace() if hasattr(getattr(item, "obj", None), "hypothesis") else None
    if tracing is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracing)


# Slow machines fail no test: neither by an example's duration nor by how long it takes to make one.
settings.register_profile("llambda", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("llambda")
