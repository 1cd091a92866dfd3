"""The JWT by which a client says who it is, signed with its private key. Source: RFC 7523, 3."""

import time
from typing import Final
import uuid

import jwt

from core.errors import ProviderUnavailable
from core.providers.mcp.config import TokenEndpoint

LIFE_SECONDS: Final = 120


def print_assertion(config: TokenEndpoint, private_key: str, audience: str) -> str:
    """Raises ProviderUnavailable for a key that is none, or none for this algorithm."""
    now = int(time.time())
    claims = {
        "iss": config.client_id,
        "sub": config.client_id,
        "aud": audience,
        "iat": now,
        "exp": now + LIFE_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    headers = {"kid": config.private_key_id} if config.private_key_id else None
    try:
        return jwt.encode(claims, private_key, algorithm=config.signing_algorithm, headers=headers)
    except (ValueError, TypeError, jwt.PyJWTError) as wrong:
        raise ProviderUnavailable(
            "The private key for a tool group's MCP server cannot be used: it must be PEM, and of the kind that `signing_algorithm` names."
        ) from wrong
