"""A remote with one key of the operator's, spoken to by JSON: its client, opened at the first call, and how its answers are read."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import ApiError, NotFound
from core.frame.types import Health
from core.providers.http.keyed import KeyedConfig
from core.providers.http.operators_key import call_with_key
from core.providers.http.replies import health_of

if TYPE_CHECKING:
    from core.providers.http.resources import ResourceClient


class KeyedService:
    """`header` has the key, in the place of `{key}` in `form`. `judge` says what an error means, and `unreadable` makes the failure of an answer of another shape."""

    def __init__(
        self,
        provider_id: str,
        config: KeyedConfig,
        *,
        header: str,
        form: str = "{key}",
        judge: Callable[[str, int, bytes], ApiError | None],
        unreadable: Callable[[str], ApiError],
    ) -> None:
        """The HTTP client is imported and opened at the first call."""
        self._provider_id = provider_id
        self._credentials = config.credentials()
        self._remote = config.remote(provider_id)
        self._forms = {header: form}
        self._judge = partial(judge, provider_id)
        self._unreadable = unreadable
        self._client: ResourceClient | None = None

    def warm(self) -> None:
        """Import what the first call would wait for."""
        _ = self._http

    async def call(self, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
        """Raises what the judge says, and what a call of any upstream may."""
        return await call_with_key(
            self._credentials, lambda credentials: self._http.call(method, path, body, credentials, self._forms)
        )

    async def call_unless_missing(self, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - JSON
        """None where there is no such thing."""
        try:
            return await self.call(method, path, body)
        except NotFound:
            return None

    async def health(self, path: str) -> Health:
        return await health_of(self.call("GET", path))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    @contextmanager
    def reading(self) -> Generator[None]:
        """What an answer of another shape raises inside leaves as a failure of the upstream."""
        try:
            yield
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as odd:
            raise self._unreadable(self._provider_id) from odd

    @property
    def _http(self) -> "ResourceClient":
        if self._client is None:
            from core.providers.http.resources import ResourceClient

            self._client = ResourceClient(self._remote, self._judge)
        return self._client
