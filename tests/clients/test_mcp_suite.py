"""MCP's official conformance suite, over our client: every scenario of a client, in each revision that the suite knows.

What does not apply is listed with the reason; where one of these passes, or another fails, the list is wrong.
"""

import os
import re
import subprocess
import sys
from typing import Final

import pytest

from infra.local.clients import node22_command
from infra.local.parts import in_ci, missing_tools
from tests.parts.stack import ROOT

pytestmark = pytest.mark.conformance

SUITE: Final = "@modelcontextprotocol/conformance/dist/index.js"
DRIVER: Final = f"{sys.executable} -m tests.clients.mcp_driver"
ROW: Final = re.compile(r"^([✓✗]) (\S+): \d+ passed, (\d+) failed", re.MULTILINE)
SECONDS: Final = 300

BROWSER: Final = "A person would have to grant it in a browser (authorization code): nobody sits at the stack, whose operator has client credentials."
ASKS: Final = "The server asks a person or a model for something, and nobody here can answer: the client says so, and the call fails with the reason."
OTHER_GRANT: Final = "A grant that the stack does not have: it has client credentials, and token exchange (RFC 8693)."
SKILLS: Final = "The extension for skills: the stack takes tools of a server and nothing else."
NOT_APPLICABLE: Final = {
    "elicitation-sep1034-client-defaults": ASKS,
    "sep-2322-client-request-state": ASKS,
    **dict.fromkeys(
        (
            "auth/2025-03-26-oauth-endpoint-fallback",
            "auth/2025-03-26-oauth-metadata-backcompat",
            "auth/authorization-server-migration",
            "auth/basic-cimd",
            "auth/iss-normalized",
            "auth/iss-supported-missing",
            "auth/iss-unexpected",
            "auth/iss-wrong-issuer",
            "auth/metadata-default",
            "auth/metadata-var1",
            "auth/metadata-var2",
            "auth/metadata-var3",
            "auth/offline-access-not-supported",
            "auth/offline-access-scope",
            "auth/scope-from-scopes-supported",
            "auth/scope-from-www-authenticate",
            "auth/scope-omitted-when-undefined",
            "auth/scope-retry-limit",
            "auth/scope-step-up",
            "auth/token-endpoint-auth-basic",
            "auth/token-endpoint-auth-none",
            "auth/token-endpoint-auth-post",
        ),
        BROWSER,
    ),
    **dict.fromkeys(
        ("auth/dpop", "auth/dpop-nonce", "auth/enterprise-managed-authorization", "auth/wif-jwt-bearer"), OTHER_GRANT
    ),
    **dict.fromkeys(
        (
            "sep-2640-client-no-prefetch",
            "sep-2640-client-verify-digest",
            "sep-2640-client-verify-frontmatter",
            "sep-2640-client-verify-size",
        ),
        SKILLS,
    ),
}
PASSES: Final = {
    "2025-06-18": {"initialize", "tools_call"},
    "2025-11-25": {
        "initialize",
        "tools_call",
        "sse-retry",
        "auth/pre-registration",
        "json-schema-2020-12-preservation",
    },
    "2026-07-28": {
        "tools_call",
        "request-metadata",
        "auth/pre-registration",
        "auth/resource-mismatch",
        "auth/metadata-issuer-mismatch",
        "auth/iss-supported",
        "auth/iss-not-advertised",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    },
}
"""At least: of what a run would leave out nobody would know."""


def run(*arguments: str) -> dict[str, bool]:
    """Whether each scenario passed."""
    if (missing := missing_tools("node", "npm")) and not in_ci():
        pytest.skip(f"{' and '.join(missing)} not found on the PATH")
    command = [*node22_command(SUITE), "client", "--command", DRIVER, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    rows = ROW.findall(done.stdout)
    assert rows, done.stdout + done.stderr
    return {name: mark == "✓" for mark, name, _ in rows}


def check(results: dict[str, bool]) -> None:
    failed = {name for name, passed in results.items() if not passed}
    assert failed == NOT_APPLICABLE.keys() & results.keys(), results


@pytest.mark.parametrize("version", PASSES)
def test_our_client_passes_what_applies_to_it(version: str) -> None:
    results = run("--suite", "all", "--spec-version", version)
    print(version, sum(results.values()), "of", len(results))
    check(results)
    assert results.keys() >= PASSES[version]


def test_of_the_extensions_it_has_client_credentials() -> None:
    results = run("--suite", "extensions")
    check(results)
    assert results["auth/client-credentials-basic"]
    assert results["auth/client-credentials-jwt"]
