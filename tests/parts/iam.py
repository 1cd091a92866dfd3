"""What a role of template.yaml may do on DynamoDB, decided as IAM does, and a server in front of a database that holds callers to it.

Of IAM it knows what the template's statements use: actions, resources, and patterns of the partition keys of a call.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
import re
from typing import Any

from aiohttp import ClientSession, web

from core.cli.iam.table import LEADING_KEYS
from tests.architecture.template import properties, values

FOR_ALL = "ForAllValues:StringLike"
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


@dataclass(frozen=True, slots=True)
class Access:
    """An action of DynamoDB, without its prefix, on the items of a table with these partition keys."""

    action: str
    table: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """The statements of a role of template.yaml, with these parameters."""

    statements: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, name: str, **parameters: str) -> "Role":
        policies = [*values(parameters).value(properties("AWS::IAM::Role")[name]["Policies"])]
        apart = properties("AWS::IAM::ManagedPolicy").get(f"{name.removesuffix('Role')}Policy")
        policies += [] if apart is None else [values(parameters).value(apart)]
        return cls(tuple(each for policy in policies for each in policy["PolicyDocument"]["Statement"]))

    def allows(self, access: Access) -> bool:
        """`access.table` is the table's name in the template."""
        return any(_allows(statement, access) for statement in self.statements)


def _allows(statement: Mapping[str, Any], access: Access) -> bool:
    assert statement["Effect"] == "Allow"
    if f"dynamodb:{access.action}" not in statement["Action"] or statement["Resource"] != f"{access.table}.Arn":
        return False
    return all(_holds(operator, tests, access) for operator, tests in statement.get("Condition", {}).items())


def _holds(operator: str, tests: Mapping[str, list[str]], access: Access) -> bool:
    assert (operator, list(tests)) == (FOR_ALL, [LEADING_KEYS]), "a condition that is not decided here"
    return all(any(_is_like(key, pattern) for pattern in tests[LEADING_KEYS]) for key in access.keys)


def _is_like(text: str, pattern: str) -> bool:
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def accesses(operation: str, request: Mapping[str, Any]) -> Iterator[Access]:
    """What IAM is asked about a request; of a transaction, and of a batch, about each of its parts."""
    match operation:
        case "TransactWriteItems":
            for write in request["TransactItems"]:
                for name, part in write.items():
                    yield from accesses(PARTS[name], part)
        case "BatchGetItem":
            for table, part in request["RequestItems"].items():
                yield Access(operation, table, tuple(key["pk"]["S"] for key in part["Keys"]))
        case "Query":
            name = re.search(r"\bpk = (:\w+)", request["KeyConditionExpression"])
            assert name is not None
            yield Access(operation, request["TableName"], (request["ExpressionAttributeValues"][name[1]]["S"],))
        case _:
            item = request.get("Key") or request.get("Item")
            yield Access(operation, request.get("TableName", ""), (item["pk"]["S"],) if item else ())


@dataclass
class Guarded:
    """A DynamoDB at `url` for somebody in `role`; `tables` are the template's names by the real ones."""

    role: Role
    target: str
    tables: Mapping[str, str]
    url: str = ""
    made: set[Access] = field(default_factory=set[Access])
    denied: list[Access] = field(default_factory=list[Access])

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        operation = request.headers["x-amz-target"].partition(".")[2]
        found = [
            Access(each.action, self.tables.get(each.table, each.table), each.keys)
            for each in accesses(operation, json.loads(body))
        ]
        self.made.update(found)
        refused = [each for each in found if not self.role.allows(each)]
        self.denied += refused
        if refused:
            kind = "com.amazon.coral.service#AccessDeniedException"
            return web.json_response({"__type": kind, "message": f"{refused[0]}"}, status=400)
        kept = {
            name: value for name, value in request.headers.items() if name.lower() not in {"host", "content-length"}
        }
        async with (
            ClientSession(auto_decompress=False) as session,
            session.post(self.target, data=body, headers=kept) as answer,
        ):
            return web.Response(
                status=answer.status, body=await answer.read(), content_type="application/x-amz-json-1.0"
            )


@asynccontextmanager
async def guarding(role: Role, target: str, tables: Mapping[str, str]) -> AsyncIterator[Guarded]:
    """On this event loop."""
    guarded = Guarded(role, target, tables)
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_post("/{path:.*}", guarded.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    guarded.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield guarded
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)
