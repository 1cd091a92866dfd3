"""From `server.auth`, `.quota` and `.idempotency` to what keeps them: what is not configured is not imported."""

from collections.abc import Callable, Collection
import logging
from typing import TYPE_CHECKING

from core.apis.index import route_rows
from core.config.load import Loaded
from core.config.problems import ConfigInvalid, Problem
from core.config.security import AuthConfig, QuotaConfig
from core.platform.suggestions import did_you_mean
from core.stores.answers.port import AnswerStore
from core.stores.connect import ANSWERS, COUNTERS, SEMAPHORES, Stores
from core.stores.registry.port import RegistryStore

if TYPE_CHECKING:
    from core.auth.authenticator import Authenticator
    from core.quota.quota import Quota
    from core.quota.streams import StreamLimit

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
            choices = f"known: {', '.join(TYPES)}{did_you_mean(entry.type, TYPES)}"
            problems.append(Problem(loaded.places.source_path(f"{path}.type"), f"unknown auth provider; {choices}"))
            continue
        problems += loaded.check(config_class(entry.type), entry.config, f"{path}.config")[1]
    return problems


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
    from core.auth.authenticator import Authenticator
    from core.auth.http import Http
    from core.auth.types import config_class, connect
    from core.auth.verifier import Services

    services = Services(Http(), registry())
    verifiers = [
        connect(entry.type, config_class(entry.type).model_validate(entry.config), services) for entry in auth.providers
    ]
    return Authenticator(verifiers, services)


def connect_quota(quota: QuotaConfig | None, stores: Stores, *, authenticated: bool) -> "Quota | None":
    """The quota over its own store, which opens at the first call; None without `server.quota`."""
    if quota is None:
        return None
    from core.quota.quota import Quota

    if not authenticated:
        log.warning(
            "server.quota is configured without server.auth: every client is anonymous, so that "
            "anonymous_max_requests applies to all and authenticated_max_requests to none"
        )
    return Quota(quota, stores.get(COUNTERS))


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
