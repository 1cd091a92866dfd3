"""From verified claims to a principal: times, issuer and audience first, then names from the claims that were mapped.

Sources: RFC 7519 (JWT claims), RFC 7662 (introspection answers); the mapping is Llama Stack 0.2.12's, but that no subject
and no user name is a role: their bearer, or whoever registers with the issuer, may have chosen them.
"""

from collections.abc import Collection, Mapping
import re
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BeforeValidator

from core.auth.verifier import make_principal
from core.config.records import Text, split_names
from core.errors import PermissionDenied, Unauthenticated
from core.frame.callers import CATEGORIES, Principal
from core.frame.forms import of_form

LEEWAY: Final = 30.0
"""Seconds that the issuer's clock may differ from ours."""

DEFAULT_MAPPING: Final = {
    "roles": "roles",
    "realm_access.roles": "roles",  # Keycloak
    "cognito:groups": "roles",
    "groups": "teams",
    "team": "teams",
    "project": "projects",
    "tenant": "namespaces",
    "namespace": "namespaces",
}
SUBJECTS: Final = ("sub", "client_id", "azp", "cid")
SCOPES: Final = {"scope": "scopes", "scp": "scopes"}
NAMES: Final = (
    "username",
    "nickname",
    "fullname",
    "givenname",
    "familyname",
    "middlename",
    "uniquename",
    "displayname",
)
CHOSEN: Final = (
    *NAMES,
    "sub",
    "userid",
    "uid",
    "upn",
    "login",
    "email",
    "mail",
    "clientid",
    "azp",
    "cid",
    "website",
    "locale",
)
PROFILE: Final = frozenset(
    ("name", "user", "profile", "picture", "address", "phonenumber", "zoneinfo", "gender", "birthdate")
)
"""What claims end with, or are, that users choose, or clients have as names (OpenID Connect Core 1.0, 5.1), without `_`."""
OTHER_TOKENS: Final = frozenset(("id", "id_token", "refresh", "refresh_token", "offline", "logout", "logout_token"))
DOT: Final = re.compile(r"(?<!\\)\.")

type Claims = Mapping[str, Any]


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise ValueError(f"must be one of {', '.join(CATEGORIES)}")
    return name


type Scope = Annotated[
    str, of_form(r"^[!#-\[\]-~]+$", "must be a scope's name: printable ASCII without blanks, quotes and backslashes")
]  # RFC 6749, 3.3
type Scopes = Annotated[tuple[Scope, ...], BeforeValidator(split_names)]
type ClaimsMapping = dict[Text, Annotated[str, AfterValidator(_category)]]


def mapping_warnings(mapping: Mapping[str, str]) -> list[str]:
    """What to say of the claims in it that their bearers may choose: whoever takes an administrator's name is one."""
    return [
        f"`{claim}` becomes {category}: whoever may choose it has the {category} of that name; map a claim that only the "
        "issuer's administrators set"
        for claim, category in mapping.items()
        if _is_chosen(claim)
    ]


def _is_chosen(claim: str) -> bool:
    space, _, last = DOT.split(claim)[-1].rpartition("/")[2].rpartition(":")
    name = last.lower().replace("-", "").replace("_", "")
    return (
        space == "custom" or name.endswith(CHOSEN) or name in PROFILE
    )  # custom: is Cognito's, of users' own attributes


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


def issuer_of(claims: Claims, place: str) -> str:
    """Who issued a token that the operator named no issuer for: `place` is where its keys are, or who was asked about it."""
    issuer = claims.get("iss")
    return f"{place} {issuer}" if isinstance(issuer, str) and issuer else place


def check_kind(claims: Claims) -> None:
    """Raises Unauthenticated for what an issuer marks as another token than one of access, as Keycloak does by `typ`."""
    kinds = (claims.get("typ"), claims.get("token_type"))
    marked = any(isinstance(kind, str) and kind.lower().replace("-", "_") in OTHER_TOKENS for kind in kinds)
    if marked or claims.get("token_use") == "refresh":  # of `id`, which Cognito writes, the run config decides
        raise Unauthenticated("The token is of another kind. Send an access token.")
    if isinstance(claims.get("events"), Mapping):  # RFC 8417: a security event, as an OpenID logout token
        raise Unauthenticated("The token is about an event. Send an access token.")


def check_audience(claims: Claims, audience: str) -> None:
    audiences = claims.get("aud")
    if audience != audiences and not (isinstance(audiences, list) and audience in audiences):
        raise Unauthenticated(
            "The token is not for this audience. Ask the issuer for one with the audience of this stack."
        )


def check_scopes(caller: Principal, scopes: Collection[str]) -> None:
    """Raises PermissionDenied if it has none of `scopes`, unless none are needed."""
    if scopes and not set(scopes) & set(caller.attributes.get("scopes", ())):
        names = " ".join(scopes)
        header = f'Bearer error="insufficient_scope", scope="{names}"'  # RFC 6750, 3.1
        raise PermissionDenied(f"The token has none of these scopes: {names}.", headers={"www-authenticate": header})


def principal(claims: Claims, mapping: Mapping[str, str], vouched_by: str, *, private: bool = False) -> Principal:
    """Who the claims are about; OAuth scopes are kept as the attribute `scopes`. `private`: see `make_principal`.

    Raises:
        Unauthenticated: they name nobody.
    """
    candidates = (claims.get(name) for name in SUBJECTS)
    subject = next((value for value in candidates if isinstance(value, str) and value), None)
    if subject is None:
        raise Unauthenticated("The token names no subject (sub) and no client (client_id).")
    names = attributes(claims, mapping) | attributes(claims, SCOPES)
    return make_principal(subject, names, vouched_by, private=private)


def attributes(claims: Claims, mapping: Mapping[str, str]) -> dict[str, list[str]]:
    """`{category: names}`, each name once, in the order of the mapping and then of the claim."""
    names_by_category: dict[str, dict[str, None]] = {}
    for claim, category in mapping.items():
        names_by_category.setdefault(category, {}).update(dict.fromkeys(_names(claim, look_up(claims, claim))))
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


def _names(claim: str, value: object) -> list[str]:
    """A text is one name, but for scopes: `mallory admin` is not an admin."""
    if isinstance(value, str):
        return value.split() if claim in SCOPES else [value] * bool(value.strip())
    if isinstance(value, list):
        return [name for name in cast("list[object]", value) if isinstance(name, str) and name.strip()]
    return []


def _time(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise Unauthenticated(f"The token has a time ({name}) that is not a number.")
    return value
