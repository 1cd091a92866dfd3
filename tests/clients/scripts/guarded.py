"""Every client against a stack with keys, a policy and a quota: it raises the exception class that each answer means.

The environment variables KEY and SPENT_KEY have a caller's key, and one of a caller who may call once.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
import os
from typing import Any

from tests.clients.scripts.harness import ALIAS, MESSAGES, SHORT, refusal, run


def _openai(module: Any, url: str, key: str) -> Any:
    return module.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def _llama_stack(module: Any, url: str, key: str) -> Any:
    return module.LlamaStackClient(base_url=url, api_key=key, max_retries=0)


def _ogx(module: Any, url: str, key: str) -> Any:
    return module.OgxClient(base_url=url, api_key=key)


CLIENTS: dict[str, Callable[[Any, str, str], Any]] = {
    "ogx_client": _ogx,
    "llama_stack_client": _llama_stack,
    "openai": _openai,
}


def package() -> tuple[Any, Callable[[Any, str, str], Any]]:
    """The client of this environment, and how it is made."""
    name = next(name for name in CLIENTS if find_spec(name) is not None)
    return import_module(name), CLIENTS[name]


def error(status: int) -> type[Exception]:
    """The class that the client raises for this status."""
    module = package()[0]
    names = {401: "AuthenticationError", 403: "PermissionDeniedError", 429: "RateLimitError"}
    if module.__name__ == "ogx_client":
        names = {401: "UnauthorizedException", 403: "ForbiddenException", 429: "RateLimitException"}
        module = import_module("ogx_client.exceptions")
    found: type[Exception] = getattr(module, names[status])
    return found


def chat(url: str, key: str) -> Any:
    module, make = package()
    client = make(module, url, key)
    completions = client.chat_completions if module.__name__ == "ogx_client" else client.chat.completions
    return completions.create(model=ALIAS, messages=MESSAGES, **SHORT)


def a_key_opens(url: str) -> None:
    assert chat(url, os.environ["KEY"]).choices[0].message.content


def a_wrong_key_is_an_authentication_error(url: str) -> None:
    for key in ("none", f"{os.environ['KEY'][:-1]}_"):
        refused = refusal(error(401), partial(chat, url, key))
        assert key not in str(refused)


def beyond_the_quota_is_a_rate_limit_error(url: str) -> None:
    with suppress(error(429)):  # another client has had the one call there is
        chat(url, os.environ["SPENT_KEY"])
    assert "Quota exceeded" in str(refusal(error(429), lambda: chat(url, os.environ["SPENT_KEY"])))


def what_is_denied_is_a_permission_error(url: str) -> None:
    module, make = package()
    client = make(module, url, os.environ["KEY"])
    if module.__name__ == "ogx_client":
        return  # it changes nothing that this stack serves
    path = "/models/" if module.__name__ == "openai" else "/v1/models/"
    refusal(error(403), partial(client.delete, path + ALIAS, cast_to=object))


SCENARIOS = (
    a_key_opens,
    a_wrong_key_is_an_authentication_error,
    beyond_the_quota_is_a_rate_limit_error,
    what_is_denied_is_a_permission_error,
)

if __name__ == "__main__":
    run(SCENARIOS)
