"""The built functions hear of what is registered: each environment by itself, within the bound, and only from operators."""

from collections.abc import Generator
import json
from pathlib import Path
import time
from typing import Any

import pytest

from tests.lambda_ import keys
from tests.lambda_.conftest import function, written
from tests.lambda_.emulator import Function
from tests.lambda_.events import Call, event
from tests.parts.live_stack import entry
from tests.parts.upstream import FakeUpstream, in_thread

CHAT = {"model": "vllm/m", "messages": [{"role": "user", "content": "hi"}]}
PATIENCE = 30.0
POLICY = [
    {
        "permit": {"actions": ["create", "read", "delete"], "resource": "configuration::*"},
        "when": "user with admin in roles",
    },
    {"permit": {"actions": "read", "resource": "model::*"}},
]


@pytest.fixture(scope="module")
def config(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run config with the Configuration API, API keys and a rule for admins."""
    server = {"auth": {"providers": [{"type": "api_key"}], "access_policy": POLICY}}
    path = written(tmp_path_factory.mktemp("configured"), upstream, server)
    path.write_text(
        json.dumps(
            json.loads(path.read_text("utf-8"))
            | {"configurations": {"refresh_seconds": 0.5, "allow_private_urls": True}}
        ),
        "utf-8",
    )
    return path


@pytest.fixture(scope="module")
def inference(packages: dict[str, Path], config: Path) -> Generator[Function]:
    yield from function("inference", packages, config)


@pytest.fixture(scope="module")
def admin(packages: dict[str, Path], config: Path) -> Generator[Function]:
    yield from function("admin", packages, config)


def asked(function: Function, key: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    text = None if body is None else json.dumps(body)
    answer = function.invoke(event("rest", Call(method, path, text, [("Authorization", f"Bearer {key}")])))
    return answer["statusCode"], json.loads(answer["body"])


def test_what_an_operator_registers_with_one_function_the_other_serves(
    inference: Function, admin: Function, config: Path
) -> None:
    operator, user = (
        keys.created("--config", str(config), "--name", name, *roles)
        for name, roles in (("ops", ("--roles", "admin")), ("app", ()))
    )
    with in_thread(FakeUpstream()) as other:
        body = entry({"url": other.url}, "vllm")
        assert asked(inference, user, "POST", "/v1/chat/completions", CHAT)[0] == 200
        assert asked(admin, user, "POST", "/v1/configurations", body)[0] == 403
        assert asked(admin, operator, "POST", "/v1/configurations", body)[0] == 200
        end = time.monotonic() + PATIENCE
        while not any(seen.path == "/v1/chat/completions" for seen in other.seen):
            assert time.monotonic() < end
            assert asked(inference, user, "POST", "/v1/chat/completions", CHAT)[0] == 200
            time.sleep(0.1)
        code, view = asked(admin, operator, "GET", "/v1/inspect/configurations")
        assert (code, view["version"], view["providers"]["inference"][0]["config"]["url"]) == (200, 1, other.url)
        assert asked(admin, operator, "DELETE", "/v1/configurations/1") == (200, None)
