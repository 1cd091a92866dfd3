"""Sessions, settings and clients of the AWS SDK; a process reads its descriptions of services, which are long, once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from core.platform import environment
from core.platform.aws_errors import EndpointInvalid

if TYPE_CHECKING:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession
    from botocore.loaders import Loader

MODULES: Final = ("aiobotocore.config", "aiobotocore.session", "aiobotocore.httpsession")
DESCRIPTIONS: Final = ("service-2", "endpoint-rule-set-1")
SHARED: Final = ("endpoints", "partitions", "sdk-default-configuration")


_warmed: "list[AioSession]" = []
_sessions: "WeakKeyDictionary[asyncio.AbstractEventLoop, AioSession]" = WeakKeyDictionary()


def shared_session() -> "AioSession":
    """The stack's own session, one for each event loop: who changes nothing about it saves the making of another."""
    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        _sessions[loop] = _warmed.pop() if _warmed else session()
    return _sessions[loop]


def warm_session() -> None:
    """Make the first loop's shared session now, so that the first call need not."""
    if not _warmed and not _sessions:
        _warmed.append(session())


def session(profile: str | None = None) -> "AioSession":
    """A new session, which finds credentials by itself; it shares the descriptions with all others."""
    from aiobotocore.session import AioSession

    environment.leave_out_imds()
    new = AioSession(profile=profile)
    new.register_component("data_loader", _loader())
    return new


def config(**options: Any) -> "AioConfig":  # noqa: ANN401 - the SDK's own options
    """Settings of a client, by the SDK's names; the clients share one TLS context."""
    from aiobotocore.config import AioConfig

    from core.platform.aws_http import session_class

    return AioConfig(**{"http_session_cls": session_class()} | options)


@asynccontextmanager
async def open_client(session: "AioSession", service: str, **options: Any) -> AsyncGenerator[Any]:  # noqa: ANN401 - the SDK makes its clients' methods at run time
    """A client of a service, both by the SDK's names; raises EndpointInvalid."""
    from botocore.exceptions import BotoCoreError

    create: Any = session.create_client  # typed for the services alone whose stubs are installed
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(create(service, **options))
        except BotoCoreError:  # some of them are ValueErrors too, as that of a region
            raise
        except ValueError as failure:
            raise EndpointInvalid from failure
        yield client


def preload(*services: str) -> None:
    """Import the SDK and read its descriptions of these services, so that the first call need not."""
    for module in MODULES:
        import_module(module)
    loader = _loader()
    for service in services:
        for part in DESCRIPTIONS:
            loader.load_service_model(service, part)
    for data in SHARED:
        loader.load_data(data)


def preload_session() -> None:
    """Import what a session needs, and what is needed to find a service's endpoint."""
    import_module("aiobotocore.session")
    _loader().load_data("partitions")


def configured_endpoint(session: "AioSession", service: str) -> str | None:
    """The URL that the environment, or else the profile, has for a service, or for all of them."""
    from botocore.configprovider import ConfiguredEndpointProvider

    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    url: str | None = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), service).provide()
    return url


def own_endpoint(session: "AioSession", service: str, region: str, *, dual_stack: bool = True) -> str:
    """AWS's URL of a service, by IPv4 and IPv6 alike where it is on both, as all new ones are."""
    from botocore.endpoint_provider import RuleSetStandardLibrary

    library: Any = RuleSetStandardLibrary(_loader().load_data("partitions"))
    fips = "-fips" if session.get_config_variable("use_fips_endpoint") else ""
    suffix = library.aws_partition(region)["dualStackDnsSuffix" if dual_stack else "dnsSuffix"]
    return f"https://{service}{fips}.{region}.{suffix}"


def partition_of(region: str) -> str:
    """That which an ARN of the region begins with, as `aws`."""
    from botocore.endpoint_provider import RuleSetStandardLibrary

    library: Any = RuleSetStandardLibrary(_loader().load_data("partitions"))
    name: str = library.aws_partition(region)["name"]
    return name


@cache
def _loader() -> "Loader":
    from botocore.loaders import create_loader

    return create_loader()
