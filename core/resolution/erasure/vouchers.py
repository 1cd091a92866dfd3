"""Who vouches for a principal whose id somebody names: two auth providers may have the same id for two people."""

from typing import Final

from core.auth.types import TYPES, voucher_of
from core.config.document import RunConfig
from core.config.problems import ConfigInvalid, Problem
from core.frame.callers import Principal
from core.resolution.protection import heir_of
from core.services.erasure import Estate

NO_AUTH: Final = "the run config has no server.auth: nobody can be told apart, and what is kept is nobody's"
WHICH: Final = "several may vouch for `{}`; say which: {}"
FROM_TOKENS: Final = (
    "`oauth2_token URL ISSUER`, with the URL of its keys (jwks.uri, introspection.url) and the `iss` of its tokens"
)
UNKNOWN: Final = "`{}` vouches for nobody here; say {}"


def estate_of(config: RunConfig, principal_id: str, issuer: str | None) -> Estate:
    """Whose data it is. `issuer` is as owners have it (`vouched_by`), or as a rule of the policy says it; None where only one can be.

    Raises:
        ConfigInvalid: it does not say who that is.
    """
    auth = config.server.auth
    if auth is None:
        raise ConfigInvalid("--principal", [Problem("", NO_AUTH)])
    vouchers = [voucher_of(entry.type, entry.config) for entry in auth.providers]
    voucher = _only(principal_id, vouchers) if issuer is None else _named(issuer, vouchers)
    return Estate(Principal(principal_id, {}, voucher), heir_of(auth))


def _only(principal_id: str, vouchers: list[str | None]) -> str:
    if len(vouchers) == 1 and vouchers[0] is not None:
        return vouchers[0]
    raise ConfigInvalid("--vouched-by", [Problem("", WHICH.format(principal_id, _choices(vouchers)))])


def _named(issuer: str, vouchers: list[str | None]) -> str:
    """One that the run config has no more may be said as owners have it: what it vouched for is there still."""
    matches = [voucher for voucher in vouchers if voucher is not None and issuer in _spellings(voucher)]
    if len(matches) == 1:
        return matches[0]
    if issuer.partition(" ")[0] in TYPES and (issuer == "api_key" or " " in issuer):
        return issuer
    raise ConfigInvalid("--vouched-by", [Problem("", UNKNOWN.format(issuer, _choices(vouchers)))])


def _spellings(voucher: str) -> tuple[str, str]:
    return voucher, voucher.partition(" ")[2] or voucher


def _choices(vouchers: list[str | None]) -> str:
    return ", or ".join(f"`{voucher}`" if voucher else FROM_TOKENS for voucher in vouchers)
