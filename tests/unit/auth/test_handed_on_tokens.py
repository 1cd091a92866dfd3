"""A caller's token is kept for the call where a provider exchanges it, and nowhere else."""

from typing import Any

import pytest
from starlette.requests import Request

from core.auth.authenticator import Authenticator
from core.config.load import interpret
from core.frame.callers import Call, Principal
from core.resolution.protection import _exchanges_tokens

JWT = "eyJh.eyJz.c2ln"


def request(token: str) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})


@pytest.mark.parametrize(
    ("hands_on", "token", "kept"), [(True, JWT, JWT), (False, JWT, ""), (True, "llambda_key_1", "")]
)
def test_only_a_jwt_is_kept_and_only_where_it_is_exchanged(*, hands_on: bool, token: str, kept: str) -> None:
    services: Any = None
    assert Authenticator([], services, hands_on=hands_on).token_of(request(token)) == kept


def test_the_stack_itself_has_no_callers_token_and_no_call_shows_it() -> None:
    call = Call(Principal("ada", {}), token=JWT)
    assert (call.cause().token, call.cause(internal=True).token) == (JWT, "")
    assert JWT not in repr(call)


@pytest.mark.parametrize(
    ("servers", "exchanges"),
    [([{"url": "https://a.test", "token_exchange": {}}], True), ([{"url": "https://a.test"}], False), (None, False)],
    ids=range(3),
)
def test_the_run_config_says_whether_tokens_are_exchanged(servers: Any, *, exchanges: bool) -> None:
    config = {} if servers is None else {"servers": servers}
    entry = {"provider_id": "mcp", "provider_type": "remote::model-context-protocol", "config": config}
    document = {"version": 2, "image_name": "t", "apis": ["tool_runtime"], "providers": {"tool_runtime": [entry]}}
    assert _exchanges_tokens(interpret(document, {})) == exchanges
