"""A stand-in for Amazon S3 Vectors: its wire, its limits, its refusals, signatures that are checked, and exact searches.

    python -m tests.parts.s3_vectors PORT [BUCKET ...]      AWS_ENDPOINT_URL_S3VECTORS=http://127.0.0.1:PORT

What it does not show: recall (its searches are exact), speed, stems and stop words of languages (words are lower case, characters
of Chinese, Japanese and Korean are words), how much the service counts for a key, what `$ne` is of a vector without the key
(here it does not hold) or of another type (it holds), how long a name of an attribute may be, CLASSIC indexes, tags and policies.
Its rank constant of 60 and BM25's 1.2 and 0.75 are the usual ones: the service does not name its own.
"""

from array import array
import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
import json
import math
import re
import sys
from typing import Any

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from core.providers.s3_vectors.config import Config
from core.providers.s3_vectors.vector_io import S3Vectors
from infra.local.dynamodb import CREDENTIALS, REGION
from tests.parts.s3_vectors_model import Refusal, check_request, invalid
from tests.parts.s3_vectors_search import Vector, bm25, fuse, holds, rank, tokens

ACCOUNT = "123456789012"
BUCKET = "vectors-of-tests"
MOST_BODY = 20 * 1024 * 1024
MOST_METADATA, MOST_FILTERABLE, MOST_KEYS, MOST_RESULTS, PAGE = 40 * 1024, 2048, 50, 10_000, 100
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), Signature=(\w+)"
)
CLOCK = timedelta(minutes=5)


@dataclass
class Index:
    configuration: dict[str, Any]
    vectors: dict[str, Vector] = field(default_factory=dict[str, Vector])

    @property
    def hidden(self) -> list[str]:
        return (self.configuration.get("metadataConfiguration") or {}).get("nonFilterableMetadataKeys") or []

    @property
    def searched(self) -> list[str]:
        rows = (self.configuration.get("metadataConfiguration") or {}).get("textSearchConfigurations") or []
        return [row["metadataKey"] for row in rows]


@dataclass
class S3VectorsDouble:
    """`refuse` is what the next requests are answered with, in their order; `skew` is how much later it is here.

    `lose` takes the place of the answers to the next requests that were carried out.

    `seen` are the operations that came, those that were refused included, and their bodies.
    """

    buckets: dict[str, dict[str, Index]] = field(default_factory=dict[str, dict[str, Index]])
    refuse: list[Refusal] = field(default_factory=list[Refusal])
    lose: list[Refusal] = field(default_factory=list[Refusal])
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    connections: set[Any] = field(default_factory=set[Any])
    skew: timedelta = timedelta()
    url: str = ""

    def throttle(self, times: int) -> None:
        self.refuse += [Refusal(429, "TooManyRequestsException", "Reduce your request rate")] * times

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _ in self.seen]

    async def reply(self, request: web.Request) -> web.Response:
        content = await request.read()
        self.connections.add(request.transport)
        headers = {"Date": format_datetime(datetime.now(UTC) + self.skew, usegmt=True)}
        operation = request.path.removeprefix("/")
        try:
            answer = self._answer(request, operation, content)
        except Refusal as refusal:
            headers["x-amzn-errortype"] = refusal.kind
            return web.json_response({"message": refusal.message}, status=refusal.status, headers=headers)
        return web.json_response(answer, headers=headers)

    def _answer(self, request: web.Request, operation: str, content: bytes) -> dict[str, Any]:
        body = json.loads(content or b"{}", parse_constant=_refuse_constant)
        self.seen.append((operation, body))
        if self.refuse:
            raise self.refuse.pop(0)
        check_signature(request, content, datetime.now(UTC) + self.skew)
        if len(content) > MOST_BODY:
            raise invalid("Request payload is larger than 20 MiB")
        check_request(operation, body)
        handler: Callable[[dict[str, Any]], dict[str, Any]] | None = getattr(
            self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(), None
        )
        if request.method != "POST" or handler is None:
            raise Refusal(404, "UnknownOperationException", f"no operation {operation}")
        answer = handler(body)
        if self.lose:
            raise self.lose.pop(0)
        return answer

    def _bucket(self, body: dict[str, Any]) -> dict[str, Index]:
        arn = body.get("vectorBucketArn") or body.get("indexArn")
        name = arn.split("/")[1] if arn else body.get("vectorBucketName")
        if name is None:
            raise invalid("Specify the vector bucket")
        if name not in self.buckets:
            raise Refusal(404, "NotFoundException", "The specified vector bucket could not be found")
        return self.buckets[name]

    def _index(self, body: dict[str, Any]) -> Index:
        indexes = self._bucket(body)
        name = body["indexArn"].split("/")[3] if body.get("indexArn") else body.get("indexName")
        if name not in indexes:
            raise Refusal(404, "NotFoundException", "The specified index could not be found")
        return indexes[name]

    def _create_vector_bucket(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["vectorBucketName"]
        if not NAME.fullmatch(name):
            raise invalid("Invalid vector bucket name")
        if name in self.buckets:
            raise Refusal(409, "ConflictException", "A vector bucket with the specified name already exists")
        self.buckets[name] = {}
        return {"vectorBucketArn": _arn(name)}

    def _get_vector_bucket(self, body: dict[str, Any]) -> dict[str, Any]:
        self._bucket(body)
        name = body["vectorBucketName"]
        return {"vectorBucket": {"vectorBucketName": name, "vectorBucketArn": _arn(name), "creationTime": 1}}

    def _create_index(self, body: dict[str, Any]) -> dict[str, Any]:
        indexes, name = self._bucket(body), body["indexName"]
        index = Index(body)
        if not NAME.fullmatch(name) or len(set(index.hidden)) != len(index.hidden):
            raise invalid("Invalid index")
        if name in indexes:
            raise Refusal(409, "ConflictException", "An index with the specified name already exists")
        indexes[name] = index
        return {"indexArn": f"{_arn(body['vectorBucketName'])}/index/{name}"}

    def _get_index(self, body: dict[str, Any]) -> dict[str, Any]:
        configuration = self._index(body).configuration
        arn = f"{_arn(configuration['vectorBucketName'])}/index/{configuration['indexName']}"
        return {"index": configuration | {"indexArn": arn, "creationTime": 1, "indexMode": "ENHANCED"}}

    def _delete_index(self, body: dict[str, Any]) -> dict[str, Any]:
        index = self._index(body)
        del self._bucket(body)[index.configuration["indexName"]]
        return {}

    def _put_vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        index = self._index(body)
        rows = {row["key"]: _vector(index, row) for row in body["vectors"]}
        if len(rows) != len(body["vectors"]):
            raise invalid("Duplicate keys")
        index.vectors |= rows
        return {}

    def _get_vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = self._index(body).vectors
        return {"vectors": [_row(key, vectors[key], body) for key in body["keys"] if key in vectors]}

    def _list_vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = self._index(body).vectors
        start, most = int(body.get("nextToken", 0)), body.get("maxResults", 500)
        keys = sorted(vectors)
        more = {"nextToken": str(start + most)} if start + most < len(keys) else {}
        return {"vectors": [_row(key, vectors[key], body) for key in keys[start : start + most]], **more}

    def _delete_vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = self._index(body).vectors
        for key in body["keys"]:
            vectors.pop(key, None)
        return {}

    def _query_vectors(self, body: dict[str, Any]) -> dict[str, Any]:
        index = self._index(body)
        if body["topK"] > MOST_RESULTS or not ("queryVector" in body or "queryTexts" in body):
            raise invalid("topK is at most 10000, and queryVector or queryTexts is required")
        condition = body.get("filter")
        vectors = {
            key: vector
            for key, vector in index.vectors.items()
            if condition is None or holds(condition, vector.metadata, index.hidden)
        }
        rows = _search(index, vectors, body)[: body["topK"]]
        start = int(body.get("nextToken", 0))
        more = {"nextToken": str(start + PAGE)} if start + PAGE < len(rows) else {}
        return {"vectors": rows[start : start + PAGE], "distanceMetric": index.configuration["distanceMetric"], **more}


def _search(index: Index, vectors: dict[str, Vector], body: dict[str, Any]) -> list[dict[str, Any]]:
    distances: dict[str, float] = {}
    rankings: list[list[str]] = []
    if "queryVector" in body:
        query = _numbers(index, "query", body["queryVector"]["float32"])
        length = math.sqrt(math.sumprod(query, query))
        distances = {key: vector.distance(query, length) for key, vector in vectors.items()}
        rankings.append(sorted(distances, key=lambda key: (distances[key], key)))
    words: dict[str, dict[str, float]] = {}
    for text in body.get("queryTexts", ()):
        if text["metadataKey"] not in index.searched:
            raise invalid("The metadata key is not configured for full-text search")
        scores = bm25(vectors, index.vectors.values(), text["metadataKey"], text["text"])
        words[text["metadataKey"]] = scores
        rankings.append(rank(scores))
    fused = fuse(rankings) if len(rankings) > 1 else {}
    rows: list[dict[str, Any]] = []
    for key in rank(fused) if fused else rankings[0]:
        row = _row(key, vectors[key], body)
        if body.get("returnDistance") and distances and not words:
            row["distance"] = distances[key]
        if body.get("returnScores") and words:
            matches = [{"metadataKey": name, "score": scores[key]} for name, scores in words.items() if key in scores]
            row["scores"] = {"bm25Scores": matches}
            if distances:
                row["scores"] |= {"fused": fused[key], "vectorDistance": distances[key]}
        rows.append(row)
    return rows


def _row(key: str, vector: Vector, body: dict[str, Any]) -> dict[str, Any]:
    data = {"data": {"float32": list(vector.data)}} if body.get("returnData") else {}
    return {"key": key, **data, **({"metadata": vector.metadata} if body.get("returnMetadata") else {})}


def _vector(index: Index, row: dict[str, Any]) -> Vector:
    key, metadata = row["key"], row.get("metadata") or {}
    filterable = {name: value for name, value in metadata.items() if name not in index.hidden}
    for name, value in metadata.items():
        values = value if isinstance(value, list) else [value]
        if not name or not all(isinstance(one, str | int | float | bool) for one in values):
            raise invalid(f"Invalid record for key '{key}': metadata {name!r}")
    if _size(filterable) > MOST_FILTERABLE:
        raise invalid(f"Invalid record for key '{key}': Filterable metadata must have at most 2048 bytes")
    if _size(metadata) > MOST_METADATA or len(metadata) > MOST_KEYS:
        raise invalid(f"Invalid record for key '{key}': metadata is too large")
    vector = Vector(_numbers(index, key, row["data"]["float32"]), metadata)
    vector.words = {name: Counter(tokens(metadata[name])) for name in index.searched if name in metadata}
    return vector


def _numbers(index: Index, key: str, numbers: list[float]) -> array[float]:
    dimension = index.configuration["dimension"]
    if len(numbers) != dimension:
        raise invalid(f"Invalid record for key '{key}': vector must have length {dimension}, but has {len(numbers)}")
    vector = array("f", numbers)
    if not all(map(math.isfinite, vector)) or not any(vector):
        raise invalid(f"Invalid record for key '{key}': not float32, or all zeros, which cosine does not allow")
    return vector


def _size(metadata: dict[str, Any]) -> int:
    return len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode())


def _arn(bucket: str) -> str:
    return f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/{bucket}"


def _refuse_constant(name: str) -> float:
    raise invalid(f"{name} is no JSON")


def check_signature(request: web.Request, content: bytes, now: datetime, of: str = "s3vectors") -> None:
    """Raises Refusal where the request is not signed as whoever has the keys of tests signs it, just now."""
    match = SIGNED.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    key, _, region, service, names, signature = match.groups()
    stamp = request.headers["x-amz-date"]
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(at - now) > CLOCK:
        raise Refusal(403, "InvalidSignatureException", f"Signature expired: {stamp}")
    if key != CREDENTIALS["AWS_ACCESS_KEY_ID"]:
        raise Refusal(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    headers = {name: request.headers[name] for name in names.split(";")}
    url = f"{request.scheme}://{request.host}{request.raw_path}"  # with its escapes, which are signed
    copy = AWSRequest(request.method, url, headers=headers, data=content)
    copy.context["timestamp"] = stamp
    signer: Any = SigV4Auth(ReadOnlyCredentials(key, CREDENTIALS["AWS_SECRET_ACCESS_KEY"], None), service, region)
    expected = signer.signature(signer.string_to_sign(copy, signer.canonical_request(copy)), copy)
    if service != of or expected != signature:
        raise Refusal(403, "InvalidSignatureException", "The request signature we calculated does not match")


@asynccontextmanager
async def running(*buckets: str, port: int = 0) -> AsyncGenerator[S3VectorsDouble]:
    """On loopback, with these vector buckets."""
    double = S3VectorsDouble({bucket: {} for bucket in buckets or (BUCKET,)})
    app = web.Application(client_max_size=2 * MOST_BODY)
    app.router.add_route("*", "/{operation}", double.reply)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        double.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield double
    finally:
        await runner.cleanup()


@asynccontextmanager
async def provider(double: S3VectorsDouble, **config: Any) -> AsyncGenerator[S3Vectors]:
    """One over the double, which signs as the double demands it."""
    keys = {name.lower(): value for name, value in CREDENTIALS.items() if name != "AWS_DEFAULT_REGION"}
    values = {"vector_bucket": BUCKET, "region_name": REGION, "endpoint_url": double.url, **keys} | config
    vectors = S3Vectors("s3-vectors", Config.model_validate(values))
    try:
        yield vectors
    finally:
        await vectors.close()


async def _serve(port: int, buckets: list[str]) -> None:
    async with running(*buckets, port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2:]))
