"""DynamoDB Local as a child process, and the tables of template.yaml in it.

It listens on all interfaces and takes any credentials, so it is for tests and benchmarks alone.
"""

from collections.abc import Generator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
import json
import subprocess
from typing import Any, Final
from urllib.parse import urlsplit

from infra.local.parts import JAR, PACKAGE, missing_tools
from infra.local.ports import free_port
from infra.local.processes import stop, wait_until

REGION: Final = "us-east-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": REGION}
SCOPE: Final = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']}/20200101/{REGION}/dynamodb/aws4_request"
HEADERS: Final = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": "DynamoDB_20120810.CreateTable",
    "authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0",  # which nobody verifies
}

BY_DAY: Final[dict[str, list[dict[str, Any]]]] = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "bucket")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_day",
            "KeySchema": [
                {"AttributeName": "bucket", "KeyType": "HASH"},
                {"AttributeName": "pk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}


def unavailable() -> str | None:
    """Why DynamoDB Local cannot be started here, or None."""
    if missing_tools("java"):
        return "java is not on the PATH"
    if not JAR.exists():
        return f"{PACKAGE} is not fetched: python -m infra.local.parts"
    return None


def start(port: int) -> subprocess.Popen[bytes]:
    """Start it in memory on `port`; it is not ready yet."""
    command = ["java", "-Xmx512m", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", JAR.name]
    arguments = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    output = subprocess.DEVNULL
    return subprocess.Popen([*command, *arguments], cwd=JAR.parent, stdin=output, stdout=output, stderr=output)


def _is_ready(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
        try:
            connection.request("GET", "/")
            connection.getresponse().read()  # 400: the request names no operation
        except OSError:
            return False
        return True


@contextmanager
def running() -> Generator[str]:
    """A ready DynamoDB Local for the length of a `with` block; yields its URL."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    process = start(port)
    try:
        wait_until(process, "DynamoDB Local", lambda: _is_ready(port))
        yield endpoint
    finally:
        stop(process)


def create_table(endpoint: str, name: str, range_key: str | None = None) -> None:
    """Create a table with the string key `pk`, billed on demand; as those of template.yaml, but without a TTL.

    One without a `range_key` is the quota's, and has its index.

    Without the SDK, whose client takes longer to make than a table. Raises RuntimeError for one that is there.
    """
    keys = {"pk": "HASH"} | ({} if range_key is None else {range_key: "RANGE"})
    body: dict[str, object] = {
        "TableName": name,
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if range_key is None:
        body |= BY_DAY
    with closing(HTTPConnection(urlsplit(endpoint).netloc, timeout=60)) as connection:
        connection.request("POST", "/", json.dumps(body), HEADERS)
        answer = connection.getresponse()
        if (refusal := answer.read()) and answer.status != HTTPStatus.OK:
            raise RuntimeError(f"{name} was not created: {refusal.decode()}")
