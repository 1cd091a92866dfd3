"""The roles of template.yaml: each function does its work under its role, and one that was taken over can do no more.

What a statement allows is decided as IAM does (`tests/parts/iam.py`), in front of a real database.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
import json
import re
from typing import Any, Final

import httpx
import pytest

from core.cli.iam import table
from core.config.load import interpret
from core.errors import ApiError
from core.platform.dynamodb_table import Table
from core.resolution.check import check
from core.resolution.resolve import resolve
from core.runtime.function import app_of_stack
from core.stores.configurations.dynamodb import connect as connect_configurations
from core.stores.documents.dynamodb import connect as connect_documents
from core.stores.documents.port import Document
from core.stores.jobs.dynamodb import DynamoJobs
from core.stores.jobs.port import Counts
from core.stores.registry.dynamodb import connect as connect_registry
from core.stores.registry.key_format import issue
from tests.architecture.template import EVERYTHING, properties, template, values
from tests.contract.jobs import NOW, UNTIL, job, running, shards_of
from tests.parts.audit import CHANGE
from tests.parts.iam import Access, Guarded, Role, guarding
from tests.parts.live_stack import CHAT
from tests.parts.secrets import plant
from tests.parts.upstream import FakeUpstream
from tests.parts.upstream import running as upstream_running

NAMESPACES: Final = ["", "team#a/b"]
CONTEXT: Final = re.compile(r"\$context\.[A-Za-z0-9.]+")
WRITTEN_BY_AWS: Final = {
    "extendedRequestId",
    "integration.requestId",
    "integration.status",
    "requestTime",
    "identity.sourceIp",
    "httpMethod",
    "resourcePath",
    "status",
    "error.responseType",
    "responseLength",
    "responseLatency",
    "integrationLatency",
}


@dataclass(frozen=True, slots=True)
class Tables:
    """The real names of the template's tables, at a database."""

    endpoint: str
    registry: str
    quota: str
    state: str

    @property
    def names(self) -> dict[str, str]:
        return {self.registry: "RegistryTable", self.quota: "QuotaTable", self.state: "StateTable"}


@pytest.fixture
def tables(request: pytest.FixtureRequest, dynamodb_endpoint: str) -> Tables:
    names = (request.getfixturevalue(f"{name}_table") for name in ("registry", "quota", "state"))
    return Tables(dynamodb_endpoint, *names)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with upstream_running() as upstream:
        yield upstream


def run_config(tables: Tables, url: str, upstream: FakeUpstream, namespace: str) -> dict[str, Any]:
    """As the distribution `lambda`, with idempotency and documents, over the database at `url`."""
    where = {"endpoint_url": url, **({"namespace": namespace} if namespace else {})}
    vllm = {"provider_id": "local", "provider_type": "remote::vllm", "config": {"url": upstream.url}}
    guard = {"provider_id": "guard", "provider_type": "inline::llama-guard"}
    rules = [{"permit": {"actions": ["create", "read", "update", "delete"]}, "when": "user with admin in roles"}]
    return {
        "version": 2,
        "image_name": "t",
        "apis": ["inference", "safety", "responses"],
        "providers": {
            "inference": [vllm],
            "safety": [guard],
            "responses": [{"provider_id": "builtin", "provider_type": "inline::builtin"}],
        },
        "metadata_store": {"type": "dynamodb", "table": tables.registry, **where},
        "storage": {
            "backends": {
                "state": {"type": "kv_dynamodb", "table": tables.state, **where},
                "bucket": {"type": "blob_s3", "bucket": "blobs"},  # nothing here is so large
            },
            "stores": {"documents": {"backend": "state"}, "blobs": {"backend": "bucket"}},
        },
        "configurations": {"refresh_seconds": 1, "allow_private_urls": True},
        "server": {
            "auth": {"providers": [{"type": "api_key"}], "access_policy": rules},
            "quota": {
                "kvstore": {"type": "dynamodb", "table": tables.quota, **where},
                "authenticated_max_requests": 1000,
                "max_tokens": 100_000,
                "max_streams": 5,
                "max_responses": 10,
                "max_conversations": 10,
                "max_prompts": 10,
            },
            "idempotency": {"kvstore": {"type": "dynamodb", "table": tables.state, **where}},
        },
    }


async def new_key(tables: Tables, namespace: str) -> str:
    """Of an administrator, as `llambda keys create` makes it: with its own rights, and no function's."""
    token, resource = issue("t", ["admin"], expires=None, now=1)
    registry = connect_registry(tables.registry, region=None, endpoint_url=tables.endpoint, namespace=namespace)
    await registry.create(resource)
    await registry.close()
    return plant(token)


@asynccontextmanager
async def function(
    api: str, tables: Tables, upstream: FakeUpstream, namespace: str = ""
) -> AsyncIterator[tuple[httpx.AsyncClient, Guarded]]:
    """A client with a key of the one function, whose calls of the database are held to its role."""
    async with AsyncExitStack() as opened:
        role = Role.of(f"{api.title()}Role", **(EVERYTHING if api == "responses" else {}))
        guarded = await opened.enter_async_context(guarding(role, tables.endpoint, tables.names))
        loaded = interpret(run_config(tables, guarded.url, upstream, namespace), {})
        assert not loaded.problems + check(loaded)
        stack = await resolve(loaded, [api], version="1")
        app = app_of_stack(stack, [api])
        for each in app.state.stacks:
            opened.push_async_callback(each.close)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {await new_key(tables, namespace)}"}
        client = httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers)
        yield await opened.enter_async_context(client), guarded


async def expect(client: httpx.AsyncClient, method: str, path: str, body: Any = None, **headers: str) -> Any:
    answer = await client.request(method, path, json=body, headers=headers)
    assert answer.is_success, f"{method} {path}: {answer.text}"
    return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else answer.text


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_inference_does_its_work_under_its_role(tables: Tables, upstream: FakeUpstream, namespace: str) -> None:
    async with function("inference", tables, upstream, namespace) as (client, guarded):
        await expect(client, "POST", "/v1/models", {"model_id": "a/b", "provider_model_id": "m"})
        await expect(client, "GET", "/v1/models")
        for _ in range(2):
            await expect(client, "POST", "/v1/chat/completions", CHAT | {"model": "a/b"}, **{"idempotency-key": "k"})
        await expect(client, "POST", "/v1/chat/completions", CHAT | {"stream": True})
        await expect(client, "DELETE", "/v1/models/a/b")
    assert guarded.denied == []
    assert {("PutItem", "RegistryTable"), ("UpdateItem", "QuotaTable"), ("UpdateItem", "StateTable")} <= {
        (each.action, each.table) for each in guarded.made
    }


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_responses_are_kept_under_the_role_of_their_function(
    tables: Tables, upstream: FakeUpstream, namespace: str
) -> None:
    async with function("responses", tables, upstream, namespace) as (client, guarded):
        prompt = (await expect(client, "POST", "/v1/prompts", {"prompt": "Hello {{ name }}."}))["prompt_id"]
        asked = {"model": "local/m", "input": "hi", "prompt": {"id": prompt, "variables": {"name": "Ada"}}}
        first = await expect(client, "POST", "/v1/responses", asked)
        then = {"model": "local/m", "input": "hi", "previous_response_id": first["id"]}
        await expect(client, "POST", "/v1/responses", then | {"stream": True}, **{"idempotency-key": "k"})
        conversation = (await expect(client, "POST", "/v1/conversations", {}))["id"]
        await expect(client, "POST", "/v1/responses", {"model": "local/m", "input": "hi", "conversation": conversation})
        await expect(client, "GET", f"/v1/conversations/{conversation}/items")
        compacted = await expect(client, "POST", "/v1/responses/compact", {"model": "local/m", "input": "hi"})
        await expect(
            client, "POST", "/v1/responses", {"model": "local/m", "input": compacted["output"], "store": False}
        )
        await expect(client, "GET", "/v1/responses")
        for path in (f"responses/{first['id']}", f"conversations/{conversation}", f"prompts/{prompt}"):
            await expect(client, "DELETE", f"/v1/{path}")
    assert guarded.denied == []


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_safety_does_its_work_under_its_role(tables: Tables, upstream: FakeUpstream, namespace: str) -> None:
    shield = {"shield_id": "s", "provider_id": "guard", "provider_shield_id": "local/m"}
    async with function("safety", tables, upstream, namespace) as (client, guarded):
        await expect(client, "POST", "/v1/shields", shield)
        await expect(client, "GET", "/v1/shields")
        body = {"shield_id": "s", "messages": CHAT["messages"], "params": {}}
        await client.post("/v1/safety/run-shield", json=body)
        await expect(client, "DELETE", "/v1/shields/s")
    assert guarded.denied == []


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_admin_does_its_work_under_its_role(tables: Tables, upstream: FakeUpstream, namespace: str) -> None:
    body = {"config": {"inference": [{"provider_id": "local", "config": {"timeout": 7}}]}}
    async with function("admin", tables, upstream, namespace) as (client, guarded):
        registered = await expect(client, "POST", "/v1/configurations", body)
        await expect(client, "GET", "/v1/configurations")
        await expect(client, "GET", "/v1/inspect/configurations")
        provider = {"provider_type": "remote::vllm", "config": {"url": upstream.url}}
        await expect(client, "POST", "/v1/providers", {"api": "inference", "provider_id": "mine", **provider})
        await expect(client, "DELETE", "/v1/providers/mine?api=inference")
        await expect(client, "DELETE", f"/v1/configurations/{registered['identifier']}")
        for path in ("/v1/providers", "/v1/quota", "/openapi.json", "/v1/inspect/routes"):
            await expect(client, "GET", path)
    assert guarded.denied == []


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_usage_reads_what_the_others_have_noted_under_its_role(
    tables: Tables, upstream: FakeUpstream, namespace: str
) -> None:
    async with function("inference", tables, upstream, namespace) as (client, _):
        await expect(client, "POST", "/v1/models", {"model_id": "a/b", "provider_model_id": "m"})
    async with function("usage", tables, upstream, namespace) as (client, guarded):
        page = await expect(client, "GET", "/v1/audit")
        entities = [entry["entity"].partition("::")[0] for entry in page["data"]]
        assert sorted(entities) == ["key", "key", "model"]
    assert guarded.denied == []


async def test_a_function_that_was_taken_over_writes_neither_keys_nor_configurations(
    tables: Tables, upstream: FakeUpstream
) -> None:
    for api in ("inference", "safety"):
        async with function(api, tables, upstream) as (_, guarded):
            token, resource = issue("mallory", ["admin"], expires=None, now=1)
            plant(token)
            where: Any = {"region": None, "endpoint_url": guarded.url, "namespace": None}
            registry = connect_registry(tables.registry, **where)
            configurations = connect_configurations(tables.registry, **where)
            with pytest.raises(ApiError, match="permissions"):
                await registry.create(resource)
            with pytest.raises(ApiError, match="permissions"):
                await registry.page("api_key", after="", limit=9)  # which would list every hash
            with pytest.raises(ApiError, match="permissions"):
                await configurations.remove(1, change=CHANGE, after=replace(await configurations.head(), latest=1))
            await registry.close()
            await configurations.close()
        assert {each.action for each in guarded.denied} == {"PutItem", "Query", "DeleteItem"}


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_the_worker_keeps_jobs_under_its_role_and_the_admin_too(tables: Tables, namespace: str) -> None:
    for name in ("WorkerRole", "AdminRole"):
        role = Role.of(name, Jobs="true")
        async with guarding(role, tables.endpoint, tables.names) as guarded:
            place = Table(tables.state, region=None, endpoint_url=guarded.url)
            store = DynamoJobs(place, namespace=namespace + name, clock=lambda: NOW)
            mine = await running(store, 2, await store.create(job(), key="once"))
            for shard in shards_of(mine, 2):
                leased = await store.lease_shard(mine, shard.number, "w", now=NOW, until=UNTIL)
                assert leased is not None
                await store.checkpoint(leased)
                await store.finish_shard(leased)
            finishing = await store.lease(mine.id, "w", now=NOW, until=UNTIL)
            assert finishing is not None
            await store.shards(finishing)
            await store.end(finishing, "completed", reason="", counts=Counts(), result={}, now=NOW)
            assert (await store.page("batch", owner=mine.owner, after=None, limit=9)).jobs
            await store.close()
        assert guarded.denied == []


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_documents_are_kept_under_the_right_to_their_collections_and_no_others(
    tables: Tables, namespace: str
) -> None:
    def role(*collections: str) -> Role:
        right = table.documents_of("notes", collections)
        condition = {"ForAllValues:StringLike": {table.LEADING_KEYS: list(right.keys)}}
        actions = list(right.actions)
        return Role(({"Effect": "Allow", "Action": actions, "Resource": "StateTable.Arn", "Condition": condition},))

    async with guarding(role("notes"), tables.endpoint, tables.names) as guarded:
        store = connect_documents(tables.state, region=None, endpoint_url=guarded.url, namespace=namespace)
        first = await store.create(Document("notes", "one", {"a": 1}, created=1))
        await store.put(first, {"b": 2}, expires=None)
        assert (await store.page("notes", first.parent, limit=5)).documents
        assert await store.delete(first)
        assert guarded.denied == []
        with pytest.raises(ApiError, match="permissions"):
            await store.create(Document("files", "one", {"a": 1}, created=1))
        with pytest.raises(ApiError, match="permissions"):
            await store.page("files", limit=5)
        await store.close()


KEYS: Final = ("api_key", "api_key@llambda@abcdefgh2345", "team#api_key", "@configurations", "team#@configurations")
OTHERS_STATE: Final = ("job#1", "jobs#batch", "jobkey#x", "doc#files#1", "docs#files#", "team#job#1", "anything")
TRAIL: Final = ("@audit#2026-12", "team#@audit#2026-12")
ROLES: Final = [
    name.removesuffix("Role")
    for name in properties("AWS::IAM::Role")
    if f"{name.removesuffix('Role')}Function" in properties("AWS::Serverless::Function")
]
FORBIDDEN: Final = [
    *((role, action, "RegistryTable", key) for role in ("Inference", "Safety", "Worker") for key in KEYS for action in ("PutItem", "UpdateItem", "DeleteItem")),
    *(("Admin", action, "RegistryTable", key) for key in ("api_key", "x#api_key", "model", "shield@g@s", "x#model") for action in ("PutItem", "UpdateItem", "DeleteItem")),
    *(("Inference", "PutItem", "RegistryTable", key) for key in ("shield", "shield@g@s", "x#shield", "modelx", "models")),
    *(("Safety", "PutItem", "RegistryTable", key) for key in ("model", "model@v@m", "x#model@v@m")),
    *(("Worker", action, "RegistryTable", key) for key in ("model", "shield", "api_key_use") for action in ("PutItem", "DeleteItem")),
    *((role, "Query", "RegistryTable", "api_key") for role in ("Inference", "Safety", "Worker", "Admin")),
    *(("Keys", action, "RegistryTable", key) for key in ("model", "@configurations", "x#@configurations", "api_keys") for action in ("PutItem", "DeleteItem")),
    *((role, "DeleteItem", "RegistryTable", "api_key_use") for role in ("Inference", "Safety", "Admin")),
    *((role, action, "RegistryTable", key) for role in ROLES for key in TRAIL for action in ("UpdateItem", "DeleteItem")),
    *((role, "PutItem", "RegistryTable", key) for role in ("Responses", "Usage", "Worker", "Files") for key in TRAIL),
    *((role, "Query", "RegistryTable", key) for role in ROLES if role != "Usage" for key in TRAIL),
    *((role, action, "StateTable", key) for role in ("Inference", "Safety") for key in OTHERS_STATE for action in ("GetItem", "PutItem", "Query")),
    *(("Worker", "PutItem", "StateTable", key) for key in ("idempotency#x", "doc#files#1", "x#idempotency#y")),
    *((role, action, "QuotaTable", "user:x") for role in ("Inference", "Safety", "Worker", "Admin") for action in ("PutItem", "DeleteItem", "Query")),
]  # fmt: skip


@pytest.mark.parametrize(("role", "action", "name", "key"), FORBIDDEN)
def test_nothing_of_others_can_be_written_or_listed(role: str, action: str, name: str, key: str) -> None:
    assert not Role.of(f"{role}Role", Jobs="true").allows(Access(action, name, (key,)))


@pytest.mark.parametrize("role", ["Inference", "Safety", "Worker", "Admin"])
def test_no_table_is_scanned_written_in_bulk_or_asked_in_sql(role: str) -> None:
    granted = {action for statement in Role.of(f"{role}Role", Jobs="true").statements for action in statement["Action"]}
    assert not {action for action in granted if re.search("Scan|BatchWrite|PartiQL|Export|Stream", action)} - {
        "bedrock:InvokeModelWithResponseStream",
        "logs:CreateLogStream",
    }


def test_keys_are_written_by_the_function_that_is_there_for_them() -> None:
    role = Role.of("KeysRole")
    for action in ("Query", "GetItem", "PutItem", "DeleteItem"):
        assert role.allows(Access(action, "RegistryTable", ("api_key", "x#api_key", "api_key_use")))
    assert not role.allows(Access("UpdateItem", "RegistryTable", ("api_key",)))


def test_a_batch_with_one_key_of_others_is_denied_as_a_whole() -> None:
    role = Role.of("WorkerRole", Jobs="true")
    assert role.allows(Access("GetItem", "StateTable", ("job#1", "x#job#2")))
    assert not role.allows(Access("GetItem", "StateTable", ("job#1", "idempotency#2")))


ARN: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:vllm-AbCdEf"


def test_secrets_are_read_by_their_arns_and_decrypted_for_those_calls_alone() -> None:
    for role in ("Inference", "Safety", "Worker", "Admin"):
        found = Role.of(f"{role}Role", Jobs="true", VllmApiTokenSecretArn=ARN).statements
        reading = [each for each in found if "secretsmanager:GetSecretValue" in each["Action"]]
        assert [each["Resource"] for each in reading] == [ARN]
        [decrypting] = [each for each in found if "kms:Decrypt" in each["Action"]]
        services = ["secretsmanager.*.amazonaws.com", "ssm.*.amazonaws.com"]
        assert decrypting["Condition"] == {"StringLike": {"kms:ViaService": services}}
        without = Role.of(f"{role}Role", Jobs="true").statements
        assert not [each for each in without if {"secretsmanager:GetSecretValue", "kms:Decrypt"} & {*each["Action"]}]


def test_functions_are_told_which_secret_and_not_what_is_in_it() -> None:
    variables = values({"VllmApiTokenSecretArn": ARN, "UpstreamApiKeySecretArn": ARN}).variables()
    assert variables["VLLM_API_TOKEN"] == variables["UPSTREAM_API_KEY"] == f"aws-secretsmanager:{ARN}"
    assert "{{resolve:" not in json.dumps(template())


@pytest.mark.parametrize("name", ["VllmApiTokenSecretArn", "UpstreamApiKeySecretArn", "SecretArns"])
def test_an_arn_that_iam_would_not_match_is_refused_before_anything_is_deployed(name: str) -> None:
    pattern = template()["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, ARN)
    for wrong in (ARN.removesuffix("-AbCdEf"), f"{ARN}*", "*", ARN.replace("vllm", "*"), f"{ARN},{ARN}", f"{ARN}#key"):
        assert not re.fullmatch(pattern, wrong)


def test_nothing_that_a_caller_chooses_is_in_the_access_log() -> None:
    api = properties("AWS::Serverless::Api")["Api"]
    text = api["AccessLogSetting"]["Format"]
    variables = {name.removeprefix("$context.") for name in CONTEXT.findall(text)}
    assert variables <= WRITTEN_BY_AWS
    assert set(json.loads(CONTEXT.sub("x", text)).values()) == {"x"}


def test_one_key_encrypts_everything_that_is_kept() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    given = values({"KmsKeyArn": key, "Jobs": "true"})

    def kept(kind: str) -> list[Any]:
        return [given.value(each) for each in properties(kind).values()]

    assert all(each["SSESpecification"]["KMSMasterKeyId"] == key for each in kept("AWS::DynamoDB::Table"))
    assert all(each["KmsKeyId"] == key for each in kept("AWS::Logs::LogGroup"))
    assert all(
        (each["KmsMasterKeyId"], each["SqsManagedSseEnabled"]) == (key, False) for each in kept("AWS::SQS::Queue")
    )
    [bucket] = kept("AWS::S3::Bucket")
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert given.value(template()["Globals"]["Function"]["KmsKeyArn"]) == key
    roles = [Role.of(f"{name}Role", Jobs="true", KmsKeyArn=key) for name in ("Inference", "Safety", "Worker", "Admin")]
    assert all(any(each["Resource"] == key for each in role.statements) for role in roles)


def test_without_a_key_aws_encrypts_with_its_own() -> None:
    given = values({"Jobs": "true"})
    for each in properties("AWS::DynamoDB::Table").values():
        assert given.value(each["SSESpecification"]) == {"SSEEnabled": True, "SSEType": "KMS"}
    for each in properties("AWS::SQS::Queue").values():
        queue = given.value(each)
        assert queue["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue


@pytest.mark.parametrize(
    ("parameters", "bounds"),
    [
        ({}, {"Admin": None, "Safety": None, "Inference": None}),
        ({"StreamConcurrency": "20"}, {"Admin": None, "Safety": None, "Inference": "20"}),
        ({"RequestConcurrency": "5"}, {"Admin": "5", "Safety": "5", "Inference": None}),
    ],
)
def test_environments_are_reserved_on_request_alone(parameters: dict[str, str], bounds: dict[str, str | None]) -> None:
    found = {
        name: values(parameters).value(properties("AWS::Serverless::Function")[f"{name}Function"]).get("ReservedConcurrentExecutions")
        for name in bounds
    }  # fmt: skip
    assert found == bounds


def test_addresses_are_bounded_on_request_alone() -> None:
    resources = template()["Resources"]
    firewall = [name for name, each in resources.items() if each["Type"].startswith("AWS::WAFv2::")]
    assert {resources[name]["Condition"] for name in firewall} == {"BoundsAddresses"}
    assert not values({}).holds("BoundsAddresses")
    [rule] = values({"RequestsPerAddress": "500"}).value(properties("AWS::WAFv2::WebACL")["AddressBound"]["Rules"])
    assert rule["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"  # and no header, which a caller writes
    assert rule["Statement"]["RateBasedStatement"]["Limit"] == "500"
