"""Whose credentials an MCP server gets: the caller's and nothing beside them, or the operator's, for endpoints of the run config alone."""

import json
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
import pytest

from core.apis.tools import NO_ACCESS, ToolAccess
from core.errors import InvalidRequest, ProviderUnavailable, UpstreamFailed
from core.providers.mcp.config import Config
from tests.parts.mcp_double import (
    McpDouble,
    acting,
    error,
    group,
    provider,
    result,
    serving,
    stateless,
    status,
)
from tests.parts.upstream import FakeUpstream, Reply

OPERATORS = "operators-secret-0123456789"
STATIC: dict[str, Any] = {
    "servers": [{"url": "http://server", "bearer_token": OPERATORS, "secret_headers": {"X-Api-Key": "other-secret-42"}}]
}
CLIENT: dict[str, Any] = {"client_id": "stack", "client_secret": "client-secret-1"}


def borne(double: McpDouble, name: str = "authorization") -> str | None:
    return double.last("tools/call")[0].get(name)


async def call(made: Any, group: Any, **more: Any) -> Any:
    return await made.invoke_tool(group, "greet", {}, ToolAccess(**more))


async def test_the_operators_secrets_go_to_endpoints_of_the_run_config_and_nowhere_else() -> None:
    double = stateless()
    async with serving(double, STATIC) as (made, tools, _):
        await call(made, tools)
        assert (borne(double), borne(double, "x-api-key")) == (f"Bearer {OPERATORS}", "other-secret-42")
        assert made.credentials_of(tools, NO_ACCESS) == ""
        await call(made, group(tools.endpoint, trusted=False))
        assert (borne(double), borne(double, "x-api-key")) == (None, None)


async def test_an_entry_is_for_its_origin_and_path_and_the_longest_counts() -> None:
    entries = [
        {"url": f"http://server{path}", "bearer_token": token} for path, token in (("", "short"), ("/mcp", "long"))
    ]
    others = [{"url": "http://server/mc", "bearer_token": "x"}, {"url": "http://other.test/mcp", "bearer_token": "x"}]
    double = stateless()
    async with serving(double, {"servers": [*others, *entries]}) as (made, tools, _):
        await call(made, tools)
    assert borne(double) == "Bearer long"


async def test_what_the_caller_brings_replaces_all_that_is_the_operators() -> None:
    double = stateless()
    async with serving(double, STATIC) as (made, tools, _):
        await call(made, tools, authorization="mine", headers={"X-Team": "a"})
        assert [borne(double, name) for name in ("authorization", "x-team", "x-api-key")] == ["Bearer mine", "a", None]
        with_data = made.with_provider_data({"mcp_headers": {tools.endpoint: {"Authorization": "Bearer data"}}})
        await call(with_data, tools, headers={"X-Team": "b"})
        assert [borne(double, name) for name in ("authorization", "x-team", "x-api-key")] == ["Bearer data", "b", None]


async def test_data_is_for_the_endpoint_that_it_names_by_host_and_path() -> None:
    double = stateless()
    async with serving(double) as (made, tools, upstream):
        for uri in (
            "http://other.test/mcp",
            f"{upstream.url}/mcp2",
            f"{upstream.url}/",
            "https" + tools.endpoint[4:],
            "no url",
        ):
            await call(made.with_provider_data({"mcp_headers": {uri: {"Authorization": "Bearer x"}}}), tools)
            assert borne(double) is None, uri
        for uri in (f"{tools.endpoint}/", f"{tools.endpoint}?a=b"):
            await call(made.with_provider_data({"mcp_headers": {uri: {"Authorization": "Bearer x"}}}), tools)
            assert borne(double) == "Bearer x"


@pytest.mark.parametrize(
    "access",
    [
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"Mcp-Session-Id": "x"}},
        {"headers": {"Host": "x"}},
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X A": "a"}},
        {"authorization": "two words"},
        {"authorization": "a", "data": {"AUTHORIZATION": "Bearer b"}},
        {"data": {"content-length": "5"}},
        {"data": []},
    ],
    ids=range(9),
)
async def test_headers_that_nobody_may_set_are_refused_before_anything_is_sent(access: dict[str, Any]) -> None:
    double = stateless()
    data = access.pop("data", None)
    async with serving(double) as (made, tools, _):

        async def attempt() -> None:
            with_data = made if data is None else made.with_provider_data({"mcp_headers": {tools.endpoint: data}})
            await call(with_data, tools, **access)

        with pytest.raises(InvalidRequest) as refused:
            await attempt()
    assert not double.calls
    assert "Bearer" not in refused.value.message.replace("`Bearer `", "")


async def test_digests_tell_callers_apart_and_tell_nothing() -> None:
    made, tools = provider(), group("http://server.test/mcp")
    one, same, other = (made.credentials_of(tools, ToolAccess(authorization=token)) for token in ("a", "a", "b"))
    assert one == same != other
    assert len({one, other, ""}) == 3
    assert made.credentials_of(tools, NO_ACCESS) == ""


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refusal_is_never_the_callers_own_and_says_whose_credentials_it_is_about(code: int) -> None:
    refusal = status(code, www_authenticate='Bearer error="invalid_token", error_description="mine-is-secret"')
    double = McpDouble({"server/discover": refusal})
    async with serving(double, STATIC) as (made, tools, _):
        cases: list[tuple[Any, dict[str, Any], str]] = [
            (tools, {}, "the stack's credentials"),
            (tools, {"authorization": "mine-is-secret"}, "`authorization`"),
            (group(tools.endpoint, trusted=False), {}, "without credentials"),
        ]
        for place, access, whose in cases:
            with pytest.raises(UpstreamFailed, match=whose) as refused:
                await call(made, place, **access)
            assert refused.value.status == 502
            assert f"HTTP {code}, invalid_token" in refused.value.message
            assert "mine-is-secret" not in refused.value.message


async def test_the_operators_secrets_come_back_in_no_answer_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def echo(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        text = json.dumps(dict(request.headers))
        if wrong:
            body = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": text}}
            return web.json_response(body, status=400)
        return await result({"content": [{"type": "text", "text": text}], "structuredContent": {"all": text}})(
            request, message
        )

    async with serving(stateless(call=echo), STATIC) as (made, tools, _):
        for wrong in (False, True):  # noqa: B007 - `echo` reads it
            answer = await call(made, tools)
            assert OPERATORS not in repr(answer)
            assert "other-secret-42" not in repr(answer)
    assert OPERATORS not in caplog.text


async def test_a_callers_own_token_is_in_no_log_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(stateless(call=error(-32603, "bad token: my-own-words"))) as (made, tools, _):
        with pytest.raises(UpstreamFailed) as failure:
            await call(made, tools, authorization="my-own-words")
    assert "my-own-words" not in f"{failure.value.message}{failure.value.reason}{caplog.text}"
    async with serving(stateless(call=error(-32602, "bad token: my-own-words"))) as (made, tools, _):
        assert "my-own-words" not in (await call(made, tools, authorization="my-own-words")).content


def protected(double: McpDouble, token: str) -> Reply:
    """`double` for whoever bears `token`; others are told where tokens are had."""

    async def reply(request: web.Request) -> web.StreamResponse:
        if request.headers.get("authorization") != f"Bearer {token}":
            place = f"http://{request.host}/.well-known/oauth-protected-resource/mcp"
            return web.Response(
                status=401, headers={"www-authenticate": f'Bearer resource_metadata="{place}", scope="a b"'}
            )
        return await double.reply(request)

    return reply


def issuing(upstream: FakeUpstream, tokens: list[str], **more: Any) -> None:
    """An authorization server at the same place, which gives `tokens` in turn, the last for ever."""

    def document(**values: Any) -> Reply:
        async def reply(_: web.Request) -> web.StreamResponse:
            return web.json_response(values)

        return reply

    async def token(_: web.Request) -> web.StreamResponse:
        text = tokens.pop(0) if len(tokens) > 1 else tokens[0]
        return web.json_response({"access_token": text, "token_type": "Bearer", "expires_in": 3600, **more})

    url = upstream.url
    upstream.replies |= {
        "/.well-known/oauth-protected-resource/mcp": document(resource=f"{url}/mcp", authorization_servers=[url]),
        "/.well-known/oauth-authorization-server": document(issuer=url, token_endpoint=f"{url}/token"),
        "/token": token,
    }


def token_requests(upstream: FakeUpstream) -> list[dict[str, list[str]]]:
    return [parse_qs(seen.body) for seen in upstream.seen if seen.path == "/token"]


async def test_client_credentials_are_found_out_kept_and_fetched_again_once_they_are_refused() -> None:
    double = stateless()
    config = {"servers": [{"url": "http://server/mcp", "client_credentials": CLIENT | {"discover": True}}]}
    async with serving(double, config) as (made, tools, upstream):
        issuing(upstream, ["t1", "t2"])
        upstream.replies["/mcp"] = protected(double, "t1")
        await call(made, tools)
        await call(made, tools)
        [asked] = token_requests(upstream)
        assert asked == {"grant_type": ["client_credentials"], "scope": ["a b"], "resource": [tools.endpoint]}
        upstream.replies["/mcp"] = protected(double, "t2")
        await call(made, tools)
        assert len(token_requests(upstream)) == 2
        upstream.replies["/mcp"] = protected(double, "t3")
        with pytest.raises(UpstreamFailed, match="the stack's credentials"):
            await call(made, tools)
        assert len(token_requests(upstream)) == 3
    assert double.count("tools/call") == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [({"error": "invalid_client"}, "HTTP 200, invalid_client"), ({"token_type": "mac"}, "no bearer")],
)
async def test_what_is_no_token_is_said(answer: dict[str, Any], said: str) -> None:
    config = {"servers": [{"url": "http://server/mcp", "client_credentials": CLIENT | {"issuer": "http://server"}}]}
    async with serving(stateless(), config) as (made, tools, upstream):
        issuing(upstream, ["t1"], **answer)
        with pytest.raises(UpstreamFailed, match=said):
            await call(made, tools)
        issuing(upstream, ["t1"], expires_in=None)  # for some minutes then
        for _ in range(2):
            await call(made, tools)
        assert [seen.path for seen in upstream.seen if "well-known" in seen.path] == [
            "/.well-known/oauth-authorization-server"
        ] * 2  # the issuer is the config's word: the server is not asked for it
        assert len(token_requests(upstream)) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"resource": "http://other.test/mcp"}, "for another server"),
        ({"authorization_servers": ["http://server/other"]}, "no metadata"),
        ({"authorization_servers": []}, "names no authorization server"),
    ],
    ids=range(3),
)
async def test_documents_that_contradict_each_other_get_no_secret(wrong: dict[str, Any], said: str) -> None:
    double = stateless()
    config = {"servers": [{"url": "http://server/mcp", "client_credentials": CLIENT | {"discover": True}}]}
    async with serving(double, config) as (made, tools, upstream):
        issuing(upstream, ["t1"])
        values = {"resource": tools.endpoint, "authorization_servers": [upstream.url]} | wrong

        async def document(_: web.Request) -> web.StreamResponse:
            return web.json_response(json.loads(json.dumps(values).replace("http://server", upstream.url)))

        async def none(_: web.Request) -> web.StreamResponse:
            return web.Response(status=404)

        upstream.replies |= {"/mcp": protected(double, "t1"), "/.well-known/oauth-protected-resource/mcp": document}
        upstream.replies |= dict.fromkeys(
            (
                "/.well-known/oauth-authorization-server/other",
                "/.well-known/openid-configuration/other",
                "/other/.well-known/openid-configuration",
            ),
            none,
        )
        with pytest.raises(UpstreamFailed, match=said):
            await call(made, tools)
        assert not token_requests(upstream)


async def test_a_callers_token_is_exchanged_for_one_that_is_for_nobody_else() -> None:
    double = stateless()
    exchange = {"token_url": "http://server/token", "audience": "mcp", **CLIENT}
    config = {"servers": [{"url": "http://server/mcp", "token_exchange": exchange}]}
    async with serving(double, config) as (made, tools, upstream):
        issuing(upstream, ["adas", "bobs"])
        digests: list[str] = []
        for name in ("ada", "ada", "bob"):
            with acting(name, token=f"jwt.of.{name}"):
                await call(made, tools)
                digests.append(made.credentials_of(tools, NO_ACCESS))
            assert borne(double) == ("Bearer bobs" if name == "bob" else "Bearer adas")
        asked = token_requests(upstream)
        assert [form["subject_token"] for form in asked] == [["jwt.of.ada"], ["jwt.of.bob"]]
        assert asked[0]["grant_type"] == ["urn:ietf:params:oauth:grant-type:token-exchange"]
        assert digests[0] == digests[1] != digests[2]
        with acting("key"), pytest.raises(InvalidRequest, match="JWT"):
            await call(made, tools)
        with acting("ada", token="jwt.of.ada"):
            await call(made, tools, authorization="own")
        assert borne(double) == "Bearer own"


async def test_requests_are_signed_for_the_service_that_the_config_names() -> None:
    double = stateless()
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "s" * 40, "region_name": "eu-west-1"}
    async with serving(double, {"servers": [{"url": "http://server", "sigv4": keys}]}) as (made, tools, _):
        await call(made, tools)
    assert "/eu-west-1/bedrock-agentcore/aws4_request" in str(borne(double))
    assert len(double.last("tools/call")[0].getall("content-type")) == 1  # type: ignore[attr-defined]


async def test_a_signature_without_keys_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with serving(stateless(), {"servers": [{"url": "http://server", "sigv4": {"region_name": "eu-west-1"}}]}) as (
        made,
        tools,
        _,
    ):
        with pytest.raises(ProviderUnavailable, match="AWS's credentials"):
            await call(made, tools)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bearer_token": "a b"},
        {"bearer_token": "aws-ssm:"},
        {"secret_headers": {"Authorization": "x"}},
        {"secret_headers": {"Mcp-Name": "x"}},
        {"bearer_token": "a", "sigv4": {}},
        {"client_credentials": {"client_id": "a", "discover": True}},
        {"client_credentials": CLIENT},
        {"client_credentials": CLIENT | {"auth_method": "private_key_jwt", "discover": True}},
        {"sigv4": {"aws_access_key_id": "a"}},
    ],
    ids=range(9),
)
def test_a_config_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="servers"):
        Config.model_validate({"servers": [{"url": "http://server.test"} | wrong]})
