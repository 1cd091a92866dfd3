"""From `server.auth`, `.quota`, `.usage` and `.idempotency` to what keeps them: what is not configured is not imported."""

from collections.abc import Callable, Collection
from functools import cache
import logging
from typing import TYPE_CHECKING, Final

from core.apis.index import route_rows
from core.config.document import RunConfig
from core.config.load import Loaded
from core.config.places import to_list, to_mapping
from core.config.problems import ConfigInvalid, Problem
from core.config.security import RETENTION_DAYS, AuthConfig, QuotaConfig
from core.frame.callers import Principal
from core.platform.suggestions import did_you_mean
from core.routing.policy import Heir
from core.stores.answers.port import AnswerStore
from core.stores.connect import ANSWERS, COUNTERS, SEMAPHORES, Stores
from core.stores.registry.port import RegistryStore

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.config.limits import QuotaRow
    from core.quota.order import FindModel, FindMoney
    from core.quota.quota import Quota
    from core.quota.recorder import UsageRecorder
    from core.quota.streams import StreamLimit

API_KEY: Final = "api_key"
MCP: Final = "remote::model-context-protocol"
EXCHANGE: Final = "token_exchange"  # of its config's `servers`

log = logging.getLogger(__name__)


def protection_problems(loaded: Loaded) -> list[Problem]:
    """What is wrong with the auth providers: their types, their config."""
    auth = loaded.config.server.auth if loaded.config is not None else None
    if auth is None:
        return []
    from core.auth.types import TYPES, config_class

    problems: list[Problem] = []
    for index, entry in enumerate(auth.providers):
        path = f"server.auth.providers[{index}]"
        if entry.type not in TYPES:
            choices = f"{did_you_mean(entry.type, TYPES) or ';'} known: {', '.join(TYPES)}"
            problems.append(Problem(loaded.places.source_path(f"{path}.type"), f"unknown auth provider{choices}"))
            continue
        problems += loaded.check(config_class(entry.type), entry.config, f"{path}.config")[1]
    return problems


def limit_problems(loaded: Loaded) -> list[Problem]:
    """What is wrong with the quota's rows, each at its place."""
    rows = to_mapping(to_mapping(loaded.document.get("server")).get("quota")).get("limits")
    if not isinstance(rows, list) or not rows:
        return []
    from core.config.limits import QuotaRows, find_twins

    checked, problems = loaded.check(QuotaRows, {"limits": rows}, "server.quota")
    limits = () if checked is None else checked.limits
    for place, earlier, unit in find_twins((row.whose, row) for row in limits):
        row, path = limits[place], loaded.places.source_path(f"server.quota.limits[{place}].{unit}")
        text = f"is limited for {row.whose} per {row.window} at limits[{earlier}] too: keep one of them"
        problems.append(Problem(path, text))
    return problems


def protection_warnings(auth: AuthConfig | None) -> list[str]:
    """What a valid `server.auth` allows that may make callers more than they should be."""
    if auth is None:
        return []
    warnings: list[str] = []
    for entry in auth.providers:
        if mapping := entry.config.get("claims_mapping"):
            from core.auth.claims import mapping_warnings

            warnings += [f"server.auth, {entry.type}: claims_mapping: {text}" for text in mapping_warnings(mapping)]
    names = {rule.scope.principal: None for rule in auth.access_policy or () if rule.scope.issuer is None}
    if len(auth.providers) > 1:
        warnings += [
            f"server.auth.access_policy: `principal: {name}` is whoever has this id with any auth provider; add `issuer`"
            for name in filter(None, names)
        ]
    return warnings


@cache
def _warn(text: str) -> None:
    """Once: a process makes a stack for each of its functions."""
    log.warning("%s", text)


def heir_of(auth: AuthConfig) -> Heir:
    """Whose it is what an owner's id alone is kept with: an API key's by its form, else the only other auth provider's."""
    others = [entry for entry in auth.providers if entry.type != API_KEY]

    def is_heir(principal: Principal) -> bool:
        if principal.vouched_by == API_KEY or len(others) != 1:
            return principal.vouched_by == API_KEY
        if len(auth.providers) == 1:
            return True
        from core.stores.registry.key_format import ID

        return ID.fullmatch(principal.id) is None

    return is_heir


def connect_auth(
    loaded: Loaded, auth: AuthConfig | None, registry: Callable[[], RegistryStore]
) -> "Authenticator | None":
    """The auth providers in their order; None without `server.auth`.

    Raises:
        ConfigInvalid: one has problems.
    """
    if auth is None:
        return None
    problems = protection_problems(loaded)
    if problems:
        raise ConfigInvalid("run config", problems)
    for warning in protection_warnings(auth):
        _warn(warning)
    from core.auth.authenticator import Authenticator
    from core.auth.http import Http
    from core.auth.types import config_class, connect
    from core.auth.verifier import Services

    services = Services(Http(), registry(), counts=loaded.config is None or loaded.config.server.quota is not None)
    verifiers = [
        connect(entry.type, config_class(entry.type).model_validate(entry.config), services) for entry in auth.providers
    ]
    return Authenticator(verifiers, services, hands_on=_exchanges_tokens(loaded))


def _exchanges_tokens(loaded: Loaded) -> bool:
    """Whether the run config has a provider that takes callers' own tokens to an authorization server: only then are they kept for the call."""
    return any(
        EXCHANGE in to_mapping(server)
        for api, _, entry in loaded.provider_entries()
        if entry.provider_type == MCP and loaded.callers_parts.get((api, entry.provider_id)) is None
        for server in to_list(entry.config.get("servers"))
    )


def connect_quota(
    config: RunConfig,
    stores: Stores,
    *,
    authenticated: bool,
    find_money: "FindMoney | None" = None,
    find_model: "FindModel | None" = None,
) -> "Quota | None":
    """The quota over its own store, which opens at the first call; None without `server.quota`.

    `find_money` is asked what a call may cost, where money is limited, and `find_model` which one it asks, where models are.
    """
    quota = config.server.quota
    if quota is None:
        return None
    from core.quota.quota import Quota

    if not authenticated:
        log.warning(
            "server.quota is configured without server.auth: every client is anonymous, so that "
            "anonymous_max_requests applies to all and authenticated_max_requests to none"
        )
    from core.quota.rules import Rules

    rules = Rules(_rows_of(quota), stores.get(COUNTERS), find_money, find_model=find_model)
    return Quota(quota, stores.get(COUNTERS), rules=rules, retention_days=retention_days(config))


def _rows_of(quota: QuotaConfig) -> "tuple[QuotaRow, ...]":
    """Read now, where there are any."""
    if not quota.limits:
        return ()
    from core.config.limits import QuotaRows

    return QuotaRows.model_validate({"limits": quota.limits}).limits


def connect_recorder(config: RunConfig, stores: Stores) -> "UsageRecorder | None":
    """What counts usage where no quota does, in a store of its own; None where there is a quota, or nothing is to be counted."""
    days = None if config.server.quota is not None else retention_days(config)
    if days is None:
        return None
    from core.quota.recorder import UsageRecorder

    return UsageRecorder(stores.get(COUNTERS), retention_days=days)


def retention_days(config: RunConfig) -> int | None:
    """How long usage is kept; None where it is not counted."""
    server = config.server
    if not server.usage:  # as mostly: nothing of it is imported
        return None if server.quota is None else RETENTION_DAYS
    from core.config.usage import usage_of

    usage = usage_of(config)
    is_counted = usage.enabled is not False and (server.quota is not None or usage.kvstore is not None)
    return usage.retention_days if is_counted else None


def connect_stream_limit(quota: QuotaConfig | None, stores: Stores) -> "StreamLimit | None":
    """The streams that each client has open, in the quota's store; None where nothing limits them."""
    if quota is None or (quota.max_streams is None and all(r.max_streams is None for r in quota.roles.values())):
        return None
    from core.quota.streams import StreamLimit

    return StreamLimit(quota, stores.get(SEMAPHORES))


def connect_idempotency(stores: Stores, apis: Collection[str]) -> AnswerStore | None:
    """The answers' store, which opens at the first call; None without `server.idempotency`, and where no API heeds it."""
    heeded = any(row.operation.idempotent for row in route_rows(apis) if row.operation is not None)
    return stores.find(ANSWERS) if heeded else None
