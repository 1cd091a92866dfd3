"""moto's Cognito as a process: a user pool whose tokens are really signed, and whose keys are served over HTTP."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from infra.local.ports import free_port
from tests.parts.processes import answering
from tests.parts.shared import SharedParts

REGION = "eu-central-1"
PASSWORD = "Correct-Horse-8"


@dataclass(frozen=True)
class Pool:
    """One user, ada, in `groups`; `access` and `id` are her tokens for the app client `client_id`."""

    id: str
    client_id: str
    jwks_uri: str
    access: str
    id_token: str


@contextmanager
def moto() -> Generator[str]:
    """The URL of a ready moto server."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as folder, answering(command, url, Path(folder) / "log"):
        yield url


@pytest.fixture(scope="session")
def make_pool(parts: SharedParts) -> Callable[[], Pool]:
    return partial(_pool, parts.get(moto))


def _pool(endpoint: str) -> Pool:
    from botocore.session import Session

    session = Session()
    session.set_credentials("test", "test")
    client: Any = session.create_client("cognito-idp", region_name=REGION, endpoint_url=endpoint)
    try:
        pool_id = client.create_user_pool(PoolName="p")["UserPool"]["Id"]
        made = client.create_user_pool_client(
            UserPoolId=pool_id, ClientName="c", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )
        client_id = made["UserPoolClient"]["ClientId"]
        user = {"UserPoolId": pool_id, "Username": "ada"}
        client.admin_create_user(**user)
        client.admin_set_user_password(**user, Password=PASSWORD, Permanent=True)
        for group in ("admin", "writers"):
            client.create_group(UserPoolId=pool_id, GroupName=group)
            client.admin_add_user_to_group(**user, GroupName=group)
        result = client.initiate_auth(
            ClientId=client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ada", "PASSWORD": PASSWORD},
        )["AuthenticationResult"]
    finally:
        client.close()
    keys = f"{endpoint}/{pool_id}/.well-known/jwks.json"
    return Pool(pool_id, client_id, keys, result["AccessToken"], result["IdToken"])
