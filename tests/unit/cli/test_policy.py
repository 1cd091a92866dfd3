"""`llambda policy explain` says which rule decides and why the others do not, and needs no more of the run config."""

from collections.abc import Callable
import json
from pathlib import Path

import pytest

from core.cli.main import main

ASK = ["--action", "read", "--resource", "model::small"]
RULES = """
    access_policy:
      - forbid: {actions: read, resource: "model::x*"}
      - permit: {actions: [create, read, update, delete]}
        when: user with admin in roles
        description: admins may do anything
      - forbid: {actions: read, principal: "${env.BANNED:=mallory}"}
      - permit: {actions: read, resource: "model::a/m"}
"""
# As in a draft: there are no providers yet, and `servr` is a mistake.
DRAFT = f"""
image_name: t
servr: {{}}
server:
  port: 0
  auth:
{RULES}
"""

type Explain = Callable[..., tuple[int, str]]


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Explain:
    monkeypatch.setenv("BANNED", "")  # what `--env` sets is gone after the test

    def run(*arguments: str, text: str = DRAFT) -> tuple[int, str]:
        (tmp_path / "draft.yaml").write_text(text)
        code = main(["policy", "explain", "--config", str(tmp_path / "draft.yaml"), *arguments])
        captured = capsys.readouterr()
        return code, captured.out if code != 2 else captured.err

    return run


def test_allowed_is_0_and_shows_the_rule_that_permits_it(explain: Explain) -> None:
    code, said = explain("--user", "ada", "--roles", "dev, admin", *ASK)
    lines = said.splitlines()
    assert code == 0
    assert lines[0] == "allowed: rule 2 of 4 permits it (admins may do anything)"
    assert lines[1].startswith("policy: server.auth.access_policy of ")
    assert lines[1].endswith("draft.yaml")
    assert lines[2:4] == ["user: ada (roles dev, admin)", "rule 1 (forbid): it is about `model::x*`"]
    assert lines[4] == "rule 2:"
    assert "  when: user with admin in roles" in lines


def test_denied_is_1_and_says_of_every_rule_why_it_does_not_match(explain: Explain) -> None:
    code, said = explain("--user", "ada", *ASK)
    assert code == 1
    assert said.splitlines()[0] == "denied: none of the 4 rules matches"
    assert said.splitlines()[3:] == [
        "rule 1 (forbid): it is about `model::x*`",
        "rule 2 (permit): `user with admin in roles` does not hold",
        "rule 3 (forbid): it is for `mallory`",
        "rule 4 (permit): it is about `model::a/m`",
    ]


def test_a_rule_that_forbids_is_named_with_variables_in_place(explain: Explain) -> None:
    code, said = explain("--user", "42", "--env", "BANNED=42", *ASK)
    assert code == 1
    assert said.startswith("denied: rule 3 of 4 forbids it\n")
    assert "principal: '42'" in said


def test_the_whole_answer_is_json_where_it_is_asked_for(explain: Explain) -> None:
    code, said = explain("--user", "ada", "--roles", "admin", *ASK, "--json")
    answer = json.loads(said)
    assert code == 0
    assert answer.pop("policy").startswith("server.auth.access_policy of ")
    assert answer.pop("decided_by")["description"] == "admins may do anything"
    assert answer == {
        "allowed": True,
        "rule": 2,
        "rules": 4,
        "user": {"id": "ada", "attributes": {"roles": ["admin"]}},
        "mismatches": [{"rule": 1, "kind": "forbid", "reason": "it is about `model::x*`"}],
    }
    code, said = explain("--user", "", *ASK, "--json")
    answer = json.loads(said)
    assert code == 1
    assert (answer["allowed"], answer["rule"], answer["decided_by"], answer["user"]) == (False, None, None, None)
    assert [row["kind"] for row in answer["mismatches"]] == ["forbid", "permit", "forbid", "permit"]


def test_another_name_of_the_resource_counts(explain: Explain) -> None:
    assert explain("--user", "ada", "--also", "a/m", *ASK)[0] == 0
    assert explain("--user", "ada", "--roles", "admin", "--also", "xl", *ASK)[0] == 1


@pytest.mark.narrow
def test_a_rule_takes_one_line_of_a_terminal(explain: Explain) -> None:
    long = DRAFT.replace("user with admin in roles", f"user with {'admin' * 30} in roles")
    said = explain("--user", "ada", *ASK, text=long)[1].splitlines()
    assert [len(line) for line in said if line.startswith("rule 2")] == [80]


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [("[]", "denied: the policy has no rules"), ("[{permit: {actions: create}}]", "denied: its one rule does not mat")],
)
def test_few_rules_read_well(policy: str, verdict: str, explain: Explain) -> None:
    text = f"server: {{auth: {{access_policy: {policy}}}}}"
    assert explain("--user", "ada", *ASK, text=text)[1].startswith(verdict)


@pytest.mark.parametrize("text", ["image_name: t", "server: {port: 5}", "server:", "server: {auth: {endpoint: x}}"])
def test_without_a_policy_the_default_is_explained(text: str, explain: Explain) -> None:
    code, said = explain("--user", "ada", *ASK, text=text)
    assert code == 0
    assert "policy: the default (" in said
    others = ["--user", "ada", "--teams", "red", *ASK, "--owner", "bob"]
    assert explain(*others, "--owner-teams", "red,blue", text=text)[0] == 0
    code, said = explain(*others, "--owner-teams", "blue", text=text)
    assert code == 1
    assert "`user in owners teams` does not hold" in said


def test_who_has_no_attributes_shares_nothing_as_with_a_token(explain: Explain) -> None:
    others = ["--user", "ada", *ASK, "--owner", "bob"]
    code, said = explain(*others, text="image_name: t")
    assert code == 1
    assert "user: ada (namespaces own::ada)" in said
    assert explain("--user", "bob", *ASK, "--owner", "bob", text="image_name: t")[0] == 0


def test_no_authentication_is_a_user_too(explain: Explain) -> None:
    code, said = explain("--user", "", *ASK, text="image_name: t")
    assert code == 0
    assert "user: nobody (no authentication)" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DRAFT.replace("actions: read", "actions: raed", 1),
            "access_policy[0].forbid.actions: unknown action `raed`",
        ),
        (
            DRAFT.replace("user with admin in roles", "admin"),
            "server.auth.access_policy[1].when: `admin` is not a condit",
        ),
        (DRAFT.replace("BANNED:=mallory", "NOWHERE"), "server.auth.access_policy[2].forbid.principal"),
        ("server: []", "server: must be a mapping"),
        ("server: {auth: x}", "server.auth: must be a mapping"),
        ("server: {auth: {access_policy: x}}", "server.auth.access_policy: must be a list"),
        ("- no mapping", "the document must be a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_policy_that_cannot_be_used_is_2_and_nothing_else_is_reported(
    text: str, words: str, explain: Explain
) -> None:
    code, said = explain("--user", "ada", *ASK, text=text)
    assert code == 2
    assert "1 problem\n" in said
    assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "ada", "--action", "use", "--resource", "model::x"], "'use' is not one of 'create', 'read'"),
        (["--user", "ada", "--action", "read", "--resource", "x"], "write TYPE::ID, such as model::small"),
        (["--user", "ada", "--action", "read", "--resource", "model::"], "write TYPE::ID"),
        (["--action", "read", "--resource", "model::x"], "--user"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], words: str, explain: Explain) -> None:
    code, said = explain(*arguments)
    assert code == 2
    assert words in said


def test_attributes_of_no_owner_are_a_mistake(explain: Explain) -> None:
    code, said = explain("--user", "ada", *ASK, "--owner-teams", "red")
    assert code == 2
    assert "--owner" in said


def test_without_config_it_is_the_environments_or_the_starter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LLAMBDA_CONFIG", raising=False)
    assert main(["policy", "explain", "--user", "ada", *ASK]) == 0
    assert "starter.yaml has no server.auth.access_policy" in capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text(DRAFT)
    monkeypatch.setenv("LLAMBDA_CONFIG", str(tmp_path / "mine.yaml"))
    assert main(["policy", "explain", "--user", "ada", *ASK]) == 1
    assert "mine.yaml" in capsys.readouterr().out


def test_a_rule_of_an_issuer_is_for_its_callers(explain: Explain) -> None:
    rule = "{permit: {principal: ada, issuer: 'https://a', actions: read}}"
    text = f"server: {{auth: {{access_policy: [{rule}]}}}}"
    for issuer, code in (("https://a", 0), ("https://b", 1), ("", 1)):
        assert explain("--user", "ada", "--issuer", issuer, *ASK, text=text)[0] == code
    assert "it is for `ada` of `https://a`" in explain("--user", "ada", *ASK, text=text)[1]
