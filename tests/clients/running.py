"""A script of tests/clients/scripts in the environment of a real client."""

from collections.abc import Iterable
import json
import os
import subprocess
from typing import Any, Final

import pytest

from infra.local import clients
from tests.parts.stack import ROOT

IN_EVERY_RUN: Final = {"llama-stack-client-0.2", "openai-3"}
"""The oldest generation and the newest; the others are for `make conformance`."""


def marks(client: str) -> Any:
    return () if client in IN_EVERY_RUN else pytest.mark.conformance


def params(names: Iterable[str] = clients.names()) -> list[Any]:
    return [pytest.param(name, marks=marks(name)) for name in names]


def results(client: str, script: str, *arguments: str, **variables: str) -> dict[str, str | None]:
    """What was wrong with each of the script's scenarios, or None."""
    command = [str(clients.python_of(client)), "-m", script, *arguments]
    env = os.environ | variables
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    results: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return results


def check(client: str, script: str, *arguments: str, **variables: str) -> None:
    """Every scenario of a script goes well."""
    failures = [text for text in results(client, script, *arguments, **variables).values() if text is not None]
    assert not failures, "\n".join(failures)
