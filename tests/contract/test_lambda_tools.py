"""Lambda functions as tools, over a double of Invoke that checks signatures."""

from datetime import timedelta
import json
from typing import Any, Final

from pydantic import ValidationError
import pytest

from core.apis.tools import NO_ACCESS, ToolAccess, ToolGroup, ToolResult
from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.frame.tracing import REQUEST_ID
from core.providers.aws_lambda.config import Config
from tests.parts.lambda_functions import ARN, Answer, lambda_tools, tool
from tests.parts.s3_vectors_model import Refusal

ORDERS: Final = ToolGroup("shop::orders", "orders", trusted=True)
SCHEMA: Final = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def echo(event: Any, custom: dict[str, Any]) -> Any:
    return {"event": event, "custom": custom}


async def test_the_event_is_the_arguments_and_the_context_is_as_agentcore_has_it() -> None:
    async with lambda_tools({"orders": echo}) as (double, provider):
        token = REQUEST_ID.set("req_1")
        arguments = {"id": "7", "deep": [{"ä": None}, 1.5]}
        result = await provider.invoke_tool(ORDERS, "run", arguments, ToolAccess("token", {"x": "y"}))
        REQUEST_ID.reset(token)
        again = await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
    assert result.structured is not None
    assert again.structured is not None
    custom, other = result.structured["custom"], again.structured["custom"]
    assert result.structured["event"] == arguments
    assert custom.pop("bedrockAgentCoreMcpMessageId") != other.pop("bedrockAgentCoreMcpMessageId")
    assert custom == {
        "bedrockAgentCoreMessageVersion": "1.0",
        "bedrockAgentCoreAwsRequestId": "req_1",
        "bedrockAgentCoreGatewayId": "llambda",
        "bedrockAgentCoreTargetId": "orders",
        "bedrockAgentCoreToolName": "orders___run",
    }
    assert other["bedrockAgentCoreAwsRequestId"]  # functions read it, whoever calls
    assert len(double.invoked) == 2


async def test_a_call_that_is_made_again_is_known_by_its_key() -> None:
    async with lambda_tools({"orders": echo}) as (_, provider):
        result = await provider.invoke_tool(ORDERS, "run", {}, ToolAccess(key="resp_1:call_0"))
    assert result.structured is not None
    assert result.structured["custom"]["bedrockAgentCoreMcpMessageId"] == "resp_1:call_0"


@pytest.mark.parametrize("name", ["orders", "orders:live", f"{ARN}orders", f"{ARN}orders:$LATEST"])
async def test_a_function_is_called_by_its_name_or_arn_with_an_alias_or_a_version(name: str) -> None:
    row = {"function": name, "tools": [tool("run")]}
    async with lambda_tools({name.removeprefix(ARN): echo}, row) as (double, provider):
        await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
    assert [called for called, _, _ in double.invoked] == [name.removeprefix(ARN)]


async def test_what_a_group_lists_is_what_the_run_config_says_and_nobody_is_asked() -> None:
    rows = [
        tool(
            "get",
            description="One order.",
            title="Get",
            inputSchema=SCHEMA,
            outputSchema={"type": "object"},
            read_only=True,
        ),
        {"name": "all", "input_schema": SCHEMA},
    ]
    async with lambda_tools({}, {"function": "shop-prod", "name": "orders", "tools": rows}) as (double, provider):
        listing = await provider.list_tools(ORDERS, NO_ACCESS)
        own = ToolGroup("mine", "mine", args={"function": "orders"}, trusted=True)
        assert await provider.list_tools(own, NO_ACCESS) == listing
        assert provider.credentials_of(ORDERS, ToolAccess("token")) == ""
    [get, every] = listing.tools
    assert (get.name, get.description, get.title, get.read_only) == ("get", "One order.", "Get", True)
    assert (get.input_schema, get.output_schema) == (SCHEMA, {"type": "object"})
    assert (every.description, every.output_schema, every.read_only) == ("", None, None)
    assert not double.invoked


TEXT: Final = {"type": "text", "text": "a"}
RESULTS: list[tuple[Any, ToolResult]] = [
    (None, ToolResult("")),
    ("It is sunny", ToolResult("It is sunny")),
    (7, ToolResult("7")),
    ([1, "ä"], ToolResult('[1,"ä"]')),
    ({"total": 2.5}, ToolResult('{"total":2.5}', structured={"total": 2.5})),
    ({"content": [TEXT]}, ToolResult([TEXT])),  # type: ignore[list-item]
    ({"content": [{"text": "a"}], "isError": True}, ToolResult([TEXT], failed=True)),  # type: ignore[list-item]
    ({"content": [TEXT], "structuredContent": {"b": 1}}, ToolResult([TEXT], structured={"b": 1})),  # type: ignore[list-item]
    (
        {"content": [TEXT], "next": 2},
        ToolResult(
            json.dumps({"content": [TEXT], "next": 2}, separators=(",", ":")), structured={"content": [TEXT], "next": 2}
        ),
    ),
    (
        {"content": [{"type": "image", "data": 1}]},
        ToolResult('{"content":[{"type":"image","data":1}]}', structured={"content": [{"type": "image", "data": 1}]}),
    ),
    (
        {"content": [{"type": "image", "data": "eA=="}]},
        ToolResult(
            '{"content":[{"type":"image","data":"eA=="}]}', structured={"content": [{"type": "image", "data": "eA=="}]}
        ),
    ),
    ({"content": [{"type": []}]}, ToolResult('{"content":[{"type":[]}]}', structured={"content": [{"type": []}]})),
    ({"statusCode": 200, "body": '{"n":1}'}, ToolResult('{"n":1}')),
    ({"statusCode": 404, "body": "no such order"}, ToolResult("no such order", failed=True)),
    ({"statusCode": 200, "body": {"n": 1}, "headers": {}}, ToolResult('{"n":1}', structured={"n": 1})),
    (Answer(b""), ToolResult("")),
]


@pytest.mark.parametrize(("returned", "expected"), RESULTS, ids=range(len(RESULTS)))
async def test_what_a_function_returns_is_a_result(returned: Any, expected: ToolResult) -> None:
    async with lambda_tools({"orders": lambda *_: returned}) as (_, provider):
        assert await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS) == expected


UNHANDLED: Final = {"errorType": "KeyError", "errorMessage": "no order 7", "stackTrace": ["/var/task/secret.py line 3"]}


@pytest.mark.parametrize(
    ("body", "text", "kind"),
    [
        (json.dumps(UNHANDLED).encode(), "no order 7", "KeyError"),
        (
            b'{"errorMessage": "  ", "errorType": "Runtime.ExitError"}',
            "The function failed, and did not say why.",
            "Runtime.ExitError",
        ),
        (b"[]", "The function failed, and did not say why.", None),
        (b"", "The function failed, and did not say why.", None),
    ],
)
async def test_a_function_that_fails_says_its_message_and_not_where_in_its_code(
    body: bytes, text: str, kind: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with lambda_tools({"orders": lambda *_: Answer(body, failed=True)}) as (_, provider):
        result = await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
    assert (result.failed, result.content, result.metadata.get("error_type")) == (True, text, kind)
    assert "secret.py" not in f"{result}{caplog.text}"
    assert "no order" not in caplog.text


@pytest.mark.parametrize(
    ("refusal", "kind", "text"),
    [
        (
            Refusal(403, "AccessDeniedException", "User: arn:aws:sts::1:x"),
            UpstreamFailed,
            "Function `orders` of provider `functions` may not be called: .*`lambda:InvokeFunction` on it",
        ),
        (
            Refusal(404, "ResourceNotFoundException", ARN),
            ProviderUnavailable,
            "Function `orders` of provider `functions` is not there: correct `function`",
        ),
        (Refusal(429, "TooManyRequestsException", "Rate Exceeded."), UpstreamThrottled, "as many calls at once"),
        (
            Refusal(403, "UnrecognizedClientException", "token"),
            UpstreamFailed,
            "Provider `functions` refused the stack's credentials",
        ),
        (Refusal(409, "ResourceConflictException", "x"), ProviderUnavailable, "not ready yet. Try again"),
        (Refusal(400, "RecursiveInvocationException", "x"), UpstreamFailed, "call itself through this stack"),
        (Refusal(502, "KMSDisabledException", ARN), UpstreamFailed, "the KMS key is disabled"),
        (Refusal(413, "RequestTooLargeException", "x"), InvalidRequest, "at most 6 MB"),
        (
            Refusal(502, "EC2UnexpectedException", ARN),
            UpstreamFailed,
            "Function `orders` of provider `functions` failed to answer",
        ),
        (Refusal(500, "ServiceException", "x"), UpstreamFailed, "failed to answer"),
        (
            Refusal(503, "ServiceUnavailableException", "x"),
            ProviderUnavailable,
            "Provider `functions` is not available",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Refusal) else "",
)
async def test_a_refusal_says_what_to_do_and_is_not_repeated(refusal: Refusal, kind: type[ApiError], text: str) -> None:
    async with lambda_tools({"orders": echo}) as (double, provider):
        double.refuse = [refusal]
        with pytest.raises(kind, match=text) as raised:
            await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
        assert not double.invoked
    assert "arn:" not in raised.value.message
    assert raised.value.reason == refusal.kind
    assert (raised.value.headers.get("retry-after") == "7") == (refusal.status in {429, 503})


async def test_without_a_region_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    async with lambda_tools({"orders": echo}, region_name=None) as (_, provider):
        with pytest.raises(ProviderUnavailable, match="`region_name` in its config"):
            await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)


async def test_a_call_is_sent_once_where_the_function_may_have_run() -> None:
    def slow(event: Any, custom: dict[str, Any]) -> Any:
        del event, custom
        return Answer(b"x" * 200_000)

    async with lambda_tools({"orders": slow}, limits={"max_bytes": 1024}) as (double, provider):
        with pytest.raises(UpstreamFailed, match="sent an answer that is too large"):
            await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
        assert len(double.invoked) == 1


async def test_a_function_that_takes_too_long_may_still_be_at_work() -> None:
    async with lambda_tools({"orders": echo}, read_timeout=0.1) as (double, provider):
        double.delay = 0.4
        with pytest.raises(UpstreamTimeout, match="may still be at work; `read_timeout`"):
            await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
        assert len(double.invoked) == 1


async def test_a_wrong_clock_is_put_right_and_the_function_runs_once() -> None:
    async with lambda_tools({"orders": echo}) as (double, provider):
        double.skew = timedelta(hours=2)
        await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)
        assert len(double.invoked) == 1


async def test_what_is_no_json_is_the_functions_fault() -> None:
    async with lambda_tools({"orders": lambda *_: Answer(b"<html>")}) as (_, provider):
        with pytest.raises(UpstreamFailed, match="did not answer with valid JSON"):
            await provider.invoke_tool(ORDERS, "run", {}, NO_ACCESS)


GROUPS: Final = [
    (
        ToolGroup("g", "order", trusted=True),
        "has no function `order`; did you mean `orders`\\? Name one of `functions`",
        "args.function",
    ),
    (
        ToolGroup("g", "orders", args={"function": "payroll"}, trusted=True),
        "has no function `payroll`. Name one",
        "args.function",
    ),
    (
        ToolGroup("g", "orders"),
        "declared at `tool_groups` of the run config: .*`allow_registered_groups`",
        "provider_id",
    ),
    (ToolGroup("g", "orders", "https://example.com/mcp", trusted=True), "leave out `mcp_endpoint`", "mcp_endpoint"),
]


@pytest.mark.parametrize(("group", "text", "param"), GROUPS, ids=range(len(GROUPS)))
async def test_only_functions_of_the_run_config_are_called_and_only_for_its_groups(
    group: ToolGroup, text: str, param: str
) -> None:
    async with lambda_tools({"orders": echo, "payroll-prod": echo}, {"function": "orders", "tools": [tool("run")]}) as (
        double,
        provider,
    ):
        for call in (
            provider.check_tool_group(group),
            provider.list_tools(group, NO_ACCESS),
            provider.invoke_tool(group, "run", {}, NO_ACCESS),
        ):
            with pytest.raises(InvalidRequest, match=text) as refused:
                await call
            assert refused.value.param == param
        with pytest.raises(NotFound, match="has no tool `gone`"):
            await provider.invoke_tool(ORDERS, "gone", {}, NO_ACCESS)
        assert not double.invoked


async def test_callers_register_groups_where_the_config_says_so() -> None:
    async with lambda_tools({"orders": echo}, allow_registered_groups=True) as (_, provider):
        group = ToolGroup("mine", "mine", args={"function": "orders"})
        await provider.check_tool_group(group)
        assert not (await provider.invoke_tool(group, "run", {}, NO_ACCESS)).failed


async def test_health_asks_for_every_function_and_runs_none() -> None:
    rows = [{"function": name, "tools": [tool("run")]} for name in ("orders", "gone")]
    async with lambda_tools({"orders": echo}, *rows) as (double, provider):
        health = await provider.health()
        assert health["status"] == "Error"
        assert "Function `gone` of provider `functions` is not there" in health["message"]
        double.functions["gone"] = echo
        assert await provider.health() == {"status": "OK"}
        assert not double.invoked
        assert sorted(double.dry) == ["gone", "orders", "orders"]


RUN: Final = [tool("run")]
MISTAKES: Final[list[tuple[dict[str, Any], str]]] = [
    ({"functions": []}, "at least 1 item"),
    ({"functions": [{"function": "a b", "tools": RUN}]}, "pattern"),
    ({"functions": [{"function": "arn:aws:s3:::bucket", "tools": RUN}]}, "pattern"),
    ({"functions": [{"function": "a", "tools": []}]}, "at least 1 item"),
    ({"functions": [{"function": "a", "tools": [{"name": "a b"}]}]}, "pattern"),
    (
        {"functions": [{"function": "a", "tools": [{"name": "a", "input_schema": {"type": "string"}}]}]},
        "schema of an object",
    ),
    ({"functions": [{"function": "a", "tools": [{"name": "a", "schema": {}}]}]}, "Extra inputs"),
    ({"functions": [{"function": "a", "tools": RUN, "alias": "live"}]}, "Extra inputs"),
    ({"functions": [{"function": "a", "tools": [*RUN, *RUN]}]}, "two tools of one name"),
    ({"functions": [{"function": "a___b", "tools": RUN}]}, "give another `name`"),
    ({"functions": [{"function": "a", "tools": RUN}, {"function": "a:live", "tools": RUN}]}, "give each its `name`"),
    (
        {
            "region_name": "eu-west-1",
            "functions": [{"function": "arn:aws:lambda:us-east-1:123456789012:function:a", "tools": RUN}],
        },
        "a provider for each",
    ),
]


@pytest.mark.parametrize(("config", "text"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_of_the_config_are_said(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Config.model_validate(config)
