"""What `llama-stack-client` 0.7.5 has beside the common part: OpenAI's listing and the admin routes."""

from tests.clients.scripts.harness import ALIAS, CHAT, EMBEDDING, run
from tests.clients.scripts.llama_stack import client


def list_openai_models(url: str) -> None:
    assert {CHAT, ALIAS, EMBEDDING} <= {model.id for model in client(url).models.openai.list()}


def admin_health_and_version(url: str) -> None:
    admin = client(url).alpha.admin
    assert admin.health().status == "OK"
    assert admin.version().version == client(url).inspect.version().version


def admin_providers(url: str) -> None:
    admin = client(url).alpha.admin
    assert {provider.provider_id for provider in admin.list_providers()} == {"chat", "embed"}
    assert admin.inspect_provider("chat").provider_type == "remote::vllm"


def admin_routes(url: str) -> None:
    assert "/v1/chat/completions" in {row.route for row in client(url).alpha.admin.list_routes()}


SCENARIOS = (list_openai_models, admin_health_and_version, admin_providers, admin_routes)

if __name__ == "__main__":
    run(SCENARIOS)
