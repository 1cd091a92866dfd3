"""The distributions that ship are found by name, and every one is a valid run config."""

from collections.abc import Mapping
from pathlib import Path
import re

import pytest

from core.config.distributions import FOLDERS, Distribution, Variable, find, names, read_distribution, read_head
from core.config.document import RunConfig
from core.config.load import load
from core.config.problems import ConfigInvalid
from core.config.records import DynamoStore, SqliteStore
from core.config.security import AuthProviderEntry, QuotaConfig
from core.frame.callers import Principal
from core.frame.resources import Resource
from core.routing.policy import Policy

LAMBDA = {"VLLM_URL": "http://h:8000", "REGISTRY_TABLE": "registry", "QUOTA_TABLE": "quota"}
BEDROCK = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    "GUARDRAIL_ID": "gr1234567890",
    "GUARDRAIL_VERSION": "1",
}
MODELS = {"INFERENCE_MODEL": "llama3.2:3b", "SAFETY_MODEL": "llama-guard:3b"}
FEDERATED = {"BEDROCK_MODEL": "us.meta.llama3-2-3b-instruct-v1:0"}
UPSTREAM = {"UPSTREAM_URL": "https://models.example.com/v1", "UPSTREAM_API_KEY": "key-of-the-tests"}
SET = LAMBDA | MODELS | BEDROCK | FEDERATED | UPSTREAM
SHIPPED = {"starter", "bedrock", "remote-vllm", "bedrock-vllm", "llama-guard", "openai-compatible", "guarded", "lambda"}
READ = re.compile(r"\$\{env\.([A-Z0-9_]+)(?:(:=|:\+|:|\+)([^}]*))?\}")
COGNITO = {"COGNITO_USER_POOL_ID": "us-east-1_AbCdEfGhI", "COGNITO_CLIENT_IDS": "first,second"}


def config(name: str, environ: Mapping[str, str]) -> RunConfig:
    loaded = load(find(name), environ)
    assert loaded.problems == []
    assert loaded.config is not None
    return loaded.config


def test_the_distributions_are_listed() -> None:
    assert set(names()) == SHIPPED
    assert names() == sorted(names())


@pytest.mark.parametrize("name", names())
def test_every_distribution_is_valid_once_its_variables_are_set(name: str) -> None:
    assert config(name, SET).name == name


@pytest.mark.parametrize("name", names())
def test_the_head_of_a_file_names_the_variables_that_it_reads_and_no_others(name: str) -> None:
    distribution, text = read_distribution(name)
    assert [each.name for each in distribution.variables] == list(dict.fromkeys(_in_head(text)))
    assert {each.name for each in distribution.variables} == {match[1] for match in READ.finditer(text)}


def _in_head(text: str) -> list[str]:
    """Whatever stands where the name of a variable does, in a line of the head that is well formed or not."""
    head = text[: text.index("version: 2")].splitlines()
    assert head[0].startswith("# ")
    assert head[1] == "#"
    return [line.split()[1] for line in head[2:]]


@pytest.mark.parametrize("name", names())
def test_the_variables_that_are_required_are_those_without_which_it_is_not_valid(name: str) -> None:
    messages = " ".join(problem.message for problem in load(find(name), {}).problems)
    assert set(re.findall(r"environment variable (\w+) is not set", messages)) == set(
        read_distribution(name)[0].required()
    )


@pytest.mark.parametrize("name", names())
def test_the_defaults_in_the_head_are_those_of_the_file(name: str) -> None:
    distribution, text = read_distribution(name)
    in_file = {match[1]: match[3] for match in READ.finditer(text) if match[2] in {":=", ":"} and match[3]}
    assert {each.name: each.default for each in distribution.variables if each.default} == in_file


def test_a_head_is_read() -> None:
    text = "# For a test (of it).\n#\n#   A    one (or two) (required)\n#   BC   it (default: x:y)\n#   D    so (optional)\n"
    variables = (
        Variable("A", "one (or two)", required=True),
        Variable("BC", "it", default="x:y"),
        Variable("D", "so"),
    )
    assert read_head("t", f"{text}version: 2\n") == Distribution("t", "For a test (of it).", variables)
    assert read_head("t", text).required() == ["A"]
    assert read_head("t", "") == Distribution("t", "", ())


def test_only_a_name_is_described(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("# a file\nversion: 2\n")
    for name in (str(file), "startr", "", "../starter"):
        with pytest.raises(ConfigInvalid, match=r"no such distribution.*distributions: .*starter"):
            read_distribution(name)
    assert all(read_distribution(name)[1] for name in names(FOLDERS))


def test_callers_of_a_laptop_may_name_private_urls_and_those_of_a_deployment_may_not() -> None:
    sections = {name: config(name, SET).configurations for name in names()}
    allowed = {name: section.allow_private_urls for name, section in sections.items() if section is not None}
    closed = {"lambda": False, "guarded": False}
    assert allowed == dict.fromkeys(allowed, True) | closed
    assert closed.keys() < allowed.keys()


def test_the_federated_model_falls_back_from_vllm_to_bedrock() -> None:
    found = config("bedrock-vllm", SET)
    (model,) = found.resources["models"]
    assert (model["model_id"], model["provider_id"], model["provider_model_id"]) == ("assistant", "vllm", "llama3.2:3b")
    (target,) = model["metadata"]["targets"]
    assert target == {"provider_id": "bedrock", "provider_model_id": FEDERATED["BEDROCK_MODEL"], "priority": 1}
    assert found.routing.circuit is not None


@pytest.mark.parametrize("name", ["remote-vllm", "openai-compatible"])
def test_a_model_is_declared_where_one_is_named(name: str) -> None:
    assert not config(name, UPSTREAM).resources.get("models")
    (model,) = config(name, UPSTREAM | MODELS).resources["models"]
    assert model["model_id"] == "llama3.2:3b"


def test_starter_needs_no_variable_at_all() -> None:
    found = config("starter", {"HOME": "/home/me"})
    assert [entry.config["url"] for entry in found.providers["inference"]] == ["http://127.0.0.1:8400/v1"]
    assert found.metadata_store == SqliteStore(db_path="/home/me/.llambda/starter/registry.db")
    assert not found.resources.get("models")
    assert found.server.port == 8321


def test_starter_takes_an_embedding_server_from_the_environment() -> None:
    variables = {"EMBEDDING_URL": "http://127.0.0.1:8401/v1", "EMBEDDING_MODEL": "smol", "EMBEDDING_DIMENSION": "384"}
    found = config("starter", variables)
    assert [entry.provider_id for entry in found.providers["inference"]] == ["local", "local-embedding"]
    (model,) = found.resources["models"]
    assert (model["provider_id"], model["provider_model_id"]) == ("local-embedding", "smol")
    assert model["metadata"] == {"embedding_dimension": 384}


def test_lambda_says_which_variables_it_needs() -> None:
    loaded = load(find("lambda"), {})
    assert [problem.path for problem in loaded.problems] == ["metadata_store.table", "server.quota.kvstore.table"]
    assert config("lambda", LAMBDA).metadata_store == DynamoStore(table="registry")


@pytest.mark.parametrize(
    ("variables", "inference", "safety"),
    [
        ({"VLLM_URL": "http://h:8000", "BEDROCK_REGION": ""}, ["remote::vllm"], []),
        ({"VLLM_URL": "", "BEDROCK_REGION": "eu-west-1"}, ["remote::bedrock"], ["remote::bedrock"]),
        (
            {"VLLM_URL": "http://h:8000", "BEDROCK_REGION": "eu-west-1"},
            ["remote::vllm", "remote::bedrock"],
            ["remote::bedrock"],
        ),
    ],
)
def test_lambda_has_the_providers_that_the_template_is_given(
    variables: dict[str, str], inference: list[str], safety: list[str]
) -> None:
    providers = config("lambda", LAMBDA | variables).providers
    assert [entry.provider_type for entry in providers["inference"]] == inference
    assert [entry.provider_type for entry in providers["safety"]] == safety
    bedrock = [entry for entry in providers["safety"] + providers["inference"] if "bedrock" in entry.provider_type]
    assert all(entry.config["region_name"] == "eu-west-1" for entry in bedrock)


def test_bedrock_is_the_seeds_shield_and_a_model_if_one_is_named() -> None:
    found = config("bedrock", BEDROCK)
    (safety,) = found.providers["safety"]
    assert (safety.provider_id, safety.provider_type) == ("bedrock", "remote::bedrock")
    assert safety.config["aws_access_key_id"] == BEDROCK["AWS_ACCESS_KEY_ID"]
    (shield,) = found.resources["shields"]
    assert (shield["provider_shield_id"], shield["params"]) == ("gr1234567890", {"guardrailVersion": 1})
    assert not found.resources.get("models")
    (model,) = config("bedrock", BEDROCK | {"INFERENCE_MODEL": "a.b-v1:0"}).resources["models"]
    assert (model["model_id"], model["provider_id"]) == ("a.b-v1:0", "bedrock")


def test_lambda_is_closed_to_all_but_keys_until_a_user_pool_is_named() -> None:
    empty = dict.fromkeys(COGNITO, "")  # as the template sets them without a pool
    for variables in (LAMBDA, LAMBDA | empty):
        auth = config("lambda", variables).server.auth
        assert auth is not None
        assert auth.providers == (AuthProviderEntry(type="api_key"),)


def test_lambda_takes_the_tokens_of_a_user_pool_beside_keys() -> None:
    auth = config("lambda", LAMBDA | COGNITO).server.auth
    assert auth is not None
    pool = {"user_pool_id": "us-east-1_AbCdEfGhI", "client_ids": "first,second", "required_scopes": None}
    assert auth.providers == (AuthProviderEntry(type="api_key"), AuthProviderEntry(type="cognito", config=pool))


def test_on_lambda_a_token_for_use_alone_registers_nothing() -> None:
    auth = config("lambda", LAMBDA | COGNITO).server.auth
    assert auth is not None
    policy = Policy(auth.access_policy or ())
    model = Resource("model", "m", "a", "m", {})
    for scopes, manages in ((["llambda/use"], False), (["llambda/use", "llambda/manage"], True), ([], True)):
        caller = Principal("ada", {"scopes": tuple(scopes)})
        assert [policy.allows(caller, action, model) for action in ("read", "create", "delete")] == [
            True,
            manages,
            manages,
        ]


def test_lambda_counts_in_dynamodb_what_a_client_does_in_a_day() -> None:
    unset = QuotaConfig(kvstore=DynamoStore(table="quota"), authenticated_max_requests=1000, period="day")
    assert config("lambda", LAMBDA | {"QUOTA_MAX_TOKENS": ""}).server.quota == unset


def test_lambda_takes_the_quota_from_the_environment() -> None:
    given = {"QUOTA_MAX_REQUESTS": "7", "QUOTA_MAX_TOKENS": "2000000", "QUOTA_PERIOD": "minute"}
    quota = config("lambda", LAMBDA | given).server.quota
    assert quota is not None
    assert (quota.authenticated_max_requests, quota.max_tokens, quota.period) == (7, 2_000_000, "minute")


def test_an_existing_file_is_itself(tmp_path: Path) -> None:
    file = tmp_path / "starter"
    file.write_text("a: 1")
    assert find(str(file)) == file


@pytest.mark.parametrize("name", ["startr", "nowhere.yaml", "../starter", "", "starter.yaml/", "."])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"distributions: .*lambda.*starter"):
        find(name)


def test_an_almost_right_name_gets_a_suggestion() -> None:
    with pytest.raises(ConfigInvalid, match=r"startr: 1 problem\n.*did you mean `starter`"):
        find("startr")


def test_a_distribution_of_the_package_comes_before_one_of_the_checkout(tmp_path: Path) -> None:
    own, checkout = tmp_path / "own", tmp_path / "checkout"
    for folder, stems in ((own, ["a"]), (checkout, ["a", "b"])):
        folder.mkdir()
        for stem in stems:
            (folder / f"{stem}.yaml").write_text("version: 2")
    folders = (own, checkout, tmp_path / "missing")
    assert (find("a", folders), find("b", folders)) == (own / "a.yaml", checkout / "b.yaml")
    assert names(folders) == ["a", "b"]
