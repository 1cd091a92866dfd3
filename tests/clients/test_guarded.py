"""The real clients with API keys made by the real command, against one guarded stack and a real model."""

from collections.abc import Generator

import pytest

from infra.local.model_server import CHAT_MODEL
from tests.clients.running import check, params
from tests.parts.stack import new_key, serving

CONFIG = f"""
version: 2
image_name: guarded
providers:
  inference:
    - {{provider_id: chat, provider_type: "remote::vllm", config: {{url: "${{env.CHAT_URL}}"}}}}
models:
  - {{model_id: small, provider_id: chat, provider_model_id: {CHAT_MODEL}}}
metadata_store: {{type: sqlite, db_path: "${{env.FOLDER}}/registry.db"}}
server:
  auth:
    providers: [{{type: api_key}}]
    access_policy:
      - permit: {{actions: read}}
  quota:
    kvstore: {{type: sqlite, db_path: "${{env.FOLDER}}/quota.db"}}
    period: month
    authenticated_max_requests: 1
    roles: {{many: {{max_requests: 1000}}}}
"""


@pytest.fixture(scope="module")
def guarded(model_server: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, dict[str, str]]]:
    """The address of the stack, and the variables with its keys."""
    folder = tmp_path_factory.mktemp("guarded")
    config = folder / "run.yaml"
    config.write_text(CONFIG, "utf-8")
    env = {"CHAT_URL": model_server, "FOLDER": str(folder)}
    keys = {
        "KEY": new_key(config, env, "--name", "many", "--roles", "many"),
        "SPENT_KEY": new_key(config, env, "--name", "once"),
    }
    with serving(config, folder / "log.txt", env=env) as url:
        yield url, keys


@pytest.mark.parametrize("client", params())
def test_a_real_client_raises_what_each_answer_means(guarded: tuple[str, dict[str, str]], client: str) -> None:
    url, keys = guarded
    check(client, "tests.clients.scripts.guarded", url, **keys)
