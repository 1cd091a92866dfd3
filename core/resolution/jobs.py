"""From a resolved stack to the engine of its jobs: the kinds of its APIs, the stores, the owners and their quota."""

from collections.abc import Callable
import time

from core.apis.index import manifest, names
from core.apis.jobs import JobTeller
from core.config.document import RunConfig
from core.frame.callers import Principal
from core.frame.dotted import load
from core.resolution.protection import API_KEY
from core.resolution.stack import Stack, routed_apis
from core.services.jobs.admission import Admission, Unlimited
from core.services.jobs.engine import Engine
from core.services.jobs.secrets import JobSecrets
from core.services.jobs.timing import Timing
from core.services.jobs.told import Tell, ToldAdmission
from core.stores.connect import BLOBS, JOBS, QUEUE
from core.stores.registry.port import RegistryStore


def has_jobs(config: RunConfig) -> bool:
    """Whether an API that the run config serves has jobs, and there is a place for them."""
    placed = all(kind.config_in(config) is not None for kind in (JOBS, QUEUE, BLOBS))
    return placed and any(manifest(name).jobs for name in routed_apis(config))


def engine_of(stack: Stack, timing: Timing | None = None, tell: Tell | None = None) -> Engine:
    """The engine of all kinds of the stack's APIs, which tells what its calls have used.

    Raises:
        StateUnavailable: there is no place for jobs.
    """
    apis = [name for name in names() if name in routed_apis(stack.config)]
    keys, blobs = stack.job_keys, stack.stores.get(BLOBS)
    return Engine(
        jobs=stack.stores.get(JOBS),
        queue=stack.stores.get(QUEUE),
        blobs=blobs,
        kinds={row.name: load(row.kind)(stack) for name in apis for row in manifest(name).jobs},
        owners=StackOwners(stack.registry_store, counts=stack.config.server.quota is not None),
        admission=_admission_of(stack, tell),
        timing=timing or Timing(),
        teller=_teller_of(stack),
        secrets=None if keys is None else JobSecrets(blobs, keys),
        apis={row.name: name for name in apis for row in manifest(name).jobs},
    )


def _admission_of(stack: Stack, tell: Tell | None) -> Admission:
    admission = stack.admission or Unlimited()
    if tell is None:
        return admission
    naming = None
    if stack.config.server.usage:  # else nothing of it is imported
        from core.quota.naming import naming_of

        naming = naming_of(stack.config)
    return ToldAdmission(admission, tell, None if naming is None else naming.note)


def _teller_of(stack: Stack) -> JobTeller | None:
    """None where the run config names no event bus."""
    bus = stack.config.jobs.event_bus
    if bus is None:
        return None
    from core.providers.aws.event_bus import EventBus

    teller = EventBus(bus, stack.config.name)
    stack.end_with(teller.close)
    return teller


class StackOwners:
    """Who an owner is by now, for `core.services.jobs`: of an API key what the registry has of it.

    Others who vouch cannot be asked without the owner's token: their principals are as they were when the job was made,
    for as long as it may last.
    """

    def __init__(
        self, registry: Callable[[], RegistryStore], *, counts: bool = True, clock: Callable[[], float] = time.time
    ) -> None:
        """`counts` is whether keys are held to limits of their own. `clock` gives Unix seconds."""
        self._counts = counts
        self._registry = registry
        self._clock = clock

    async def current(self, principal: Principal) -> Principal | None:
        """None for a key that is revoked or has expired, or has limits that nothing holds it to.

        Raises:
            ApiError: the registry cannot be read (503).
        """
        if principal.vouched_by != API_KEY:
            return principal
        from core.auth.api_key import bearer_of, is_limited
        from core.stores.registry import key_format

        resource = await self._registry().get(key_format.KIND, principal.id)
        key = None if resource is None else key_format.read(resource)
        if key is None or key.revoked is not None or key.is_past(self._clock()):
            return None
        if not self._counts and is_limited(key):
            return None
        return bearer_of(principal.id, key)
