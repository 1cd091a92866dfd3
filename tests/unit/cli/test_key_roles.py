"""`llambda keys create --roles`: a role that nothing in the run config names is a mistake, unless it is meant."""

from pathlib import Path

import pytest

from tests.parts.secrets import plant
from tests.unit.cli.conftest import AUTH, Keys

type Output = pytest.CaptureFixture[str]
KEYS = "auth: {providers: [{type: api_key}]"
RULE = "{permit: {actions: read}, WORD: CONDITION}"
QUOTA = "quota: {kvstore: {type: sqlite, db_path: FOLDER/q.db}, roles: {heavy: {max_requests: 9}}}"


def policy(condition: str, word: str = "when") -> str:
    return f"{KEYS}, access_policy: [{RULE.replace('WORD', word).replace('CONDITION', condition)}]}}"


@pytest.mark.parametrize(
    ("server", "role", "words"),
    [
        (policy("user with admin in roles"), "admins", "did you mean `admin`?; they name admin; --force"),
        (policy("[user is owner, user with admin not in roles]"), "Admin", "did you mean `admin`?"),
        (policy("user with the night shift in roles", "unless"), "night", "they name the night shift"),
        (f"{policy('user with admin in roles')}, {QUOTA}", "heavi", "did you mean `heavy`?; they name admin, heavy"),
        (f"{KEYS}}}, {QUOTA}", "admin", "they name heavy"),
        (policy("user with admin in teams"), "admin", "they name none"),
        (f"{KEYS}, access_policy: [{{permit: {{actions: read}}}}]}}", "admin", "they name none"),
        (policy("user in owners teams"), "admin", "they name none"),
        (policy("7"), "admin", "they name none"),
    ],
)
def test_a_role_that_nothing_names_makes_no_key(
    keys: Keys, config: Path, capsys: Output, server: str, role: str, words: str
) -> None:
    text = f"server: {{{server}}}\n".replace("FOLDER", str(config.parent))
    config.write_text(config.read_text().replace(AUTH, text))
    assert keys("create", "--name", "demo", "--roles", role) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"--roles {role}: no rule of the access policy or of the quota in {config} names it" in said.err
    assert words in said.err
    assert not (config.parent / "registry.db").exists()
    assert keys("create", "--name", "demo", "--roles", role, "--force") == 0
    plant(capsys.readouterr().out.strip())


@pytest.mark.parametrize(
    ("server", "role"),
    [
        (policy("user with admin in roles"), "admin"),
        (policy("user with admin not in roles"), "admin"),
        (f"{KEYS}}}, {QUOTA}", "heavy"),
        (f"{KEYS}}}", "anything"),  # the policy where none is written has owners share with those of their roles
        (policy("user in owners roles"), "anything"),
        ("port: 9000", "anything"),
    ],
)
def test_a_role_that_counts_makes_one(keys: Keys, config: Path, capsys: Output, server: str, role: str) -> None:
    text = f"server: {{{server}}}\n".replace("FOLDER", str(config.parent))
    config.write_text(config.read_text().replace(AUTH, text))
    assert keys("create", "--name", "demo", "--roles", role) == 0
    plant(capsys.readouterr().out.strip())
