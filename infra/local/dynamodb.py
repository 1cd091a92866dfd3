"""DynamoDB Local as a process: start it, wait for it, make the tables, stop it.

It listens on all interfaces and takes any credentials, so it is for tests and benchmarks alone.
"""

from collections.abc import Generator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
import subprocess
import time
from typing import Any, Final

from botocore.config import Config
import botocore.session

from infra.local.parts import JAR, PACKAGE, missing_tools
from infra.local.ports import free_port

REGION: Final = "us-east-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": REGION}
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 5.0


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


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when it answers on `port`.

    Raises:
        RuntimeError: the process ended, or did not answer in 60 s.
    """
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"DynamoDB Local ended at once, with exit code {process.returncode}")
        with closing(HTTPConnection("127.0.0.1", port, timeout=1)) as connection:
            try:
                connection.request("GET", "/")
                connection.getresponse().read()  # 400: the request names no operation
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError(f"DynamoDB Local did not answer on port {port} in {READY_SECONDS:.0f} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and wait for its end."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running() -> Generator[str]:
    """A ready DynamoDB Local for the length of a `with` block; yields its URL."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    process = start(port)
    try:
        wait_until_ready(process, port)
        yield endpoint
    finally:
        stop(process)


def create_registry_table(endpoint: str, name: str) -> None:
    """Create the registry's table, as template.yaml does: string keys `pk` and `sk`, on demand."""
    _create_table(endpoint, name, {"pk": "HASH", "sk": "RANGE"})


def create_quota_table(endpoint: str, name: str) -> None:
    """Create the quota's table, as template.yaml does but without its TTL: a string key `pk`, on demand."""
    _create_table(endpoint, name, {"pk": "HASH"})


def create_state_table(endpoint: str, name: str) -> None:
    """Create the table of answers, as template.yaml does but without its TTL: string keys `pk` and `sk`, on demand."""
    _create_table(endpoint, name, {"pk": "HASH", "sk": "RANGE"})


def _create_table(endpoint: str, name: str, keys: dict[str, str]) -> None:
    session = botocore.session.get_session()
    session.set_credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    config = Config(retries={"total_max_attempts": 3, "mode": "standard"})
    client: Any = session.create_client("dynamodb", region_name=REGION, endpoint_url=endpoint, config=config)
    with closing(client):
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
