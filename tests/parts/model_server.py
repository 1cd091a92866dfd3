"""The local language model for the tests: one chat server and one embedding server for a run."""

from contextlib import AbstractContextManager

import pytest

from infra.local import model_server as servers
from tests.parts.shared import SharedParts


def embedding() -> AbstractContextManager[str]:
    return servers.running(embedding=True)


@pytest.fixture(scope="session")
def model_server(parts: SharedParts) -> str:
    """The base URL, with /v1, of a real model that chats."""
    return parts.get(servers.running)


@pytest.fixture(scope="session")
def embedding_server(parts: SharedParts) -> str:
    """The base URL, with /v1, of a real model that embeds."""
    return parts.get(embedding)
