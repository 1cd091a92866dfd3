"""Every spelling of `server.auth` becomes a list of providers; what is wrong is reported where it was written."""

from typing import Any

import pytest

from core.config.records import DynamoStore, SqliteStore
from core.config.redact import redact
from core.config.security import AuthProviderEntry
from tests.unit.config.documents import loaded, problems

ENDPOINT = {"endpoint": "https://a"}
QUOTA = {"kvstore": {"type": "sqlite", "db_path": "q.db"}}


def providers(environ: dict[str, str] | None = None, **auth: Any) -> list[tuple[str, dict[str, Any]]]:
    found = loaded(environ, server={"auth": auth})
    assert found.config is not None, found.problems
    assert found.config.server.auth is not None
    return [(entry.type, entry.config) for entry in found.config.server.auth.providers]


@pytest.mark.parametrize(
    "auth",
    [
        ENDPOINT,
        {"provider_type": "custom", "config": ENDPOINT},
        {"provider_config": {"type": "custom", **ENDPOINT}},
        {"providers": [{"type": "custom", **ENDPOINT}]},
        {"providers": [{"provider_type": "custom", "config": ENDPOINT}]},
    ],
)
def test_every_spelling_means_the_same_provider(auth: dict[str, Any]) -> None:
    assert providers(**auth) == [("custom", ENDPOINT)]


def test_several_providers_keep_their_order_and_those_without_a_type_are_dropped() -> None:
    entries = [
        {"type": "api_key"},
        {"type": "${env.POOL:+cognito}", "user_pool_id": "${env.POOL:=}"},
        {"type": "custom"},
    ]
    assert [name for name, _ in providers(providers=entries)] == ["api_key", "custom"]
    found = providers({"POOL": "p"}, providers=entries)
    assert found == [("api_key", {}), ("cognito", {"user_pool_id": "p"}), ("custom", {})]


@pytest.mark.parametrize(
    ("auth", "path", "words"),
    [
        ({}, "server.auth", "names no auth provider"),
        ({"access_policy": []}, "server.auth", "names no auth provider"),
        ({"providers": []}, "server.auth.providers", "no provider with a type"),
        ({"providers": [{"type": None}]}, "server.auth.providers", "no provider with a type"),
        ({"providers": "custom"}, "server.auth.providers", "must be a list"),
        ({"providers": ["custom"]}, "server.auth.providers[0]", "must be a mapping"),
        ({"providers": [{"endpoint": "x"}]}, "server.auth.providers[0].type", "is required"),
        ({"provider_config": {"endpoint": "x"}}, "server.auth.provider_config.type", "is required"),
        ({"provider_type": 5}, "server.auth.provider_type", "must be text"),
        ({"provider_type": "custom", "config": []}, "server.auth.config", "must be a mapping"),
        ({"provider_type": "custom", "confg": {}}, "server.auth.confg", "unknown key"),
        ({"provider_type": "custom", "endpoint": "x"}, "server.auth.provider_type", "is set here and at `endpoint`"),
        ({"providers": [{"type": "custom"}], "config": {}}, "server.auth.config", "unknown key"),
        ({**ENDPOINT, "route_policy": [{}]}, "server.auth.route_policy", "use access_policy"),
        ({**ENDPOINT, "access_policy": {}}, "server.auth.access_policy", "must be a list"),
    ],
)
def test_what_is_wrong_is_reported_where_it_was_written(auth: dict[str, Any], path: str, words: str) -> None:
    found = problems(server={"auth": auth})
    assert words in found[path]
    assert len(found) == 1


def test_a_config_is_blamed_where_each_spelling_has_it() -> None:
    older = loaded(server={"auth": {"provider_type": "custom", "config": {"a": 1}}})
    newer = loaded(server={"auth": {"provider_config": {"type": "custom", "a": 1}}})
    listed = loaded(server={"auth": {"providers": [{"type": None}, {"type": "custom", "a": 1}]}})
    places = [each.places.source_path("server.auth.providers[0].config.a") for each in (older, newer, listed)]
    assert places == ["server.auth.config.a", "server.auth.provider_config.a", "server.auth.providers[1].a"]


def test_other_sections_of_the_server_are_kept() -> None:
    found = loaded(server={"port": 9, "auth": ENDPOINT, "quota": QUOTA})
    assert found.config is not None
    assert found.config.server.port == 9
    assert found.config.server.auth is not None
    assert found.config.server.auth.providers == (AuthProviderEntry(type="custom", config=ENDPOINT),)
    assert found.config.server.quota is not None
    assert found.config.server.quota.kvstore == SqliteStore(db_path="q.db")


def test_a_quota_may_name_a_backend_of_the_storage() -> None:
    storage = {"backends": {"kv": {"type": "kv_dynamodb", "table": "counters"}}}
    quota = {"kvstore": {"backend": "kv", "namespace": "a"}}
    found = loaded(storage=storage, server={"quota": quota})
    assert found.config is not None, found.problems
    assert found.config.server.quota is not None
    assert found.config.server.quota.kvstore == DynamoStore(table="counters", namespace="a")


@pytest.mark.parametrize(
    ("quota", "path"),
    [
        ({}, "server.quota.kvstore"),
        ({"kvstore": {"backend": "no"}}, "server.quota.kvstore.backend"),
        ({"kvstore": {"type": "redis"}}, "server.quota.kvstore.type"),
        ({"kvstore": {"type": "sqlite"}}, "server.quota.kvstore.db_path"),
        ({**QUOTA, "period": "week"}, "server.quota.period"),
        ({**QUOTA, "anonymous_max_requests": -1}, "server.quota.anonymous_max_requests"),
        ({**QUOTA, "authenticated_max_requests": True}, "server.quota.authenticated_max_requests"),
        ({**QUOTA, "shards": 0}, "server.quota.shards"),
        ({**QUOTA, "on_store_failure": "open"}, "server.quota.on_store_failure"),
        ({**QUOTA, "roles": {"a": {"max_request": 1}}}, "server.quota.roles.a.max_request"),
    ],
)
def test_a_quota_that_cannot_be_is_refused(quota: dict[str, Any], path: str) -> None:
    assert path in problems(server={"quota": quota})


def test_what_is_shown_of_auth_has_no_secret() -> None:
    jwks = {"uri": "https://u:hunter2@a", "token": "hunter2"}
    asked = {"url": "https://a", "client_id": "c", "client_secret": "hunter2"}
    entries = [{"type": "oauth2_token", "jwks": jwks}, {"type": "oauth2_token", "introspection": asked}]
    found = loaded(server={"auth": {"providers": entries}})
    assert found.config is not None
    shown = redact(found.config.model_dump(mode="json"))
    assert "hunter2" not in str(shown)
    assert shown["server"]["auth"]["providers"][1]["config"]["introspection"]["client_id"] == "c"
