"""The stack as an MCP server: the official suite's scenarios of servers, and the official clients with a key that may use one group."""

from collections.abc import Generator
import json
import os
from pathlib import Path
import re
import subprocess
from typing import Final, NamedTuple

import pytest

from infra.local.clients import node22_command, node_command
from infra.local.parts import in_ci, missing_tools
from tests.clients.running import check
from tests.parts.mcp_suite import suite_stack, write_config
from tests.parts.stack import ROOT, new_key, serving

pytestmark = pytest.mark.conformance

SUITE: Final = "@modelcontextprotocol/conformance/dist/index.js"
ROW: Final = re.compile(r"^([✓✗]) (\S+): (\d+) passed, (\d+) failed", re.MULTILINE)
SECONDS: Final = 300
REVISIONS: Final = {
    "2025-06-18": ("--suite", "all", "--spec-version", "2025-06-18"),
    "2025-11-25": ("--suite", "all", "--spec-version", "2025-11-25"),
    "2026-07-28": ("--requirements", "2026-07-28"),
}

PROMPTS: Final = "The stack has no prompts for MCP, and does not say that it has."
RESOURCES: Final = "The stack has no resources for MCP: what is in a vector store is found by its tool."
ASKS: Final = "The server never asks its client: an answer is one piece of JSON."
NO_STREAM: Final = "An answer is one piece of JSON: nothing is told on the way to it."
TASKS: Final = "The extension for tasks: a call is answered within its request."
SKILLS: Final = "The extension for skills is not served."
NOT_APPLICABLE: Final = {
    "completion-complete": PROMPTS,
    **dict.fromkeys(
        (
            f"prompts-{name}"
            for name in ("list", "get-simple", "get-with-args", "get-embedded-resource", "get-with-image")
        ),
        PROMPTS,
    ),
    **dict.fromkeys(
        (
            f"resources-{name}"
            for name in ("list", "read-text", "read-binary", "templates-read", "subscribe", "unsubscribe")
        ),
        RESOURCES,
    ),
    "caching": "It wants the hints on lists of prompts and of resources too; those of tools are tested with the wire.",
    **dict.fromkeys(("logging-set-level", "tools-call-with-logging", "tools-call-with-progress"), NO_STREAM),
    **dict.fromkeys(
        (
            "tools-call-sampling",
            "tools-call-elicitation",
            "elicitation-sep1034-defaults",
            "elicitation-sep1330-enums",
            *(
                f"input-required-result-{name}"
                for name in (
                    *("basic-elicitation", "basic-sampling", "basic-list-roots", "request-state", "multi-round"),
                    *(
                        "multiple-input-requests",
                        "non-tool-request",
                        "result-type",
                        "tampered-state",
                        "capability-check",
                    ),
                )
            ),
        ),
        ASKS,
    ),
    **dict.fromkeys(
        (
            f"tasks-{name}"
            for name in (
                *("lifecycle", "capability-negotiation", "wire-fields", "request-state-removal", "mrtr-input"),
                *("request-headers", "dispatch-and-envelope", "required-task-error", "mrtr-composition"),
            )
        ),
        TASKS,
    ),
    **dict.fromkeys((f"sep-2640-skills-{name}" for name in ("directory", "enumeration", "manifest")), SKILLS),
    "server-stateless": "Two checks want a tool that needs something of its client, which none of ours does; MOST_FAILURES has the number.",
}
MOST_FAILURES: Final = {"server-stateless": 2, "caching": 3}
"""Of scenarios that apply in part: how many of their checks do not."""
PASSES: Final = {
    "tools-list": 2,
    "tools-call-simple-text": 2,
    "tools-call-image": 2,
    "tools-call-audio": 2,
    "tools-call-embedded-resource": 2,
    "tools-call-mixed-content": 2,
    "tools-call-error": 2,
}
"""How many checks pass at least, in every revision: of what a run leaves out nobody would know."""
PASSES_OF: Final = {
    "2025-06-18": {"server-initialize": 2, "ping": 2},
    "2025-11-25": {"server-initialize": 2, "ping": 2, "json-schema-2020-12": 8, "dns-rebinding-protection": 2},
    "2026-07-28": {
        "server-stateless": 23,
        "json-schema-2020-12": 8,
        "dns-rebinding-protection": 2,
        "http-header-validation": 14,
        "http-custom-header-server-validation": 10,
        "caching": 4,
        "sep-2164-resource-not-found": 2,
    },
}


class Row(NamedTuple):
    passed: int
    failed: int


@pytest.fixture(scope="module")
def stack() -> Generator[str]:
    with suite_stack() as url:
        yield url


def need_node() -> None:
    if (missing := missing_tools("node", "npm")) and not in_ci():
        pytest.skip(f"{' and '.join(missing)} not found on the PATH")


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_suites_scenarios_of_servers_pass_as_far_as_they_apply(stack: str, revision: str, tmp_path: Path) -> None:
    need_node()
    command = [*node22_command(SUITE), "server", "--url", f"{stack}/mcp", "-o", str(tmp_path), *REVISIONS[revision]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS)
    rows = {name: Row(int(passed), int(failed)) for _, name, passed, failed in ROW.findall(done.stdout)}
    assert rows, done.stdout + done.stderr
    print(f"MCP server, {revision}: {sum(row.passed for row in rows.values())} checks passed,", end=" ")
    print(f"{sum(not row.failed for row in rows.values())} of {len(rows)} scenarios whole")
    failing = {name for name, row in rows.items() if row.failed}
    assert failing == NOT_APPLICABLE.keys() & rows.keys(), rows
    assert {name: rows[name].failed for name in MOST_FAILURES.keys() & rows.keys()} == {
        name: most for name, most in MOST_FAILURES.items() if name in rows
    }
    wanted = PASSES | PASSES_OF[revision]
    assert {name: rows[name].passed for name in wanted if rows[name].passed < wanted[name]} == {}


GUARDED: Final = {
    "tool_groups": [{"toolgroup_id": "suite", "provider_id": "x"}, {"toolgroup_id": "others", "provider_id": "x"}],
    "server": {
        "auth": {
            "providers": [{"type": "api_key"}],
            "access_policy": [
                {"permit": {"actions": "read", "resource": "tool_group::suite"}, "when": "user with tester in roles"},
                {"permit": {"actions": "read", "resource": "tool_group::others"}, "when": "user with other in roles"},
            ],
        }
    },
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """STACK_URL, and STACK_KEY, which may use the group `suite` alone."""
    folder = tmp_path_factory.mktemp("mcp")
    config, env = write_config(folder, **GUARDED), {"PYTHONPATH": str(folder)}
    key = new_key(config, env, "--name", "tester", "--roles", "tester")
    with serving(config, folder / "log.txt", env=env) as url:
        yield {"STACK_URL": url, "STACK_KEY": key}


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
def test_the_official_client_for_python_works(guarded: dict[str, str], mode: str) -> None:
    url = guarded["STACK_URL"]
    check("mcp2", "tests.clients.scripts.mcp_client", url, STACK_KEY=guarded["STACK_KEY"], STACK_MODE=mode)


def test_the_official_client_for_typescript_works(guarded: dict[str, str]) -> None:
    need_node()
    command, env = node_command("mcp_client.mjs"), os.environ | guarded
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    failures = [text for text in json.loads(done.stdout.splitlines()[-1]).values() if text is not None]
    assert not failures, "\n".join(failures)
