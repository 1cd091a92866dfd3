"""What a run config allows that is not safe is said, and whose it is what was stored before owners had an issuer."""

from pathlib import Path

import pytest
import yaml

from core.cli.main import main
from core.config.load import interpret
from core.config.security import AuthConfig, AuthProviderEntry
from core.frame.callers import Principal
from core.resolution.protection import heir_of, protection_warnings

KEY = "abcdefghijkl"
KEYS = {"uri": "https://i.example/keys"}


def auth(*types: str) -> AuthConfig:
    return AuthConfig(providers=tuple(AuthProviderEntry(type=type_) for type_ in types))


@pytest.mark.parametrize(
    ("types", "vouched_by", "id_", "inherits"),
    [
        (["api_key"], "api_key", KEY, True),
        (["cognito"], "cognito x", "ada", True),
        (["cognito"], "cognito x", KEY, True),
        (["api_key", "cognito"], "cognito x", "ada", True),
        (["api_key", "cognito"], "cognito x", KEY, False),
        (["api_key", "cognito"], "api_key", KEY, True),
        (["custom", "cognito"], "cognito x", "ada", False),
        (["api_key", "custom", "cognito"], "custom x", "ada", False),
        (["api_key", "custom", "cognito"], "api_key", KEY, True),
    ],
)
def test_an_owner_without_an_issuer_is_inherited_where_it_is_sure(
    types: list[str], vouched_by: str, id_: str, *, inherits: bool
) -> None:
    assert heir_of(auth(*types))(Principal(id_, {}, vouched_by)) is inherits


def test_only_what_is_not_safe_is_warned_of() -> None:
    assert protection_warnings(None) == []
    safe = {"claims_mapping": {"roles": "roles", "groups": "teams"}}
    document = {"image_name": "t", "server": {"auth": {"providers": [{"type": "oauth2_token", "jwks": KEYS, **safe}]}}}
    loaded = interpret(document, {})
    assert loaded.config is not None
    assert protection_warnings(loaded.config.server.auth) == []


def test_a_check_of_the_run_config_says_the_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    provider = {"type": "oauth2_token", "jwks": KEYS, "claims_mapping": {"sub": "roles"}}
    policy = [{"permit": {"principal": "ada", "actions": "read"}}]
    server = {"auth": {"providers": [{"type": "api_key"}, provider], "access_policy": policy}}
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"image_name": "t", "server": server}), "utf-8")
    assert main(["config", "validate", str(file)]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[0].startswith(
        "warning: server.auth, oauth2_token: claims_mapping: `sub` becomes roles"
    )
    assert "`principal: ada` is whoever has this id" in said.err
    assert main(["config", "validate", str(file), "--json"]) == 0
    assert '"warnings"' in capsys.readouterr().out
