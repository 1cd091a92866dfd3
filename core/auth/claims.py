"""From verified claims to a principal: times, issuer and audience first, then names from the claims that were mapped.

Sources: RFC 7519 (JWT claims), RFC 7662 (introspection answers); the mapping is Llama Stack 0.2.12's.
"""

from collections.abc import Mapping
import re
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator

from core.auth.verifier import make_principal
from core.config.records import Text
from core.errors import Unauthenticated
from core.frame.callers import CATEGORIES, Principal

LEEWAY: Final = 30.0
"""Seconds that the issuer's clock may differ from ours."""

DEFAULT_MAPPING: Final = {
    "sub": "roles",
    "username": "roles",
    "groups": "teams",
    "team": "teams",
    "project": "projects",
    "tenant": "namespaces",
    "namespace": "namespaces",
}
SUBJECTS: Final = ("sub", "client_id", "azp", "cid")
SCOPES: Final = {"scope": "scopes", "scp": "scopes"}
DOT: Final = re.compile(r"(?<!\\)\.")

type Claims = Mapping[str, Any]


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise ValueError(f"must be one of {', '.join(CATEGORIES)}")
    return name


type ClaimsMapping = dict[Text, Annotated[str, AfterValidator(_category)]]


def check_times(claims: Claims, now: float, *, expires: bool = True) -> None:
    """`now` is Unix time; without `expires`, exp may be absent.

    Raises:
        Unauthenticated: expired, or not valid yet.
    """
    exp, nbf, iat = (_time(claims, name) for name in ("exp", "nbf", "iat"))
    if exp is None and expires:
        raise Unauthenticated("The token has no expiry (exp). Ask the issuer for one that expires.")
    # NaN compares as false: each condition is one that a valid token fulfils.
    if exp is not None and not exp > now - LEEWAY:
        raise Unauthenticated("The token has expired. Get a new one.")
    if nbf is not None and not nbf <= now + LEEWAY:
        raise Unauthenticated("The token is not valid yet (nbf).")
    if iat is not None and not iat <= now + LEEWAY:
        raise Unauthenticated("The token was issued in the future (iat). Check the issuer's clock.")


def check_issuer(claims: Claims, issuer: str | None) -> None:
    if issuer is not None and claims.get("iss") != issuer:
        raise Unauthenticated("The token was not issued by the configured issuer.")


def check_audience(claims: Claims, audience: str) -> None:
    audiences = claims.get("aud")
    if audience != audiences and not (isinstance(audiences, list) and audience in audiences):
        raise Unauthenticated(
            "The token is not for this audience. Ask the issuer for one with the audience of this stack."
        )


def principal(claims: Claims, mapping: Mapping[str, str], vouched_by: str) -> Principal:
    """Who the claims are about; OAuth scopes are kept as the attribute `scopes`.

    Raises:
        Unauthenticated: they name nobody.
    """
    candidates = (claims.get(name) for name in SUBJECTS)
    subject = next((value for value in candidates if isinstance(value, str) and value), None)
    if subject is None:
        raise Unauthenticated("The token names no subject (sub) and no client (client_id).")
    return make_principal(subject, attributes(claims, mapping) | attributes(claims, SCOPES), vouched_by)


def attributes(claims: Claims, mapping: Mapping[str, str]) -> dict[str, list[str]]:
    """`{category: names}`, each name once, in the order of the mapping and then of the claim."""
    names_by_category: dict[str, dict[str, None]] = {}
    for claim, category in mapping.items():
        names_by_category.setdefault(category, {}).update(dict.fromkeys(_names(look_up(claims, claim))))
    return {category: list(names) for category, names in names_by_category.items()}


def look_up(claims: Claims, name: str) -> object:
    r"""The claim of that very name, else that at its path: `realm_access.roles`, or `resources.my\.client.roles`."""
    if name in claims or "." not in name:
        return claims.get(name)
    value: Any = claims
    for step in DOT.split(name):
        if not isinstance(value, Mapping):
            return None
        value = cast("Claims", value).get(step.replace(r"\.", "."))
    return value


def _names(value: object) -> list[str]:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return [name for name in cast("list[object]", value) if isinstance(name, str) and name.strip()]
    return []


def _time(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Unauthenticated(f"The token has a time ({name}) that is not a number.")
    return value
