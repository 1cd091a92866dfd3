"""The openai client's helpers over an OpenAI-compatible remote and over Bedrock: the same script gives the same results."""

from collections.abc import Generator

import pytest

from infra.local import clients
from tests.clients.running import check, params
from tests.parts import scripted
from tests.parts.bedrock import KEYS, MODEL, REGION
from tests.parts.secrets import plant
from tests.parts.stack import serving
from tests.parts.upstream import in_thread

CONFIG = f"""
version: 2
image_name: helpers
apis: [inference]
providers:
  inference:
    - {{provider_id: vllm, provider_type: "remote::vllm", config: {{url: "${{env.VLLM}}"}}}}
    - {{provider_id: throttled-vllm, provider_type: "remote::vllm", config: {{url: "${{env.THROTTLED_VLLM}}"}}}}
    - provider_id: bedrock
      provider_type: remote::bedrock
      config: &bedrock
        region_name: {REGION}
        endpoint_url: ${{env.BEDROCK}}
        aws_access_key_id: {KEYS["aws_access_key_id"]}
        aws_secret_access_key: ${{env.BEDROCK_KEY}}
    - provider_id: throttled-bedrock
      provider_type: remote::bedrock
      config:
        <<: *bedrock
        endpoint_url: ${{env.THROTTLED_BEDROCK}}
        total_max_attempts: 1
metadata_store: {{type: sqlite, db_path: "${{env.FOLDER}}/registry.db"}}
"""


@pytest.fixture(scope="module")
def scripted_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("helpers")
    (folder / "run.yaml").write_text(CONFIG, "utf-8")
    spent, spent_bedrock = scripted.upstream(), scripted.converse()
    scripted.throttled(spent)
    scripted.throttled(spent_bedrock)
    with (
        in_thread(scripted.upstream()) as vllm,
        in_thread(scripted.converse()) as bedrock,
        in_thread(spent),
        in_thread(spent_bedrock),
    ):
        env = {
            "VLLM": vllm.url,
            "BEDROCK": bedrock.url,
            "THROTTLED_VLLM": spent.url,
            "THROTTLED_BEDROCK": spent_bedrock.url,
            "BEDROCK_KEY": plant(KEYS["aws_secret_access_key"]),
            "FOLDER": str(folder),
        }
        with serving(folder / "run.yaml", folder / "log.txt", env=env) as url:
            yield url


def test_the_script_asks_for_the_model_that_the_fake_lists() -> None:
    from tests.clients.scripts.openai_helpers import MODELS

    assert MODELS[1] == f"bedrock/{MODEL}"


@pytest.mark.parametrize("client", params(name for name in clients.names() if name.startswith("openai")))
def test_the_helpers_get_the_same_from_both_providers(scripted_url: str, client: str) -> None:
    check(client, "tests.clients.scripts.openai_helpers", scripted_url)
