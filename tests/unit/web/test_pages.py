"""The page at / and /docs: one file with everything in it, and a policy that lets nothing else run."""

from pathlib import Path
import re

import httpx
from starlette.applications import Starlette

from core.web import pages

TEXT = Path(pages.__file__).with_name("pages.html").read_text("utf-8")


async def test_it_is_served_with_a_policy_of_its_own_hashes() -> None:
    transport = httpx.ASGITransport(Starlette(routes=pages.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        first, second = [await client.get(path) for path in ("/", "/docs")]
    assert first.content == second.content == TEXT.encode()
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    policy = first.headers["content-security-policy"]
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_it_has_nothing_from_elsewhere_and_nothing_that_its_policy_forbids() -> None:
    assert not re.search(r"https?://|//cdn|@import|\burl\(", TEXT)
    markup = TEXT[: TEXT.index("<script>")]
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", markup)
    assert '"style"' not in TEXT
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage|sessionStorage", TEXT)
    assert len(TEXT.encode()) < 30_000
