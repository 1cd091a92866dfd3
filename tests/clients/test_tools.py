"""The real clients of the family list, show and call tools of `llambda serve`."""

from collections.abc import Generator
import json

import pytest

from infra.local import clients
from tests.clients.running import check
from tests.contract.external import put
from tests.parts.stack import serving
from tests.parts.tool_stack import FACTORIES, PACKAGE, document


@pytest.fixture(scope="module")
def tools_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("tools")
    put(folder, PACKAGE + FACTORIES["remote"], "tool_runtime")
    connectors = [{"connector_id": "c", "url": "https://c.example/mcp", "server_label": "l"}]
    (folder / "run.json").write_text(json.dumps(document(folder, connectors=connectors)))
    with serving(folder / "run.json", folder / "log.txt", env={"PYTHONPATH": str(folder)}) as url:
        yield url


@pytest.mark.conformance
@pytest.mark.parametrize("client", [name for name in clients.names() if not name.startswith("openai")])
def test_a_real_client_lists_and_calls_tools(tools_url: str, client: str) -> None:
    check(client, "tests.clients.scripts.tools", tools_url)
