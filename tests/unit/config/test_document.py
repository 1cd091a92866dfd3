"""The records hold what they promise: types, bounds, defaults, and that nobody changes them."""

from typing import Any

from pydantic import ValidationError
import pytest

from core.config.document import LoggingConfig, ProviderEntry, RegistryConfig, RunConfig, ServerConfig
from core.config.records import DynamoStore, SqliteStore


def run_config(**more: Any) -> RunConfig:
    return RunConfig.model_validate({"name": "x", "metadata_store": {"type": "sqlite", "db_path": "r.db"}} | more)


def test_the_defaults_are_those_of_the_reference() -> None:
    config = run_config()
    assert config.version == 2
    assert config.server == ServerConfig(port=8321, host=None, max_body_bytes=6_291_456)
    assert config.registry == RegistryConfig(cache_seconds=30.0, provider_models_seconds=60.0)
    assert config.logging == LoggingConfig(level="info", category_levels={})
    assert (config.apis, config.providers, config.resources, config.unused) == ((), {}, {}, {})


def test_records_cannot_be_changed() -> None:
    config = run_config(providers={"inference": [{"provider_id": "a", "provider_type": "b"}]})
    with pytest.raises(ValidationError):
        config.server.port = 1  # type: ignore[misc]  # the point of the test
    assert isinstance(config.providers["inference"], tuple)


@pytest.mark.parametrize("version", [2, "2"], ids=repr)
def test_version_two_is_accepted_as_number_and_as_text(version: object) -> None:
    assert run_config(version=version).version == 2


@pytest.mark.parametrize("version", [1, 3, "1", "two", None, True, [2]], ids=repr)
def test_other_versions_are_refused(version: object) -> None:
    with pytest.raises(ValidationError, match="version"):
        run_config(version=version)


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "a\\b", "a b", "a\0", "x" * 129, "a\n"])
def test_a_name_that_could_lead_out_of_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        run_config(name=name)


@pytest.mark.parametrize(
    "server",
    [
        {"port": 0},
        {"port": 65536},
        {"port": True},
        {"port": 1.5},
        {"max_body_bytes": 10},
        {"max_body_bytes": 10**9},
        {"host": ""},
        {"auth": "custom"},
        {"quota": []},
        {"tls_certfile": "a"},
        {"tls_keyfile": "a"},
        {"tls_cafile": "a"},
        {"tls_certfile": "a", "tls_cafile": "b"},
        {"prot": 1},
    ],
)
def test_a_server_that_cannot_be_is_refused(server: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ServerConfig.model_validate(server)


def test_a_whole_server_is_accepted() -> None:
    server = ServerConfig.model_validate(
        {
            "port": "443",
            "host": "::",
            "tls_certfile": "c",
            "tls_keyfile": "k",
            "tls_cafile": "ca",
            "auth": {"providers": [{"type": "custom", "config": {"endpoint": "https://a"}}]},
            "quota": {"kvstore": {"type": "sqlite", "db_path": "q"}, "period": "month"},
        }
    )
    assert (server.port, server.tls_cafile) == (443, "ca")
    assert server.auth is not None
    assert server.auth.access_policy is None
    assert server.quota is not None
    assert (server.quota.anonymous_max_requests, server.quota.authenticated_max_requests) == (100, 1000)
    assert (server.quota.period, server.quota.shards, server.quota.on_store_failure) == ("month", 1, "deny")


def test_paths_are_taken_from_the_home_of_the_variables_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/process")
    store = {"type": "sqlite", "db_path": "~/r.db"}
    assert SqliteStore.model_validate(store).db_path == "/home/process/r.db"
    assert SqliteStore.model_validate(store, context={"HOME": "/home/me"}).db_path == "/home/me/r.db"


def test_the_store_is_chosen_by_its_type() -> None:
    store = {"type": "dynamodb", "table": "registry", "region": "eu-west-1", "namespace": "a"}
    assert run_config(metadata_store=store).metadata_store == DynamoStore(
        table="registry", region="eu-west-1", namespace="a"
    )


@pytest.mark.parametrize("store", [{"type": "sqlite", "table": "t"}, {"type": "dynamodb", "table": "ab"}, {}, None])
def test_a_store_that_is_not_whole_is_refused(store: object) -> None:
    with pytest.raises(ValidationError, match="metadata_store"):
        run_config(metadata_store=store)


@pytest.mark.parametrize("seconds", [-1, "nan", "inf", True, "soon"])
def test_the_age_of_a_read_is_a_finite_number_of_seconds(seconds: object) -> None:
    with pytest.raises(ValidationError):
        RegistryConfig.model_validate({"cache_seconds": seconds})


def test_log_levels_are_known_in_any_case() -> None:
    logging = LoggingConfig.model_validate({"level": "WARNING", "category_levels": {"server": "Debug"}})
    assert (logging.level, logging.category_levels) == ("warning", {"server": "debug"})
    with pytest.raises(ValidationError):
        LoggingConfig.model_validate({"category_levels": {"server": "loud"}})


def test_a_provider_without_config_has_an_empty_one() -> None:
    entry = {"provider_id": "a", "provider_type": "remote::vllm", "config": None, "module": "pkg"}
    assert ProviderEntry.model_validate(entry).config == {}
    with pytest.raises(ValidationError):
        ProviderEntry.model_validate({"provider_id": "", "provider_type": "b"})
