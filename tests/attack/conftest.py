"""Fixtures of the attacks on what callers name."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.upstream import FakeUpstream, running


@pytest.fixture
def store(tmp_path: Path) -> dict[str, Any]:
    return {"type": "sqlite", "db_path": str(tmp_path / "registry.db")}


@pytest.fixture
async def theirs() -> AsyncGenerator[FakeUpstream]:
    """Where an attacker listens."""
    async with running() as upstream:
        yield upstream
