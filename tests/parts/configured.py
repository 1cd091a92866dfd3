"""A small HTTP server, in a thread of its own, that answers as the Configuration API's contract says."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from threading import Thread
from typing import Any, override
from urllib.parse import parse_qs, unquote, urlsplit

USER_FIELDS = ("url", "timeout", "api_token")
MASK = "********"
KEY = "llambda_0123456789ab_a-key-for-the-tests-alone"

type Answer = tuple[int, Any]


def error(status: int, message: str, code: str) -> Answer:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


@dataclass
class FakeStack:
    """One inference provider, `vllm`. `asked` is what came, `said` what to answer instead, once; of status 0, nothing."""

    url: str = ""
    key: str | None = None
    versions: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    latest: int = 0
    active: int = 0
    asked: list[tuple[str, str, Any]] = field(default_factory=list[tuple[str, str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    said: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list[tuple[int, dict[str, str], bytes]])
    most: int = 100

    def answer(self, method: str, target: str, body: Any) -> Answer:
        path = [unquote(part) for part in urlsplit(target).path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        match method, path:
            case "GET", ["v1", "inspect", "configurations"]:
                return 200, self.inspected()
            case "GET", ["v1", "inspect", "environment"]:
                return 200, {"version": "0.1.0", "runs_on": {"kind": "machine"}, "upstreams": []}
            case "GET", ["v1", "configurations"]:
                return 200, self.page(int(query.get("before", 10**9)), min(int(query.get("limit", 100)), self.most))
            case "POST", ["v1", "configurations"]:
                return self.registered(body)
            case "GET" | "DELETE", ["v1", "configurations", identifier]:
                return self.one(method, identifier)
            case _:
                return self.provider(method, path, body)

    def provider(self, method: str, path: list[str], body: Any) -> Answer:
        match method, path:
            case "GET", ["v1", "providers"]:
                shown = {"api": "inference", "provider_id": "vllm", "provider_type": "remote::vllm", "config": {}}
                return 200, {"data": [shown | {"health": {"status": "OK"}}]}
            case "POST", ["v1", "providers"]:
                return 200, body | {"version": 4}
            case "DELETE", ["v1", "providers", "acme/ö"]:
                return 200, None
            case _:
                return error(404, f"There is no route /{'/'.join(path)}.", "not_found")

    def inspected(self) -> dict[str, Any]:
        config = {"url": "http://localhost:8000", "timeout": 60.0, "api_token": None, "max_connections": 64}
        config |= self.versions.get(self.active, {"config": {}})["config"]
        entry = {"provider_id": "vllm", "provider_type": "remote::vllm", "config": masked(config)}
        providers = {"inference": [entry | {"discovered": ["max_connections"]}], "safety": []}
        return {"version": self.active, "refresh_seconds": 10.0, "providers": providers}

    def page(self, before: int, limit: int) -> dict[str, Any]:
        rows = [version for version in sorted(self.versions, reverse=True) if version < before]
        data = [self.shown(version) for version in rows[:limit]]
        ends = {"first_id": data[0]["identifier"], "last_id": data[-1]["identifier"]} if data else {}
        active = str(self.active) if self.active else None
        more = {"has_more": len(rows) > limit, "active": active, "first_id": None, "last_id": None}
        return {"object": "list", "data": data, **more, **ends}

    def registered(self, body: dict[str, Any]) -> Answer:
        if "revert_to" in body:
            config = self.versions[int(body["revert_to"])]["config"]
            return 200, self.added(config, f"reverted to {body['revert_to']}") | {"dropped": []}
        given = json.loads(body["config"]) if isinstance(body["config"], str) else body["config"]
        inner = given.get("providers", given)
        problems = [
            f"providers.inference[{index}].provider_id: there is no inference provider `{entry['provider_id']}`"
            for index, entry in enumerate(inner.get("inference", []))
            if entry["provider_id"] != "vllm"
        ]
        if problems:
            return error(400, "; ".join(problems), "invalid_request")
        sent = inner["inference"][0]["config"]
        dropped = [f"providers.inference[0].config.{name}" for name in sent if name not in USER_FIELDS]
        merged = self.versions.get(self.active, {"config": {}})["config"] | sent
        config = {name: value for name, value in merged.items() if name in USER_FIELDS and value is not None}
        if body["dry_run"]:
            shown = self.configuration(self.latest + 1, {"config": config, "note": "registered", "owner": "ada"})
            return 200, shown | {"dropped": dropped, "dry_run": True}
        return 200, self.added(config, "registered") | {"dropped": dropped, "withheld": [], "dry_run": False}

    def added(self, config: dict[str, Any], note: str = "", owner: str = "ada", **more: str) -> dict[str, Any]:
        self.latest += 1
        self.active = self.latest
        self.versions[self.latest] = {"config": config, "note": note, "owner": owner, "more": more}
        return self.shown(self.latest)

    def one(self, method: str, identifier: str) -> Answer:
        if not identifier.isdecimal() or int(identifier) not in self.versions:
            return error(404, f"There is no configuration `{identifier}`.", "not_found")
        if method == "GET":
            return 200, self.shown(int(identifier))
        del self.versions[int(identifier)]
        self.active = 0 if self.active == int(identifier) else self.active
        return 200, None

    def shown(self, version: int) -> dict[str, Any]:
        return self.configuration(version, self.versions[version])

    def configuration(self, version: int, row: dict[str, Any]) -> dict[str, Any]:
        entry = {"provider_id": "vllm", "provider_type": "remote::vllm", "config": masked(row["config"])}
        return {
            "identifier": str(version),
            "version": version,
            "type": "configuration",
            "active": version == self.active,
            "config": {"providers": {"inference": [entry]} if row["config"] else {}},
            "owner": row["owner"],
            **row.get("more", {}),
            "created": 1_780_000_000 + 60 * version,
            "note": row["note"],
        }


def masked(config: dict[str, Any]) -> dict[str, Any]:
    return {name: MASK if name == "api_token" and value else value for name, value in config.items()}


@contextmanager
def answering(stack: FakeStack) -> Generator[FakeStack]:
    """The stack at `stack.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            is_form = self.headers.get("content-type", "").startswith("multipart/")
            sent = body.decode("latin-1") if is_form else json.loads(body) if body else None
            stack.asked.append((self.command, self.path, sent))
            stack.headers.append({name.lower(): value for name, value in self.headers.items()})
            headers: dict[str, str] = {}
            if stack.said:
                status, headers, content = stack.said.pop(0)
                if not status:  # it is killed before it answers
                    self.close_connection = True
                    return
            elif stack.key is not None and self.headers.get("authorization") != f"Bearer {stack.key}":
                status, answer = error(401, "No API key, or one that is not known.", "unauthenticated")
                content = json.dumps(answer).encode()
            else:
                status, answer = stack.answer(self.command, self.path, sent)
                content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in ({"content-length": str(len(content)), "connection": "close"} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stack.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stack
        finally:
            server.shutdown()
            thread.join()
