"""A client of a running stack: of what OpenAI's clients have too, of datasets and evaluations, and of the routes that no OpenAI client has.

    client = Client("http://127.0.0.1:8321")
    config = {"inference": [{"provider_id": "vllm", "config": {"url": "http://gpu:8000"}}]}
    print(client.configurations.register(config=config)["version"])

Every call raises ApiFailed or Unreachable, both of `core.client.failures`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, override

from core.client.agents import Agents, Sessions
from core.client.answers import (
    Configuration,
    ConfigurationPage,
    Inspected,
    ProviderPage,
    Registered,
    RegisteredProvider,
)
from core.client.audit import Audit
from core.client.batches import Batches
from core.client.datasets import Datasets
from core.client.evals import Benchmarks, Evals, ScoringFunctions
from core.client.files import Files
from core.client.http import Transport
from core.client.keys import Keys
from core.client.responses import Conversations, Prompts, Responses
from core.client.shapes import check_shape, path_of
from core.client.tools import Tools
from core.client.usage import Usage
from core.client.vector_stores import VectorStores
from core.client.webhooks import Webhooks
from core.platform.json_values import to_object

if TYPE_CHECKING:
    from core.apis.answers.inference import Model
    from core.apis.answers.jobs import JobList, JobView
    from core.apis.discovery import Environment

SECONDS = 30.0


class Client:
    """`base_url` is that of a stack, with or without /v1; `timeout` is in seconds without a byte."""

    def __init__(
        self, base_url: str, api_key: str | None = None, timeout: float = SECONDS, *, provider_data: str = ""
    ) -> None:
        """`provider_data` is a JSON object of the caller's own keys for providers.

        Raises ValueError for what is no URL of a server, no key or no such object. Nothing is sent yet.
        """
        self._transport = Transport(base_url, api_key, timeout=timeout, provider_data=provider_data)
        self.configurations = Configurations(self._transport)
        self.inspect = Inspection(self._transport)
        self.providers = Providers(self._transport)
        self.jobs = Jobs(self._transport)
        self.batches = Batches(self._transport)
        self.files = Files(self._transport)
        self.datasets = Datasets(self._transport)
        self.scoring_functions = ScoringFunctions(self._transport)
        self.benchmarks = Benchmarks(self._transport)
        self.evals = Evals(self._transport)
        self.vector_stores = VectorStores(self._transport)
        self.tools = Tools(self._transport)
        self.responses = Responses(self._transport)
        self.conversations = Conversations(self._transport)
        self.prompts = Prompts(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.keys = Keys(self._transport)
        self.agents = Agents(self._transport)
        self.sessions = Sessions(self._transport)
        self.audit = Audit(self._transport)
        self.usage = Usage(self._transport)

    @override
    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"


class Configurations:
    """Versions of what is laid over the run config's providers."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def inspect(self) -> Inspected:
        return check_shape(self._transport.send("GET", "/v1/inspect/configurations"), Inspected)

    def register(self, config: Mapping[str, Any] | str, *, dry_run: bool = False, force: bool = False) -> Registered:
        """Merge this, or the JSON text of it, into what is in force; a null takes an override away.

        `config` is `{api: [{"provider_id", "config"}]}`, or that under "providers". A `dry_run` keeps nothing; `force` does
        not ask the changed providers whether they serve.
        """
        return self._post({"config": config, "dry_run": dry_run, "force": force})

    def revert(self, configuration_id: str | int) -> Registered:
        """Put what an earlier version has in force, as a new version."""
        return self._post({"revert_to": str(configuration_id)})

    def list(self, *, before: str | int | None = None, limit: int | None = None) -> ConfigurationPage:
        """At most `limit` versions (100 at the most), newest first, older than `before`."""
        query = {"before": before, "limit": limit}
        return check_shape(self._transport.send("GET", "/v1/configurations", query=query), ConfigurationPage)

    def get(self, configuration_id: str | int) -> Configuration:
        return check_shape(self._transport.send("GET", path_of("configurations", configuration_id)), Configuration)

    def unregister(self, configuration_id: str | int) -> None:
        """Remove a version; after the one in force the run config's file holds alone."""
        self._transport.send("DELETE", path_of("configurations", configuration_id))

    def _post(self, body: dict[str, Any]) -> Registered:
        return check_shape(self._transport.send("POST", "/v1/configurations", body), Registered)


class Inspection:
    """What the stack is, beside its configuration."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def models(self) -> "list[Model]":
        """Those that the caller may use: what the run config declares first."""
        from core.apis.answers.inference import Model

        rows: list[Any] = to_object(self._transport.send("GET", "/v1/models")).get("data") or []
        return [check_shape(model, Model) for model in rows]

    def environment(self) -> "Environment":
        """What the stack runs on, and what its upstreams offer."""
        from core.apis.discovery import Environment

        return check_shape(self._transport.send("GET", "/v1/inspect/environment"), Environment)


class Providers:
    """The providers of the run config, and those registered over it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> ProviderPage:
        """All of them, with their health, which is asked for now."""
        return check_shape(self._transport.send("GET", "/v1/providers"), ProviderPage)

    def register(
        self, *, api: str, provider_id: str, provider_type: str, config: Mapping[str, Any]
    ) -> RegisteredProvider:
        """One more, of a type that the stack has been built with."""
        body = {"api": api, "provider_id": provider_id, "provider_type": provider_type, "config": config}
        return check_shape(self._transport.send("POST", "/v1/providers", body), RegisteredProvider)

    def unregister(self, provider_id: str) -> None:
        self._transport.send("DELETE", path_of("providers", provider_id))


class Jobs:
    """Work that outlives the request that made it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, kind: str | None = None, after: str | None = None, limit: int | None = None) -> "JobList":
        """At most `limit` of the caller's jobs (100 at the most), newest first; those after another are of its kind."""
        from core.apis.answers.jobs import JobList

        query = {"kind": kind, "after": after, "limit": limit}
        return check_shape(self._transport.send("GET", "/v1/jobs", query=query), JobList)

    def get(self, job_id: str) -> "JobView":
        return self._view("GET", path_of("jobs", job_id))

    def cancel(self, job_id: str) -> "JobView":
        """Stop it; what was done is kept."""
        return self._view("POST", f"{path_of('jobs', job_id)}/cancel")

    def retry(self, job_id: str) -> "JobView":
        """A new job with the same request, of one that has ended."""
        return self._view("POST", f"{path_of('jobs', job_id)}/retry")

    def _view(self, method: str, path: str) -> "JobView":
        from core.apis.answers.jobs import JobView

        return check_shape(self._transport.send(method, path), JobView)
