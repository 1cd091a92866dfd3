"""URLs that an operator wrote, with paths of ours put behind theirs: what was percent-encoded stays so, a query stays one."""

from typing import Final
from urllib.parse import quote, unquote, urlsplit

AS_WRITTEN: Final = (
    "%/:@!$&'()*+,;=?[]~"  # beside letters, digits and -._: all that RFC 3986 lets stand in a path or a query
)


def join_path(url: str, path: str) -> str:
    """`path`, which begins with a slash, behind the path of `url`; both queries behind that. A fragment is left out.

    >>> join_path("https://host/v1?api-version=1", "/models?limit=9")
    'https://host/v1/models?limit=9&api-version=1'
    >>> join_path("https://host/v1", "/../version")
    'https://host/version'
    """
    base, _, query = url.partition("#")[0].partition("?")
    base = base.rstrip("/")
    path, _, own = path.partition("?")
    while path.startswith("/../"):
        path = path[3:]
        base = base.rpartition("/")[0] if urlsplit(base).path else base
    queries = "&".join(filter(None, (own, query)))
    return f"{base}{path}?{queries}" if queries else base + path


def without_query(url: str) -> str:
    """`url` up to its query or fragment, without a slash at its end."""
    return url.partition("#")[0].partition("?")[0].rstrip("/")


def wire_url(url: str) -> str:
    """As it goes out: without fragment and userinfo, what a request line cannot carry encoded. Raises ValueError."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if not host.isascii():
        host = host.encode("idna").decode()
    query = f"?{quote(parts.query, AS_WRITTEN)}" if parts.query else ""
    return f"{parts.scheme}://{host}{quote(parts.path, AS_WRITTEN)}{query}"


def userinfo_of(url: str) -> str:
    """`name:password` as they are meant, "" where there are none."""
    userinfo = urlsplit(url).netloc.rpartition("@")[0]
    name, colon, password = userinfo.partition(":")
    return f"{unquote(name)}{colon or ':'}{unquote(password)}" if userinfo else ""
