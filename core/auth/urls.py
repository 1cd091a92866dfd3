"""URLs that an operator names: tokens and keys go there, so they are https, but on this machine."""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator

LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))


def checked_url(url: str) -> str:
    """`url` itself, or a ValueError that does not quote it: it may hold a secret."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be a URL of printable ASCII without spaces")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a URL with a host and, if any, a valid port") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("must start with https:// and name a host")
    if "@" in parts.netloc:
        raise ValueError("must not have a user name or password in it")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError("must be https; http is for 127.0.0.1, ::1 and localhost only")
    return url


type AuthUrl = Annotated[str, AfterValidator(checked_url)]


def has_path(url: str) -> bool:
    """Whether `url` names more than a host."""
    return urlsplit(url).path not in ("", "/")
