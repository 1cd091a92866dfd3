"""A stack in which principals of two issuers keep things of every kind, and what its raw rows still say of one."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import count as numbers
import json
from pathlib import Path
import re
import sqlite3
import time
from typing import Any

import boto3
import httpx
import pytest

from core.apis.configurations import Configuration
from core.config.load import interpret
from core.frame.callers import Call, Principal
from core.frame.resources import Resource
from core.quota.identity import identity
from core.resolution.erasure.engine import Outcome, count, erase, quietly
from core.resolution.erasure.sources import sources
from core.resolution.erasure.stack import open_stack
from core.resolution.stack import Stack
from core.routing.policy import owner_of
from core.services.erasure import Estate, Piece
from core.services.jobs.parts import folder
from core.stores.answers.port import owner_name
from core.stores.connect import ANSWERS, BLOBS, CONFIGURATIONS, DOCUMENTS, JOBS, REGISTRY
from core.stores.documents.port import DocumentStore
from core.stores.jobs.codec import digest, encode_principal
from core.stores.jobs.port import Job
from tests.parts.audit import CHANGE
from tests.parts.file_stack import send_in_parts
from tests.parts.ingest_stack import upload
from tests.parts.live_stack import client_over
from tests.parts.vector_places import Place, open_place
from tests.parts.vector_stack import STORES, by, insert, make

OTHER_ISSUER = "another"
EVERYBODY = [{"permit": {"actions": ["create", "read", "update", "delete"]}}]
ACTS = (
    "file",
    "parts",
    "store",
    "insert",
    "add",
    "add elsewhere",
    "batch elsewhere",
    "model",
    "job",
    "answer",
    "version",
)

type Counts = dict[str, int]
"""By what it is called."""


@dataclass(repr=False)
class Scene:
    """One stack's state, with callers of two issuers."""

    place: Place = field(
        repr=False
    )  # hypothesis prints them, whatever `repr` says, and takes their length for a mistake
    folder: Path
    stack: Stack = field(repr=False)
    clients: Mapping[str, httpx.AsyncClient] = field(repr=False)
    names: Any = field(default_factory=numbers)

    @property
    def voucher(self) -> str:
        return f"custom {self.place.world.upstream.url}/auth"

    def principal(self, who: str) -> Principal:
        """`ada7@another` is the namesake of `ada7` with the other issuer."""
        name, _, issuer = who.partition("@")
        return Principal(
            name, {"roles": (name,), "namespaces": (name,)}, f"custom {issuer}" if issuer else self.voucher
        )

    def client(self, who: str) -> httpx.AsyncClient:
        return self.clients[who.partition("@")[2]]

    def estate(self, who: str) -> Estate:
        return Estate(self.principal(who), lambda _: False)

    @property
    def documents(self) -> DocumentStore:
        return self.stack.stores.collection("vector_stores")

    def blobs(self) -> list[Path]:
        return [path for path in (self.folder / "blobs").rglob("*") if path.is_file()]

    async def tallies(self, who: str) -> Counts:
        """Of its files and uploads, as its limits count them."""
        return await self.documents.tallies("file", f"owner:{self.principal(who).identity}")

    async def pieces(self, who: str, *names: str) -> list[Piece]:
        """Those with these names, as they are now."""
        return [
            piece
            for source in sources(self.stack)
            async for some in source.erase(self.estate(who))
            for piece in some
            if piece.name in names
        ]

    async def counts(self, who: str) -> Counts:
        amounts = await count(sources(self.stack, keys=True), self.estate(who), quietly)
        return {name: amount.count for (_, name), amount in amounts.items()}

    async def erase(self, who: str, *, keys: bool = False, wait: float = 0) -> Outcome:
        return await erase(list(sources(self.stack, keys=keys)), self.estate(who), quietly, wait=wait)

    async def shows(self, who: str) -> dict[str, Any]:
        """What the stack answers this caller of its own, with the bytes."""
        client, head = self.client(who), by(who.partition("@")[0])
        principal = owner_of(self.principal(who))
        files = await self.stack.stores.get(DOCUMENTS).page("file", self.principal(who).identity, limit=1000)
        contents = [(await client.get(f"/v1/files/{f.id}/content", headers=head)).content for f in files.documents]
        stores = await self.stack.stores.collection("vector_stores").page("vector_store", limit=1000)
        own = [document for document in stores.documents if document.owner == principal]
        found = [
            (await client.post(f"{STORES}/{s.id}/search", json={"query": "the sun"}, headers=head)).json()["data"]
            for s in own
        ]
        models = [
            r for r in await self.stack.stores.get(REGISTRY).page("model", after="", limit=1000) if r.owner == principal
        ]
        return {"files": files.documents, "contents": contents, "stores": own, "found": found, "models": models}


@asynccontextmanager
async def open_scene(request: pytest.FixtureRequest, folder: Path) -> AsyncGenerator[Scene]:
    """By the fixture's parameter, as `open_place`."""
    async with open_place(request, folder) as place:
        opened, clients = place.world.opened, dict[str, httpx.AsyncClient]()
        for issuer in ("", OTHER_ISSUER):
            loaded = interpret(document_of(place, folder, issuer), {})
            clients[issuer] = await opened.enter_async_context(client_over(loaded))
            del clients[issuer].headers["content-type"]
        stack = await open_stack(interpret(document_of(place, folder), {}))
        opened.push_async_callback(stack.close)
        yield Scene(place, folder, stack, clients)


def document_of(place: Place, folder: Path, issuer: str = "") -> dict[str, Any]:
    quota = {"max_files": 1000, "max_vector_stores": 1000, "max_streams": 9}
    document = place.world.document(policy=EVERYBODY, quota=quota, **place.how)
    document["server"]["idempotency"] = {"kvstore": {"type": "sqlite", "db_path": str(folder / "answers.db")}}
    if (storage := place.how.get("storage")) is not None:
        kv = storage["backends"]["kv"]
        dynamo = {"type": "dynamodb", "table": kv["table"], "endpoint_url": kv["endpoint_url"]}
        document["metadata_store"] = {**dynamo, "namespace": "registry"}
        document["server"]["idempotency"]["kvstore"] = {**dynamo, "namespace": "answers"}
    if issuer:
        document["server"]["auth"]["config"]["issuer"] = issuer
    return document


class Life:
    """What principals do in a scene; `expected` is what each is to have by then."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.number = next(scene.names)
        self.expected: dict[str, Counts] = {}
        self.stores: dict[str, str] = {}
        """Who made it, by the id of a store."""
        self.files: dict[str, list[str]] = {}
        self.entries: dict[str, list[tuple[str, str]]] = {}
        """Of a store the kind and maker of what is in it, with a record of its own."""

    def name(self, who: str) -> str:
        name, at, issuer = who.partition("@")
        return f"{name}{self.number}{at}{issuer}"

    def gain(self, who: str, name: str, more: int = 1) -> None:
        counts = self.expected.setdefault(who, {})
        counts[name] = counts.get(name, 0) + more

    async def act(self, who: str, act: str) -> None:
        """Nothing where there is no store of the kind that it is done to."""
        own, others = self.own(who), self.of_others(who)
        if act in {"insert", "add"} and own:
            await self.fill(who, own[0], act)
        elif act in {"add elsewhere", "batch elsewhere"} and others:
            await self.fill(who, others[0], act)
        elif act in {"file", "parts", "store"}:
            await self.make(who, act)
        elif act in {"model", "job", "answer", "version"}:
            await self.keep(who, act)

    async def make(self, who: str, act: str) -> None:
        client, name = self.scene.client(who), who.partition("@")[0]
        if act == "file":
            await self.new_file(who)
        elif act == "parts":
            await send_in_parts(client, [b"a", b"bc"], who=name)
            self.gain(who, "uploads")
        else:
            self.stores[(await make(client, name))["id"]] = who
            self.gain(who, "vector stores")

    async def fill(self, who: str, store: str, act: str) -> None:
        client, name = self.scene.client(who), who.partition("@")[0]
        if act == "insert":
            await insert(client, store, "the sun is a star", who=name)
            return
        file_id, head = await self.new_file(who), by(name)
        if act == "batch elsewhere":
            answer = await client.post(f"{STORES}/{store}/file_batches", json={"file_ids": [file_id]}, headers=head)
            assert answer.status_code == 200, answer.text
            self.enter(who, store, "batches in vector stores of others")
            self.gain(who, "jobs")
        else:
            answer = await client.post(f"{STORES}/{store}/files", json={"file_id": file_id}, headers=head)
            assert answer.json()["status"] == "completed", answer.text
        self.enter(who, store, "files in vector stores of others")

    def enter(self, who: str, store: str, kind: str) -> None:
        """What is in one's own store is not counted by itself."""
        if self.stores[store] != who:
            self.gain(who, kind)
            self.entries.setdefault(store, []).append((kind, who))

    async def keep(self, who: str, act: str) -> None:
        """What no call of this scene makes, as its store has it."""
        stores, principal, unique = self.scene.stack.stores, self.scene.principal(who), f"x{next(self.scene.names)}"
        now, owner = int(time.time()), owner_of(principal)
        if act == "model":
            resource = Resource("model", unique, "local", unique, {"metadata": {}}, owner=owner)
            await stores.get(REGISTRY).create(resource)
        elif act == "job":
            job = Job(unique, "vector_ingest", principal, {"store": "", "files": []}, now, now + 99, now + 999)
            await stores.get(JOBS).create(job, key=unique)
            await stores.get(BLOBS).put(f"{folder(unique)}parts/0", b"result")
        elif act == "answer":
            name = owner_name(identity(Call(principal)))
            await stores.get(ANSWERS).begin(unique, "f", now=now, until=now + 900, owner=name)
        else:
            head = await stores.get(CONFIGURATIONS).head()
            override = {"provider_type": "x", "config": {}, "registered": True, "owner": owner}
            version = Configuration(head.latest + 1, {"inference": {unique: override}}, owner=owner)
            assert await stores.get(CONFIGURATIONS).append(version, change=CHANGE, after=head)
        kinds = {"model": "models", "job": "jobs", "answer": "remembered answers", "version": "configurations"}
        self.gain(who, kinds[act])

    async def new_file(self, who: str) -> str:
        file_id = await upload(self.scene.client(who), "the sun is a star", who=who.partition("@")[0])
        self.files.setdefault(who, []).append(file_id)
        self.gain(who, "files")
        return file_id

    def own(self, who: str) -> list[str]:
        return [store for store, maker in self.stores.items() if maker == who]

    def of_others(self, who: str) -> list[str]:
        return [store for store, maker in self.stores.items() if maker != who]

    def leave(self, who: str) -> None:
        """What is expected once all of this principal is gone: what others put into its stores is, too."""
        self.expected[who] = {}
        for store in self.own(who):
            del self.stores[store]
            for kind, maker in self.entries.pop(store, []):
                if maker != who:
                    self.gain(maker, kind, -1)

    async def counted(self, who: str) -> Counts:
        counts = await self.scene.counts(who)
        return {name: number for name, number in counts.items() if name != "quota counters"}

    def expects(self, who: str) -> Counts:
        return {name: number for name, number in self.expected.get(who, {}).items() if number}


def traces(scene: Scene, principal: Principal) -> list[str]:
    """Where a raw row still names the principal; of what was deleted, the place in its list is remembered for an hour."""
    names = [
        json.dumps(owner_of(principal), separators=(",", ":")),
        encode_principal(principal),
        digest(principal.identity),
        owner_name(identity(Call(principal))),
    ]
    by_identity = re.compile(re.escape(principal.identity) + r"(?![\w%])")
    texts = [row.replace("\\", "") for row in rows(scene)]
    return [text for text in texts if any(name in text for name in names) or by_identity.search(text)]


def rows(scene: Scene) -> list[str]:
    """But for the queue's, whose messages go when they are delivered."""
    texts = list[str]()
    for path in sorted(scene.folder.glob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            for name in names:
                if name.startswith(("messages", "queue", "vector_words")):
                    continue
                alive = " WHERE until IS NULL OR until > 0" if name == "documents" else ""
                texts += [f"{path.name} {name} {row}" for row in connection.execute(f"SELECT * FROM {name}{alive}")]  # noqa: S608
    if (storage := scene.place.how.get("storage")) is not None:
        kv = storage["backends"]["kv"]
        client = boto3.client("dynamodb", endpoint_url=kv["endpoint_url"])
        for page in client.get_paginator("scan").paginate(TableName=kv["table"]):
            texts += [str(item) for item in page["Items"] if item.get("until") != {"N": "0"}]
    return texts
