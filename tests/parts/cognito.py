"""moto's Cognito: a user pool whose tokens are really signed, and whose keys are served over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.parts.moto import aws_client

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


@pytest.fixture(scope="session")
def make_pool(moto_endpoint: str) -> Callable[[], Pool]:
    return partial(_pool, moto_endpoint)


def _pool(endpoint: str) -> Pool:
    with aws_client("cognito-idp", endpoint, REGION) as client:
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
    keys = f"{endpoint}/{pool_id}/.well-known/jwks.json"
    return Pool(pool_id, client_id, keys, result["AccessToken"], result["IdToken"])
