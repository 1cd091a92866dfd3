"""Signed calls of JSON to a service of AWS: for what the SDK that is locked cannot say yet (docs/adr/0065).

Credentials, regions and endpoints are those that the SDK finds, failures those that it raises, so that `aws_errors` sorts both.
Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html, https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from io import BytesIO
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from core.platform import aws_sdk as sdk
from core.platform.aws_errors import CODES, EndpointInvalid, Fault
from core.platform.bounded import read_up_to
from core.platform.json_reader import read_object
from core.platform.per_loop import PerLoop
from core.platform.retry import Backoff

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from aiohttp import ClientResponse, ClientSession
    from botocore.credentials import ReadOnlyCredentials
    from botocore.exceptions import ClientError

FIRST, LONGEST = 0.2, 20.0  # seconds
MOST_REFUSAL: Final = 64 * 1024  # bytes of an error's body
MOST_SKEW: Final = timedelta(minutes=4)  # more than that, and a clock is wrong: AWS takes 5 of them, or 15
SKEWED: Final = frozenset(
    {
        "RequestTimeTooSkewed",
        "RequestExpired",
        "RequestInTheFuture",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "AuthFailure",
        "AccessDeniedException",
    }
)
"""What services answer to a signature of another time, some of them to more than that: the answer's Date says which."""
TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
AGAIN: Final = frozenset({Fault.THROTTLED, Fault.SLOW})
HOST: Final = re.compile(r"https?://[^/?#\s]+/?")


class Identity(Protocol):
    """Who calls: both are kept, and refreshed, for the event loop that asks."""

    async def session(self) -> "AioSession": ...

    async def credentials(self) -> "ReadOnlyCredentials": ...


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Where a service is and how it is called; times are in seconds, `most_bytes` of an answer decompressed.

    Without `region` or `endpoint_url` the environment and the profile say them. `signed_as` is what requests are signed for
    where it is not the service's name; not `dual_stack` is a service that is reached by IPv4 alone.
    """

    region: str | None = None
    endpoint_url: str | None = None
    connect_timeout: float = 60
    read_timeout: float = 60
    total_timeout: float = 3600
    tries: int = 3
    connections: int = 100
    most_bytes: int = 64 * 1024 * 1024
    signed_as: str = ""
    dual_stack: bool = True


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """One of success, as it came; `headers` by their names in small letters."""

    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    http: "ClientSession"
    url: str
    region: str


class SignedJson:
    """Calls of one service: what may have been served is sent again, up to `tries` times, which is 1 for what must not be done twice."""

    def __init__(self, service: str, identity: Identity, options: CallOptions) -> None:
        """`service` is the first part of its host's name."""
        self._service = service
        self._identity = identity
        self._options = options
        self._places: PerLoop[_Place] = PerLoop(self._connect)
        self._skew = timedelta()

    def warm(self) -> None:
        """Import what the first call would wait for."""
        sdk.preload_session()
        import_signer()

    async def region(self) -> str:
        """The region that is called; raises as `post`."""
        return (await self._places.get()).region

    async def post(self, operation: str, body: bytes) -> dict[str, Any]:
        """The answer to a request, which is a JSON object.

        Raises:
            ValueError: it is none; and what `send` raises.
        """
        return _read(await self.send(operation, body))

    async def get(self, operation: str) -> dict[str, Any]:
        """As `post`, of what is only asked for."""
        return _read(await self._call(UnsignedRequest(operation, b"", "GET")))

    async def send(self, operation: str, body: bytes, headers: Mapping[str, str] | None = None) -> SignedAnswer:
        """The answer to a request with these headers beside those of the signature, which is over them too.

        `operation` is the rest of the path, escaped as a URL has it.

        Raises:
            botocore.exceptions.ClientError: the service refused it; the code is the error's type.
            botocore.exceptions.BotoCoreError: no region, no credentials, no connection, no answer in time.
            EndpointInvalid: the endpoint is not a URL.
            AnswerTooLarge: the answer is too large.
        """
        return await self._call(UnsignedRequest(operation, body, headers=headers or {}))

    async def _call(self, request: "UnsignedRequest") -> SignedAnswer:
        from botocore.exceptions import BotoCoreError, ClientError

        place = await self._places.get()
        failure: Exception | None = None
        for pause in Backoff(FIRST, LONGEST, self._options.tries).pauses():
            await asyncio.sleep(pause)
            try:
                return await self._send_timely(place, request)
            except (BotoCoreError, ClientError) as raised:
                if not _is_transient(raised):
                    raise
                failure = raised
        assert failure is not None  # noqa: S101 - there is one try at least
        raise failure

    async def close(self) -> None:
        """Close this event loop's connections; a later call opens others."""
        await self._places.close()

    async def _send_timely(self, place: _Place, request: "UnsignedRequest") -> SignedAnswer:
        """Where this machine's clock is wrong, once more with the service's time: it has refused the first."""
        from botocore.exceptions import ClientError

        skew = self._skew  # of this try: another call may put it right meanwhile
        try:
            return await self._send(place, request, skew)
        except ClientError as refusal:
            correction = _skew_of(refusal, datetime.now(UTC) + skew)
            if correction is None:
                raise
            self._skew = skew + correction
            return await self._send(place, request, self._skew)

    async def _send(self, place: _Place, request: "UnsignedRequest", skew: timedelta) -> SignedAnswer:
        from yarl import URL

        url = f"{place.url}/{request.url}"
        credentials = await self._identity.credentials()
        at = datetime.now(UTC) + skew
        scope = place.region, self._options.signed_as or self._service
        headers = sign(replace(request, url=url), credentials, scope=scope, at=at)
        with _translate_errors(place.url):
            body = BytesIO(request.body) if request.body else None
            sending = place.http.request(
                request.method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            )
            async with sending as response:
                if response.status >= 300:  # noqa: PLR2004 - RFC 9110: no success
                    raise await _refusal_of(response, request.url)
                content = await read_up_to(response, self._options.most_bytes)
                return SignedAnswer({name.lower(): value for name, value in response.headers.items()}, content)

    @asynccontextmanager
    async def _connect(self, _: str) -> AsyncGenerator[_Place]:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

        from core.platform.aws_http import shared_context
        from core.platform.kept_connections import connector_class

        options, session = self._options, await self._identity.session()
        region = options.region or session.get_config_variable("region")
        url = options.endpoint_url or sdk.configured_endpoint(session, self._service)
        region, url = _check_place(region, url or "")
        tls = shared_context(session.get_config_variable("ca_bundle") or True)
        timeout = ClientTimeout(
            total=options.total_timeout, sock_connect=options.connect_timeout, sock_read=options.read_timeout
        )
        async with ClientSession(
            connector=connector_class()(limit=options.connections, ssl=tls),
            timeout=timeout,
            cookie_jar=DummyCookieJar(),
            trust_env=True,
        ) as http:
            own = sdk.own_endpoint(session, self._service, region, dual_stack=options.dual_stack)
            yield _Place(http, url.rstrip("/") or own, region)


def _read(answer: SignedAnswer) -> dict[str, Any]:
    return read_object(answer.content) if answer.content else {}


@dataclass(frozen=True, slots=True)
class UnsignedRequest:
    """A request of JSON, or without a body; `headers` are signed too."""

    url: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def sign(
    request: UnsignedRequest, credentials: "ReadOnlyCredentials", *, scope: tuple[str, str], at: datetime
) -> dict[str, str]:
    """The headers of the request, signed with these credentials; `scope` is the region and the service's name."""
    from botocore.awsrequest import AWSRequest

    headers = {"Content-Type": "application/json", **request.headers}
    signed = AWSRequest(request.method, request.url, headers=headers, data=request.body)
    signed.context["at"] = at
    import_signer()(credentials, scope[1], scope[0]).add_auth(signed)
    return dict(signed.headers.items())


@cache
def import_signer() -> Any:  # noqa: ANN401 - the SDK's class, which is not typed
    """The SDK's signer, with a time that may be another than this machine's."""
    from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth

    theirs: Any = SigV4Auth
    hook = "_modify_request_before_signing"

    def set_time(self: Any, request: Any) -> None:  # noqa: ANN401
        request.context["timestamp"] = request.context["at"].strftime(SIGV4_TIMESTAMP)
        getattr(theirs, hook)(self, request)

    return type("Signer", (theirs,), {hook: set_time})


def _check_place(region: str | None, url: str) -> tuple[str, str]:
    from botocore.exceptions import NoRegionError
    from botocore.utils import validate_region_name

    if not region:
        raise NoRegionError
    validate_region_name(region)
    if url and not HOST.fullmatch(url):
        raise EndpointInvalid
    return region, url


async def _refusal_of(response: "ClientResponse", operation: str) -> "ClientError":
    """What the service says of its refusal, with its type: of its header, or of its body, or else its status."""
    from botocore.exceptions import ClientError

    content = await read_up_to(response, MOST_REFUSAL)
    try:
        body = read_object(content, allow_nan=True)
    except ValueError:  # of a proxy in between
        body = {}
    kind = response.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code") or response.status
    headers = {name.lower(): value for name, value in response.headers.items()}
    return ClientError(
        {
            # `Type:http://...` in the header, `namespace#Type` in a body
            "Error": {
                "Code": str(kind).split(":")[0].rpartition("#")[2],
                "Message": str(body.get("message") or body.get("Message") or ""),
            },
            "ResponseMetadata": {"HTTPStatusCode": response.status, "HTTPHeaders": headers},  # type: ignore[typeddict-item]
        },
        operation,
    )


def _skew_of(refusal: "ClientError", signed_at: datetime) -> timedelta | None:
    """How much later it is there than what was signed; None where that is not why it was refused."""
    if refusal.response.get("Error", {}).get("Code") not in SKEWED:
        return None
    try:
        date = refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        skew = parsedate_to_datetime(date).replace(tzinfo=UTC) - signed_at
    except ValueError:
        return None
    return skew if abs(skew) > MOST_SKEW else None


def _is_transient(failure: Exception) -> bool:
    from botocore import exceptions as of_sdk

    match failure:
        case of_sdk.SSLError():
            return False
        case of_sdk.ClientError():
            code = failure.response.get("Error", {}).get("Code", "")
            status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return status in TRANSIENT or (status < 402 and CODES.get(code) in AGAIN)  # noqa: PLR2004 - 402 is a quota
        case _:
            return isinstance(failure, of_sdk.ConnectionError | of_sdk.HTTPClientError)


@contextmanager
def _translate_errors(url: str) -> Generator[None]:
    """What aiohttp raises leaves as what the SDK does."""
    from aiohttp import ClientError as HttpError

    try:
        yield
    except (HttpError, TimeoutError) as failure:
        raise _as_of_sdk(failure, url) from failure


def _as_of_sdk(failure: Exception, url: str) -> Exception:
    import aiohttp
    from botocore import exceptions as of_sdk

    if isinstance(failure, aiohttp.InvalidURL):
        return EndpointInvalid()
    kinds: tuple[tuple[type[Exception], type[Exception]], ...] = (  # those before are kinds of those after, in part
        (aiohttp.ClientSSLError, of_sdk.SSLError),
        (aiohttp.ConnectionTimeoutError, of_sdk.ConnectTimeoutError),
        (TimeoutError, of_sdk.ReadTimeoutError),
        (aiohttp.ClientConnectorError, of_sdk.EndpointConnectionError),
        (aiohttp.ServerDisconnectedError, of_sdk.ConnectionClosedError),
        (aiohttp.ClientOSError, of_sdk.ConnectionClosedError),
    )
    kind: Any = next((ours for theirs, ours in kinds if isinstance(failure, theirs)), None)
    return of_sdk.HTTPClientError(error=failure) if kind is None else kind(endpoint_url=url, error=failure)
