"""A run config as text, with comments, out of the answers to a few questions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import re
import sys
from typing import Final

REQUIRED: Final = re.compile(r"\$\{env\.([A-Z0-9_]+)\}")
LLAMA_GUARD: Final = "llama-guard:"


@dataclass(frozen=True, slots=True)
class Answers:
    """Empty texts, and 0 as `quota`, stand for none.

    `quota` is in requests of each client in a day. `guardrail` is a guardrail of Bedrock, as ID:VERSION, or
    `llama-guard:MODEL` with the name that the inference provider has for a Llama Guard.
    """

    inference: str
    url: str = ""
    region: str = ""
    model: str = ""
    state: str = "sqlite"
    db_path: str = ""
    table: str = ""
    auth: str = "none"
    user_pool: str = ""
    client_ids: str = ""
    quota: int = 0
    guardrail: str = ""

    def guard_model(self) -> str:
        """The Llama Guard, if one is the guardrail."""
        return self.guardrail.removeprefix(LLAMA_GUARD) if self.guardrail.startswith(LLAMA_GUARD) else ""


@dataclass(frozen=True, slots=True)
class RemoteChoice:
    """What serves the models; `key` is the line of its config that has the key, out of the environment."""

    provider_id: str
    provider_type: str
    key: str = ""


REMOTES: Final = {
    "local": RemoteChoice("local", "remote::vllm"),
    "vllm": RemoteChoice(
        "vllm", "remote::vllm", "api_token: ${env.VLLM_API_TOKEN:=fake} # unset: a server without a key"
    ),
    "openai-compatible": RemoteChoice("upstream", "remote::openai-compatible", "api_key: ${env.UPSTREAM_API_KEY}"),
    "bedrock": RemoteChoice("bedrock", "remote::bedrock"),
}
AUTH: Final = {
    "none": "",
    "api-keys": "      - type: api_key # `llambda keys create` makes the keys\n",
    "cognito": "      - type: cognito # access tokens; groups of the pool become roles\n",
}
POLICY: Final = """\
    access_policy:
      - permit: {actions: [create, read, update, delete]}
        when: user with admin in roles
      - permit: {actions: read} # every caller with a token may use what exists
"""


def document(answers: Answers) -> str:
    """The run config. Secrets are not in it: it names variables of the environment."""
    sections = (_head(answers), _providers(answers), _models(answers), _shields(answers), _state(answers))
    return "".join(f"{line}\n" for section in sections for line in section) + _server(answers)


def required_variables(text: str) -> list[str]:
    """The variables without which a run config cannot be served, in its order."""
    return list(dict.fromkeys(REQUIRED.findall(text)))


def scalar(text: str) -> str:
    """A text of one line as YAML that means it, and nothing else."""
    import yaml

    dumped: str = yaml.safe_dump(text, width=sys.maxsize, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _head(answers: Answers) -> Iterator[str]:
    yield "# Written by `llambda init`, to be edited. Keys and passwords stay in the environment."
    yield "version: 2"
    yield "image_name: my-stack"
    yield "apis:"
    yield "  - inference"
    if answers.guardrail:
        yield "  - safety"


def _providers(answers: Answers) -> Iterator[str]:
    remote = REMOTES[answers.inference]
    yield "providers:"
    yield "  inference:"
    yield from _provider(remote.provider_id, remote.provider_type)
    if answers.inference == "bedrock":
        yield from _region(answers, "credentials: those that the AWS SDK finds")
    else:
        yield f"        url: {scalar(answers.url)}"
    if remote.key:
        yield f"        {remote.key}"
    if answers.guardrail:
        yield "  safety:"
    if answers.guard_model():
        yield from _provider("llama-guard", "inline::llama-guard")
        yield "        excluded_categories: [] # of S1 to S14, those to allow"
    elif answers.guardrail:
        yield from _provider("guardrails", "remote::bedrock")
        yield from _region(answers, "where the guardrail is")


def _provider(provider_id: str, provider_type: str) -> Iterator[str]:
    yield f"    - provider_id: {provider_id}"
    yield f"      provider_type: {provider_type}"
    yield "      config:"


def _region(answers: Answers, comment: str) -> Iterator[str]:
    yield f"        region_name: {scalar(answers.region) if answers.region else '${env.AWS_REGION:=}'} # {comment}"


def _models(answers: Answers) -> Iterator[str]:
    provider_id = REMOTES[answers.inference].provider_id
    yield f"# Models that the provider lists are served as {provider_id}/NAME. Declared models have names of their own."
    if not answers.model:
        yield "models: []"
        return
    yield "models:"
    yield from _model(answers.model, provider_id)
    if answers.guardrail:
        yield "    metadata: # the guardrail checks input and output"
        shield = scalar(answers.guard_model() or answers.guardrail.rpartition(":")[0])
        yield from (f"      {key}:\n        - {shield}" for key in ("input_shields", "output_shields"))
    if answers.guard_model():
        yield from _model(answers.guard_model(), provider_id)


def _model(name: str, provider_id: str) -> Iterator[str]:
    yield f"  - model_id: {scalar(name)}"
    yield f"    provider_id: {provider_id}"
    yield f"    provider_model_id: {scalar(name)}"


def _shields(answers: Answers) -> Iterator[str]:
    if not answers.guardrail:
        return
    name, _, version = answers.guardrail.rpartition(":")
    yield "shields:"
    yield f"  - shield_id: {scalar(answers.guard_model() or name)}"
    yield f"    provider_id: {'llama-guard' if answers.guard_model() else 'guardrails'}"
    if not answers.guard_model():
        yield "    params:"
        yield f"      guardrailVersion: {version}"


def _state(answers: Answers) -> Iterator[str]:
    yield "# Registered resources and API keys."
    yield "metadata_store:"
    yield from _store(answers, "  ", answers.db_path, answers.table)


def _store(answers: Answers, indent: str, db_path: str, table: str) -> Sequence[str]:
    location = f"table: {scalar(table)}" if answers.state == "dynamodb" else f"db_path: {scalar(db_path)}"
    return (f"{indent}type: {answers.state}", f"{indent}{location}")


def _server(answers: Answers) -> str:
    text = "server:\n  port: 8321 # of `llambda serve`\n"
    if answers.auth != "none":
        text += f"  auth:\n    providers:\n{AUTH[answers.auth]}"
    if answers.auth == "cognito":
        text += f"        user_pool_id: {scalar(answers.user_pool)}\n        client_ids: {scalar(answers.client_ids)}\n"
    if answers.auth != "none":
        text += POLICY
    return text + "".join(f"{line}\n" for line in _quota(answers))


def _quota(answers: Answers) -> Iterator[str]:
    if not answers.quota:
        return
    callers = "anonymous" if answers.auth == "none" else "authenticated"
    yield "  quota:"
    yield "    kvstore:"
    yield from _store(answers, "      ", f"{answers.db_path}.quota", "${env.QUOTA_TABLE}")
    yield f"    {callers}_max_requests: {answers.quota} # of each client"
    yield "    period: day"
