"""Which revision a request speaks, and what its headers must repeat."""

from typing import Any

import pytest

from core.apis.mcp import RpcError, RpcRequest
from core.services.mcp.eras import STATELESS, check_arguments, is_stateless, negotiate
from tests.unit.services.mcp.parts import META, PREFIX

NEW: dict[str, tuple[str, ...]] = {"mcp-protocol-version": (STATELESS,), "mcp-method": ("tools/list",)}
VERSION, CAPABILITIES = f"{PREFIX}protocolVersion", f"{PREFIX}clientCapabilities"


def request(params: dict[str, Any], headers: dict[str, tuple[str, ...]], method: str = "tools/list") -> RpcRequest:
    return RpcRequest(method, params, 1, headers)


@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": ("2025-06-18",)}, {"mcp-method": ("x",)}])
def test_what_names_no_stateless_revision_is_of_an_earlier_one(headers: dict[str, tuple[str, ...]]) -> None:
    assert not is_stateless(request({}, headers))
    assert not is_stateless(request({"_meta": {"progressToken": 1}}, headers))


def test_a_stateless_request_says_so_twice() -> None:
    assert is_stateless(request({"_meta": META}, NEW))


@pytest.mark.parametrize(
    ("params", "headers", "code"),
    [
        ({"_meta": META}, {}, -32020),
        ({"_meta": META}, {**NEW, "mcp-protocol-version": (STATELESS, STATELESS)}, -32020),
        ({"_meta": META}, {**NEW, "mcp-protocol-version": ("2025-06-18",)}, -32020),
        ({}, NEW, -32602),
        ({"_meta": 5}, NEW, -32602),
        ({"_meta": {VERSION: STATELESS}}, NEW, -32602),
        ({"_meta": {CAPABILITIES: {}}}, NEW, -32602),
        ({"_meta": {**META, VERSION: 5}}, NEW, -32602),
        ({}, {"mcp-protocol-version": ("2099-01-01",)}, -32602),
        ({"_meta": {**META, VERSION: "v9"}}, {**NEW, "mcp-protocol-version": ("v9",)}, -32022),
        ({"_meta": META}, {**NEW, "mcp-method": ("TOOLS/LIST",)}, -32020),
        ({"_meta": META}, {"mcp-protocol-version": (STATELESS,)}, -32020),
    ],
)
def test_what_is_wrong_has_its_code_and_is_a_400(
    params: dict[str, Any], headers: dict[str, tuple[str, ...]], code: int
) -> None:
    with pytest.raises(RpcError) as caught:
        is_stateless(request(params, headers))
    assert (caught.value.fault.code, caught.value.fault.status) == (code, 400)


@pytest.mark.parametrize(
    ("header", "good"),
    [(("find",), True), (("=?base64?ZmluZA==?=",), True), ((), False), (("FIND",), False), (("find", "find"), False)],
)
def test_the_name_is_repeated(header: tuple[str, ...], *, good: bool) -> None:
    headers = {"mcp-protocol-version": (STATELESS,), "mcp-method": ("tools/call",), "mcp-name": header}
    call = request({"_meta": META, "name": "find"}, headers, "tools/call")
    if good:
        assert is_stateless(call)
    else:
        with pytest.raises(RpcError, match="mcp-name"):
            is_stateless(call)


def test_what_has_no_name_has_nothing_to_repeat() -> None:
    headers: dict[str, tuple[str, ...]] = {"mcp-protocol-version": (STATELESS,), "mcp-method": ("tools/call",)}
    assert is_stateless(request({"_meta": META}, headers, "tools/call"))


def test_a_schema_without_end_is_looked_into_so_far() -> None:
    schema: dict[str, Any] = {"type": "string", "x-mcp-header": "Deep"}
    for _ in range(20):
        schema = {"properties": {"in": schema}}
    check_arguments(request({}, {}), schema, {})


SCHEMA = {
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "place": {"properties": {"city": {"type": "string", "x-mcp-header": "City"}}},
        "items": {"type": "array", "x-mcp-header": "Items", "items": {"properties": {"x": {"x-mcp-header": "X"}}}},
        "bad": {"type": "string", "x-mcp-header": "not a token"},
    }
}


@pytest.mark.parametrize(
    ("arguments", "headers", "good"),
    [
        ({}, {}, True),
        ({"region": None}, {}, True),
        ({"region": "eu", "bad": "x", "items": []}, {"region": "eu"}, True),
        ({"region": "é"}, {"region": "=?base64?w6k=?="}, True),
        ({"region": "=?base64?w6k="}, {"region": "=?base64?w6k="}, True),
        ({"place": {"city": "Ulm"}}, {"city": "Ulm"}, True),
        ({"place": "Ulm"}, {}, True),
        ({"count": 42, "dry": False}, {"count": "42.0", "dry": "false"}, True),
        ({"count": 2**60 + 1}, {"count": str(2**60 + 1)}, True),
        ({"count": 2**60 + 1}, {"count": str(2**60)}, False),
        ({"count": 10}, {"count": "1_0"}, False),
        ({"dry": True}, {"dry": "1"}, False),
        ({"region": "eu"}, {}, False),
        ({"region": "eu"}, {"region": "us"}, False),
        ({"region": "Hello"}, {"region": "=?base64?SGVsbG8?="}, False),
        ({"region": "Hello"}, {"region": "=?base64?SGVs!!!bG8=?="}, False),
        ({}, {"region": "eu"}, False),
        ({"region": 5}, {"region": "x"}, False),
    ],
)
def test_mirrored_arguments_are_in_their_headers(
    arguments: dict[str, Any], headers: dict[str, str], *, good: bool
) -> None:
    call = request({}, {f"mcp-param-{name}": (value,) for name, value in headers.items()})
    if good:
        check_arguments(call, SCHEMA, arguments)
    else:
        with pytest.raises(RpcError, match="mcp-param"):
            check_arguments(call, SCHEMA, arguments)


def test_a_client_gets_its_version_or_the_newest_that_begins_with_initialize() -> None:
    assert negotiate({"protocolVersion": "2025-03-26"}) == "2025-03-26"
    assert (
        negotiate({"protocolVersion": "2024-11-05"})
        == negotiate({})
        == negotiate({"protocolVersion": []})
        == "2025-11-25"
    )
