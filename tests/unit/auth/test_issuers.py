"""Whose tokens a run config says that callers have: what /mcp tells clients that have none yet."""

from typing import Any

import pytest

from core.auth.types import issuer_of

KEYS = "https://keys.example/realms/a/certs"


@pytest.mark.parametrize(
    ("kind", "config", "url"),
    [
        ("oauth2_token", {"jwks": {"uri": KEYS}, "issuer": "https://issuer.example/a"}, "https://issuer.example/a"),
        ("oauth2_token", {"jwks": {"uri": "https://issuer.example"}}, "https://issuer.example"),
        ("oauth2_token", {"jwks": {"uri": KEYS}}, None),
        ("oauth2_token", {"jwks": {"uri": KEYS}, "issuer": "our-issuer"}, None),
        (
            "cognito",
            {"user_pool_id": "eu-west-1_Ab", "client_ids": ["x"]},
            "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab",
        ),
        ("api_key", {}, None),
        ("custom", {"endpoint": "https://auth.example/check"}, None),
    ],
)
def test_an_issuer_is_known_where_the_run_config_names_its_url(
    kind: str, config: dict[str, Any], url: str | None
) -> None:
    assert issuer_of(kind, config) == url
