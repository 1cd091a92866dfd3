"""`/v1/ready` over real stores: it is about what is there, and needs no token."""

from pathlib import Path

from tests.parts.live_stack import client_of, run_config


async def test_a_stack_is_ready_while_its_stores_are_there(tmp_path: Path) -> None:
    store, counters = ({"type": "sqlite", "db_path": str(tmp_path / f"{name}.db")} for name in ("registry", "quota"))
    server = {
        "auth": {"providers": [{"type": "api_key"}]},
        "quota": {"kvstore": counters, "authenticated_max_requests": 1, "anonymous_max_requests": 1},
    }
    async with client_of(run_config("http://127.0.0.1:9", store, server=server)) as client:
        for _ in range(3):  # it takes nothing of a quota
            answer = await client.get("/v1/ready")
            assert answer.status_code == 200
            parts = {name: {"status": "OK"} for name in ("registry", "quota", "jobs", "configuration")}
            assert answer.json() == {"status": "OK", "parts": parts}


async def test_a_store_that_is_not_there_is_named_and_health_is_well(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = {"type": "sqlite", "db_path": str(tmp_path / "file" / "registry.db")}
    async with client_of(run_config("http://127.0.0.1:9", store)) as client:
        answer = await client.get("/v1/ready")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"]["code"] == "not_ready"
        reasons = {name: part["reason"] for name, part in answer.json()["parts"].items()}
        assert reasons.pop("jobs") == "cannot be used (state_unavailable)"
        assert reasons == dict.fromkeys(("registry", "configuration"), "cannot be used (provider_unavailable)")
        assert str(tmp_path) not in answer.text
        assert (await client.get("/v1/health")).status_code == 200
