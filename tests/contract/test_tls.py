"""Certificates are read late, and never not at all: TLS with real servers, in processes of their own."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
import json
import os
from pathlib import Path
import ssl
import sys
from typing import Any

import pytest
import trustme

from core.platform.aws_http import session_class
from core.platform.tls import LazyContext
from tests.parts.stack import ROOT

ASKS = """
import asyncio, sys
from core.platform.tls import lazy_defaults
with lazy_defaults():
    import aiohttp

async def main():
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(sys.argv[1]) as answer:
                print(answer.status)
        except aiohttp.ClientError as failure:
            print(type(failure).__name__)
    print(type(aiohttp.connector._SSL_CONTEXT_VERIFIED).__name__)

asyncio.run(main())
"""
TABLE = """
import asyncio, sys
from core.errors import ApiError
from core.platform.dynamodb_table import Table

async def main():
    table = Table("t", region="us-east-1", endpoint_url=sys.argv[1])
    try:
        async with table.client() as client:
            print((await client.get_item(TableName="t", Key={"pk": {"S": "a"}}))["ResponseMetadata"]["HTTPStatusCode"])
    except ApiError as failure:
        print(failure.message)
    await table.close()

asyncio.run(main())
"""
FUNCTION = """
import functions.inference, json, sys
from types import SimpleNamespace
context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 60_000)
print(functions.inference.handler(json.loads(sys.argv[1]), context)["statusCode"])
"""
KEYS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
BODY = json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}], "choices": [CHOICE]}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"


SIGNS = """
import asyncio, sys
from core.platform.signed_json import CallOptions, SignedJson
from core.providers.aws.clients import AwsClients, AwsConfig

async def main(url):
    clients = AwsClients(AwsConfig(aws_access_key_id="a", aws_secret_access_key="b"))
    signed = SignedJson("s3vectors", clients, CallOptions("us-east-1", url))
    try:
        print((await signed.post("GetVectorBucket", b"{}"))["object"])
    except Exception as failure:
        print(type(failure).__name__)
    await signed.close()
    await clients.close()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


@asynccontextmanager
async def served(authority: trustme.CA | None, name: str = "127.0.0.1") -> AsyncGenerator[str]:
    """The URL of a server that always answers the same; with a certificate for `name` where there is an authority."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER % (len(BODY), BODY))
        writer.close()

    tls = None
    if authority is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(tls)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def said(program: str, argument: str, more: Mapping[str, str]) -> list[str]:
    environment = {"PATH": os.environ["PATH"], **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, argument, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return output.decode().splitlines()


async def test_a_server_that_nobody_vouches_for_is_refused_though_certificates_are_read_late(
    authority: trustme.CA,
) -> None:
    async with served(authority) as url:
        assert await said(ASKS, url, {}) == ["ClientConnectorCertificateError", "SSLContext"]


async def test_a_signed_call_trusts_whom_the_sdk_is_told_to(authority: trustme.CA, tmp_path: Path) -> None:
    async with served(authority) as url:
        assert await said(SIGNS, url, {}) == ["SSLError"]
        assert await said(SIGNS, url, {"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}) == ["list"]


async def test_a_server_that_the_system_trusts_is_asked(authority: trustme.CA, tmp_path: Path) -> None:
    async with served(authority) as url:
        assert await said(ASKS, url, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}) == ["200", "SSLContext"]


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    async with served(authority, "example.org") as url:
        found = await said(ASKS, url, {"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
        assert found == ["ClientConnectorCertificateError", "SSLContext"]


async def test_without_tls_no_certificate_is_read() -> None:
    async with served(None) as url:
        assert await said(ASKS, url, {}) == ["200", "LazyContext"]


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_functions_upstream_must_be_trusted(authority: trustme.CA, tmp_path: Path, *, trusted: bool) -> None:
    async with served(authority) as url:
        provider = {"provider_id": "v", "provider_type": "remote::vllm", "config": {"url": url}}
        document = {
            "version": 2,
            "image_name": "t",
            "apis": ["inference"],
            "providers": {"inference": [provider]},
            "models": [{"model_id": "mine", "provider_model_id": "m"}],
            "metadata_store": {"type": "sqlite", "db_path": str(tmp_path / "registry.db")},
        }
        config = tmp_path / "run.json"
        config.write_text(json.dumps(document))
        variables = {"LLAMBDA_CONFIG": str(config)}
        if trusted:
            variables["SSL_CERT_FILE"] = str(tmp_path / "ca.pem")
        assert await said(FUNCTION, json.dumps(asked()), variables) == ["200" if trusted else "502"]


def asked() -> dict[str, Any]:
    body = {"model": "mine", "messages": [{"role": "user", "content": "Hi"}]}
    return {
        "version": "2.0",
        "rawPath": "/v1/chat/completions",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": "POST", "path": "/v1/chat/completions", "sourceIp": "127.0.0.1"},
            "stage": "$default",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_sdk_asks_only_whom_its_authorities_vouch_for(
    authority: trustme.CA, tmp_path: Path, *, trusted: bool
) -> None:
    async with served(authority) as url:
        bundle = {"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")} if trusted else {}
        [line] = await said(TABLE, url, KEYS | bundle)
        assert line == ("200" if trusted else "The DynamoDB table `t` cannot be reached.")


async def test_the_sdk_asks_nobody_when_its_bundle_cannot_be_read(authority: trustme.CA, tmp_path: Path) -> None:
    async with served(authority) as url:
        [line] = await said(TABLE, url, KEYS | {"AWS_CA_BUNDLE": str(tmp_path / "none.pem")})
        assert line == "The DynamoDB table `t` cannot be reached."


async def test_all_clients_of_the_sdk_read_one_bundle_once(tmp_path: Path, authority: trustme.CA) -> None:
    del authority
    bundle = str(tmp_path / "ca.pem")
    sessions = [session_class()(verify=verify, timeout=1) for verify in (bundle, bundle, False)]
    first, second, other = [await session._create_connector(None) for session in sessions]
    assert first._ssl is second._ssl
    assert isinstance(first._ssl, LazyContext)
    assert (first._ssl.verify_mode, first._ssl.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert other._ssl.verify_mode is ssl.CERT_NONE
    for connector in (first, second, other):
        await connector.close()
