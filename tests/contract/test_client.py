"""The client of the Configuration API, over real sockets: what it sends, what it makes of answers, what it never says."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
import json
import socket
import subprocess
import sys
from threading import Thread
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.client.api import Client
from core.client.failures import ApiFailed, Unreachable
from tests.parts.configured import KEY, MASK, FakeStack, answering
from tests.parts.secrets import plant

CONFIG = {
    "inference": [{"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"url": "http://gpu:12345"}}]
}


@pytest.fixture
def stack() -> Generator[FakeStack]:
    with answering(FakeStack()) as stack:
        yield stack


@pytest.fixture
def client(stack: FakeStack) -> Client:
    return Client(stack.url)


def test_the_call_of_the_seed_registers_what_is_then_inspected(client: Client, stack: FakeStack) -> None:
    assert client.configurations.inspect()["version"] == 0
    made = client.configurations.register(config=json.dumps(CONFIG))
    assert (made["version"], made["active"], made["dropped"]) == (1, True, [])
    found = client.configurations.inspect()
    assert found["version"] == 1
    assert found["providers"]["inference"][0]["config"]["url"] == "http://gpu:12345"
    assert stack.asked[1] == (
        "POST",
        "/v1/configurations",
        {"config": json.dumps(CONFIG), "dry_run": False, "force": False},
    )


def test_a_mapping_is_sent_as_it_is_with_its_flags(client: Client, stack: FakeStack) -> None:
    made = client.configurations.register({"providers": CONFIG}, dry_run=True, force=True)
    assert made["version"] == 1
    assert stack.versions == {}
    assert stack.asked[0][2] == {"config": {"providers": CONFIG}, "dry_run": True, "force": True}


def test_versions_are_listed_page_by_page_shown_reverted_to_and_removed(client: Client, stack: FakeStack) -> None:
    for number in range(3):
        client.configurations.register({"inference": [{"provider_id": "vllm", "config": {"timeout": number}}]})
    first = client.configurations.list(limit=2)
    assert ([row["version"] for row in first["data"]], first["has_more"], first["active"]) == ([3, 2], True, "3")
    rest = client.configurations.list(before=first["last_id"], limit=2)
    assert ([row["version"] for row in rest["data"]], rest["has_more"]) == ([1], False)
    assert stack.asked[-1][1] == "/v1/configurations?before=2&limit=2"
    assert client.configurations.get("1")["owner"] == "ada"
    assert client.configurations.revert(1)["note"] == "reverted to 1"
    client.configurations.unregister(4)
    assert client.configurations.list()["active"] is None
    assert stack.asked[-1][1] == "/v1/configurations"


def test_the_environment_and_the_providers_can_be_asked_for(client: Client, stack: FakeStack) -> None:
    assert client.inspect.environment()["runs_on"]["kind"] == "machine"
    assert client.providers.list()["data"][0]["health"] == {"status": "OK"}
    made = client.providers.register(api="inference", provider_id="acme", provider_type="remote::vllm", config={"a": 1})
    assert (made["version"], made["config"]) == (4, {"a": 1})
    client.providers.unregister("acme/ö")
    assert stack.asked[-1][:2] == ("DELETE", "/v1/providers/acme%2F%C3%B6")


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/", "//", "/v1//"])
def test_the_url_may_have_v1_or_not(stack: FakeStack, tail: str) -> None:
    client = Client(stack.url + tail)
    client.configurations.inspect()
    assert stack.asked[0][1] == "/v1/inspect/configurations"
    assert repr(client) == f"Client('{stack.url}')"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://v1", "http://v1"),
        ("https://v1/", "https://v1"),
        ("https://x.example/prod/v1", "https://x.example/prod"),
        ("http://[::1]:8321/v1", "http://[::1]:8321"),
    ],
)
def test_a_path_before_v1_stays(url: str, kept: str) -> None:
    assert repr(Client(url)) == f"Client('{kept}')"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8321",
        "file:///etc/passwd",
        "ftp://host",
        "http://",
        "http:///v1",
        "http://host?x=1",
        "http://host#x",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://h\u2100st",
        "http://ho st",
        "http://host\r\nX: y",
        "http://müller",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(ValueError, match=r"not the URL of a server; write it as http://127\.0\.0\.1:8321"):
        Client(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    for url in ("http://user:hunter2-and-more@host", "ftp://user:hunter2-and-more@host", "http://u:hunter2-and@[::1"):
        with pytest.raises(ValueError, match="URL") as refused:
            Client(url)
        assert "hunter2" not in str(refused.value)


def test_the_key_goes_with_every_call_and_is_nowhere_to_be_read(stack: FakeStack) -> None:
    stack.key = plant(KEY)
    client = Client(stack.url, KEY)
    client.configurations.inspect()
    client.configurations.register(CONFIG)
    assert [headers["authorization"] for headers in stack.headers] == [f"Bearer {KEY}"] * 2
    assert KEY not in repr(client) + repr(client.configurations) + repr(client.providers)


def test_without_a_key_none_is_sent_and_the_refusal_says_how_to_givepath_of(client: Client, stack: FakeStack) -> None:
    stack.key = KEY
    with pytest.raises(ApiFailed) as refused:
        client.configurations.inspect()
    assert "authorization" not in stack.headers[0]
    assert (refused.value.status, refused.value.code) == (401, "unauthenticated")
    assert "LLAMBDA_API_KEY" in str(refused.value)


@pytest.mark.parametrize("key", ["s3cret here", "s3cret\r\nX: y", "s3cret-ключ", "s3cret\x00"])
def test_a_key_that_no_header_carries_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="API key has a blank or another character") as refused:
        Client("http://host", key)
    assert "s3cret" not in str(refused.value)


def test_a_redirection_is_not_followed_since_it_would_take_the_key_elsewhere(stack: FakeStack) -> None:
    with answering(FakeStack()) as other:
        for status in (301, 302, 303, 307, 308):
            stack.said = [(status, {"location": f"{other.url}/v1?token=hunter2"}, b"")]
            with pytest.raises(ApiFailed, match=f"HTTP {status}: it redirects to {other.url}") as refused:
                Client(stack.url, KEY).configurations.inspect()
            assert "hunter2" not in str(refused.value)
        assert other.asked == []


def test_what_the_server_says_is_said_with_its_code(client: Client) -> None:
    with pytest.raises(ApiFailed) as missing:
        client.configurations.get("no such/thing?")
    assert (missing.value.status, missing.value.code) == (404, "not_found")
    assert str(missing.value) == "HTTP 404: There is no configuration `no such/thing?`."
    unknown = {"inference": [{"provider_id": "gpu", "config": {}}]}
    with pytest.raises(
        ApiFailed, match=r"HTTP 400: providers\.inference\[0\]\.provider_id: there is no inference"
    ) as bad:
        client.configurations.register(unknown)
    assert bad.value.code == "invalid_request"


@pytest.mark.parametrize(
    ("status", "headers", "content", "said"),
    [
        (403, {}, b'{"error": {"message": "No."}}', "HTTP 403: No. Whoever runs the stack can permit it"),
        (403, {}, b'{"message": "Forbidden"}', "HTTP 403: Forbidden Whoever"),
        (429, {"retry-after": "7"}, b'{"error": {"message": "Quota exceeded"}}', "Quota exceeded Try again in 7 s."),
        (500, {"x-request-id": "abc"}, b"", "HTTP 500: the answer is empty. In the stack's log it is request abc."),
        (502, {}, b"<html>Bad Gateway", "HTTP 502: the answer is '<html>Bad Gateway'. Try again in a moment."),
        (503, {}, b"[" * 100_000, "HTTP 503: the answer is '[[["),
        (404, {}, b'{"error": "gone"}', """HTTP 404: the answer is '{"error": "gone"}'."""),
        (404, {}, b'{"error": {"message": 7}}', "HTTP 404: the answer is "),
        (400, {}, b"\xff\x00\x1b[31m", r"HTTP 400: the answer is '.\x00\x1b[31m'."),
    ],
)
def test_refusals_of_all_kinds_are_said_in_one_line(
    client: Client, stack: FakeStack, status: int, headers: dict[str, str], content: bytes, said: str
) -> None:
    stack.said = [(status, headers, content)]
    with pytest.raises(ApiFailed) as refused:
        client.configurations.inspect()
    assert str(refused.value).replace("\ufffd", ".").startswith(said) or said in str(refused.value)
    assert str(refused.value).isprintable() or "\ufffd" in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>hello", "the answer is not JSON: '<html>hello'. Is this the URL of a stack?"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b"[]", "the answer is not the expected Inspected: it has no providers, refresh_seconds, version."),
        (b"", "the answer is not the expected Inspected"),
        (b'{"version": 1, "providers": {}}', "it has no refresh_seconds. Is this the URL of a stack of this version?"),
    ],
)
def test_an_answer_of_something_else_is_no_success(client: Client, stack: FakeStack, content: bytes, said: str) -> None:
    stack.said = [(200, {}, content)]
    with pytest.raises(ApiFailed) as refused:
        client.configurations.inspect()
    assert said in str(refused.value)


def test_an_empty_answer_to_a_removal_is_a_success(client: Client, stack: FakeStack) -> None:
    stack.said = [(204, {}, b"")]
    client.configurations.unregister("1")
    assert stack.asked[-1][:2] == ("DELETE", "/v1/configurations/1")


@contextmanager
def odd(work: Callable[[socket.socket], object]) -> Generator[str]:
    """The URL of a server that does this with its first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                work(connection)

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "closed connection without response"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "IncompleteRead"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\n{}", "IncompleteRead"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"),
    ],
)
def test_half_an_answer_is_unreachable(sent: bytes, reason: str) -> None:
    with odd(lambda connection: connection.sendall(sent)) as url, pytest.raises(Unreachable, match=reason) as lost:
        Client(url, KEY).configurations.inspect()
    assert lost.value.url == url
    assert KEY not in str(lost.value)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}"])
def test_silence_is_unreachable_after_the_timeout(sent: bytes) -> None:
    def wait(connection: socket.socket) -> None:
        connection.sendall(sent)
        connection.recv(1)  # until the client has gone

    with odd(wait) as url, pytest.raises(Unreachable, match=r"cannot be reached: no answer in 0\.2 s"):
        Client(url, timeout=0.2).configurations.inspect()


def test_a_server_that_is_not_there_is_unreachable_and_its_url_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Unreachable, match=f"{url} cannot be reached: Connection refused. Is the stack running") as lost:
        Client(url, KEY).configurations.list()
    assert KEY not in str(lost.value)
    assert lost.value.url == url


def test_a_host_that_cannot_be_a_name_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        Client(f"http://{'a' * 70}.invalid").configurations.inspect()


def test_what_is_no_json_is_not_sent(client: Client, stack: FakeStack) -> None:
    with pytest.raises(ValueError, match="nan"):
        client.configurations.register({"inference": [{"config": {"timeout": float("nan")}}]})
    assert stack.asked == []


def test_a_mask_comes_back_where_a_secret_was_registered(client: Client) -> None:
    secret = plant("a-secret-that-never-comes-back")
    client.configurations.register({"inference": [{"provider_id": "vllm", "config": {"api_token": secret}}]})
    assert client.configurations.get(1)["config"]["providers"]["inference"][0]["config"] == {"api_token": MASK}


def test_the_client_imports_the_standard_library_alone() -> None:
    code = "import sys, core.client.api; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("core.")}
    assert not {"pydantic", "yaml", "aiohttp", "botocore"} & set(done.stdout.split())
    assert {name.split(".")[1] for name in ours} <= {"client", "apis", "config", "frame", "platform", "errors"}


@given(identifier=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_any_identifier_is_one_step_of_the_path(identifier: str) -> None:
    from core.client.shapes import path_of

    path = path_of("configurations", identifier)
    assert path.startswith("/v1/configurations/")
    assert path.count("/") == 3
    assert not set(path) & set("?# ")


def everything(stack: FakeStack) -> list[Any]:
    return [sent for _, _, sent in stack.asked if sent is not None]


def test_nothing_but_the_body_is_sent_as_json(client: Client, stack: FakeStack) -> None:
    client.configurations.list()
    client.configurations.register(CONFIG)
    assert "content-type" not in stack.headers[0]
    assert stack.headers[1]["content-type"] == "application/json"
    assert len(everything(stack)) == 1
