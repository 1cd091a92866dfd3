"""`llambda configurations`, against a real HTTP server that answers by the contract."""

from collections.abc import Generator
import json
from pathlib import Path
import socket
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
import pytest
import yaml

from core.cli.configurations import output as shown
from core.cli.configurations.command import command
from core.cli.main import main
from core.config.problems import ConfigInvalid
from tests.parts.configured import KEY, MASK, FakeStack, answering
from tests.parts.secrets import plant

CONFIG = """
inference:
- provider_id: vllm
  provider_type: remote::vllm
  config:
    url: http://gpu:8000
    tls_verify: false
"""


@pytest.fixture
def stack() -> Generator[FakeStack]:
    with answering(FakeStack()) as stack:
        yield stack


def run(stack: FakeStack, *arguments: str, stdin: str | None = None, **env: str) -> Result:
    return CliRunner(env={"LLAMBDA_URL": stack.url, **env}).invoke(command, arguments, input=stdin)


def said(stack: FakeStack, *arguments: str, stdin: str | None = None) -> str:
    result = run(stack, *arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def put(stack: FakeStack, **config: Any) -> str:
    body = json.dumps({"inference": [{"provider_id": "vllm", "config": config}]})
    return said(stack, "register", "--config", "-", stdin=body)


def test_inspect_prints_yaml_as_the_seed_has_it_and_notes_beside_it(stack: FakeStack) -> None:
    put(stack, url="http://localhost:12345", api_token="a-token-that-stays")
    text = said(stack, "inspect")
    assert text.startswith(
        "# version 1 is in force\n"
        "# discovered, not set: inference vllm: max_connections\n"
        "providers:\n"
        "  inference:\n"
        "  - config:\n"
    )
    assert text.endswith("    provider_id: vllm\n    provider_type: remote::vllm\n  safety: []\n")
    (entry,) = yaml.safe_load(text)["providers"]["inference"]
    assert entry.keys() == {"provider_id", "provider_type", "config"}
    assert entry["config"] == {
        "api_token": MASK,
        "max_connections": 64,
        "timeout": 60.0,
        "url": "http://localhost:12345",
    }


def test_what_inspect_prints_can_be_registered(stack: FakeStack, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(said(stack, "inspect"))
    text = said(stack, "register", "--config", str(file))
    assert text.startswith("Version 1 is in force; every environment has it within 10 s.\n")


def test_register_says_the_version_what_was_dropped_and_what_changed(stack: FakeStack, tmp_path: Path) -> None:
    put(stack, timeout=30, url="http://old")
    file = tmp_path / "mine.yaml"
    file.write_text(CONFIG.replace("tls_verify: false", "tls_verify: false\n    timeout: null\n    api_token: t"))
    assert said(stack, "register", "--config", str(file)) == (
        "Version 2 is in force; every environment has it within 10 s.\n"
        "Ignored, because users may not set it:\n"
        "  providers.inference[0].config.tls_verify\n"
        "Changed:\n"
        '  + inference vllm api_token: "********"\n'
        "  - inference vllm timeout: 30\n"
        '  ~ inference vllm url: "http://old" -> "http://gpu:8000"\n'
    )
    assert stack.asked[-1][2]["config"]["inference"][0]["config"]["url"] == "http://gpu:8000"


def test_a_dry_run_changes_nothing_and_says_so(stack: FakeStack) -> None:
    text = said(stack, "register", "--config", "-", "--dry-run", "--force", stdin=CONFIG)
    assert text.startswith("It is valid. Nothing was changed: this was a dry run.\nIgnored")
    assert 'It would change:\n  + inference vllm url: "http://gpu:8000"\n' in text
    assert (stack.latest, stack.asked[-1][2]["force"]) == (0, True)


def test_what_the_stack_withholds_is_said_with_the_reason(stack: FakeStack) -> None:
    made = stack.configuration(1, {"config": {}, "note": "registered", "owner": "ada"})
    path = "providers.inference[0].config.api_token"
    stack.said = [
        (200, {}, json.dumps(stack.inspected()).encode()),
        (200, {}, json.dumps(made | {"dropped": [], "withheld": [path]}).encode()),
    ]
    text = said(stack, "register", "--config", "-", stdin=CONFIG)
    assert f"only to the host that it was set for; set it again:\n  {path}\n" in text


def test_registering_what_is_so_already_says_that_nothing_changes(stack: FakeStack) -> None:
    put(stack, timeout=30)
    same = stack.shown(1) | {"dropped": []}
    looked_at = [stack.inspected(), stack.shown(1)]
    stack.said = [(200, {}, json.dumps(each).encode()) for each in [*looked_at, same]]
    assert said(stack, "register", "--config", "-", stdin=CONFIG) == ("Nothing changed: version 1 is still in force.\n")


@pytest.mark.parametrize("status", [403, 404])
def test_who_may_register_and_not_read_hears_the_version_alone(stack: FakeStack, status: int) -> None:
    stack.said = [(status, {}, b"{}")]
    text = said(stack, "register", "--config", "-", stdin=CONFIG)
    assert text.startswith("Version 1 is in force.\nIgnored")
    assert "Changed" not in text


def test_json_files_are_registered_and_a_byte_order_mark_does_not_matter(stack: FakeStack, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"providers": yaml.safe_load(CONFIG)}).encode())
    assert "Version 1" in said(stack, "register", "--config", str(file))
    assert stack.asked[-1][2]["config"]["providers"]["inference"][0]["config"]["tls_verify"] is False


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must be a mapping of keys, got nothing"),
        (b"- a", "must be a mapping of keys, got a list"),
        (b"a: [", "not valid YAML, line 1"),
        (b"a: 1\na: 2", "is given twice, on line 1 and on line 2"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"a: .nan", "has a value that JSON cannot express"),
        (b"a: !!binary aGVsbG8=", "has a value that JSON cannot express"),
        (b"a: &x [*x]", "stand for more than 100000 values"),
        (b"a: " + b"[" * 5000, "nested too deeply"),
        (b"a: !!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_before_anything_is_sent(
    stack: FakeStack, tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    for name, source in ((str(file), None), ("-", content)):
        result = CliRunner(env={"LLAMBDA_URL": stack.url}).invoke(command, ["register", "--config", name], input=source)
        assert isinstance(result.exception, ConfigInvalid)
        assert problem in str(result.exception)
        assert str(result.exception).startswith("the standard input: 1" if name == "-" else f"{file}: 1")
    assert stack.asked == []


def test_a_file_that_is_not_there_is_a_mistake_of_one_line(
    stack: FakeStack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["configurations", "register", "--config", "/nowhere.yaml", "--url", stack.url]) == 2
    assert capsys.readouterr().err == "/nowhere.yaml: 1 problem\n  there is no such file\n"


def test_what_the_stack_finds_wrong_is_the_user_s_mistake(stack: FakeStack) -> None:
    result = run(stack, "register", "--config", "-", stdin=CONFIG.replace("provider_id: vllm", "provider_id: gpu"))
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: HTTP 400: providers.inference[0].provider_id: there is no inference provider `gpu`\n"
    )
    stack.said = [(413, {}, b'{"error": {"message": "Too large."}}')]
    assert run(stack, "revert", "1").exit_code == 2


def test_versions_are_listed_with_what_they_set_newest_first(stack: FakeStack) -> None:
    put(stack, url="http://gpu:8000")
    put(stack, timeout=5)
    said(stack, "revert", "1")
    stack.added({}, "provider acme unregistered")
    assert said(stack, "list") == (
        "VERSION    SETS\n"
        "4 *        nothing\n"
        "3          inference vllm: url\n"
        "2          inference vllm: url, timeout\n"
        "1          inference vllm: url\n"
    )


def test_history_says_when_who_and_why_in_80_columns_however_many_pages_there_are(stack: FakeStack) -> None:
    stack.most = 7
    for number in range(30):
        stack.added({"timeout": number}, "x" * (number * 3), owner="https://issuer.example.com|" + "y" * number)
    text = said(stack, "history")
    lines = text.splitlines()
    assert lines[0].split() == ["VERSION", "WHEN", "(UTC)", "WHO", "WHY"]
    assert [line.split()[0] for line in lines[1:]] == [str(number) for number in range(30, 0, -1)]
    assert lines[1].startswith("30 *")
    assert "2026-05-28 20:56  https://issuer.exam…  xxxx" in lines[1] + lines[2]
    assert max(map(len, lines)) <= 80


def test_who_is_a_keys_name_where_a_key_did_it(stack: FakeStack) -> None:
    stack.added({"timeout": 1}, owner="0123456789abcdef", owner_name="night shift")
    assert "night shift" in said(stack, "history").splitlines()[1]
    assert "by night shift" in said(stack, "get", "1")


def test_what_others_wrote_cannot_steer_the_terminal(stack: FakeStack) -> None:
    stack.added({"url": "http://\x1b[31m\u202e"}, "\x1b]0;title\x07", owner="eve\r\nroot")
    for arguments in (["history"], ["list"], ["get", "1"], ["diff"], ["inspect"], ["revert", "1"]):
        text = said(stack, *arguments)
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\x07" not in text
    stack.said = [(403, {}, b'{"error": {"message": "\\u001b[31mNo"}}')]
    assert "\x1b" not in run(stack, "inspect").stderr


def test_without_versions_the_tables_say_what_holds(stack: FakeStack) -> None:
    for what in ("list", "history"):
        assert said(stack, what) == "no configurations: only the run config's file is in force\n"
        assert json.loads(said(stack, what, "--json")) == []
    assert said(stack, "inspect").startswith("# only the run config's file is in force\n")
    assert said(stack, "diff") == "the run config's file and the run config's file do not differ\n"


def test_get_shows_one_version_as_yaml_below_what_is_known_of_it(stack: FakeStack) -> None:
    put(stack, url="http://gpu:8000")
    text = said(stack, "get", "1")
    assert text.startswith("# version 1, in force: registered, 2026-05-28 20:27 UTC by ada\nproviders:\n")
    assert yaml.safe_load(text) == stack.shown(1)["config"]


def test_unregister_says_what_holds_then(stack: FakeStack) -> None:
    put(stack, timeout=1)
    put(stack, timeout=2)
    assert said(stack, "unregister", "1") == "Unregistered 1. It was not in force: nothing else changes.\n"
    assert said(stack, "unregister", "2") == "Unregistered 2. Only the run config's file is in force now.\n"
    assert stack.versions == {}
    missing = run(stack, "unregister", "2")
    assert (missing.exit_code, missing.stderr) == (1, "Error: HTTP 404: There is no configuration `2`.\n")


def test_diff_compares_what_is_in_force_with_the_file_or_any_two(stack: FakeStack) -> None:
    put(stack, url="http://one")
    put(stack, url="http://two")
    assert said(stack, "diff").startswith("--- the run config's file\n+++ version 2\n@@ -0,0 +1,6 @@\n+providers:\n")
    assert "-      url: http://one\n+      url: http://two\n" in said(stack, "diff", "1")
    assert said(stack, "diff", "1", "2") == said(stack, "diff", "1")
    assert "-      url: http://two\n+      url: http://one\n" in said(stack, "diff", "2", "1")
    assert said(stack, "diff", "2", "file").startswith("--- version 2\n+++ the run config's file\n@@ -1,6 +0,0 @@\n")
    assert said(stack, "diff", "0", "0").endswith("do not differ\n")
    assert said(stack, "diff", "2") == "version 2 and version 2 do not differ\n"


def test_everything_is_to_be_had_as_json(stack: FakeStack) -> None:
    made = json.loads(said(stack, "register", "--config", "-", "--json", stdin=CONFIG))
    assert (made["version"], made["dropped"]) == (1, ["providers.inference[0].config.tls_verify"])
    assert json.loads(said(stack, "inspect", "--json")) == stack.inspected()
    for what in ("list", "history"):
        assert json.loads(said(stack, what, "--json")) == [stack.shown(1)]
    assert json.loads(said(stack, "get", "1", "--json")) == stack.shown(1)
    assert json.loads(said(stack, "diff", "--json")) == {
        "from": "the run config's file",
        "to": "version 1",
        "changes": [{"api": "inference", "provider_id": "vllm", "field": "url", "to": "http://gpu:8000"}],
    }
    assert json.loads(said(stack, "revert", "1", "--json"))["note"] == "reverted to 1"
    assert json.loads(said(stack, "unregister", "2", "--json")) == {"identifier": "2", "was_active": True}


def test_the_key_comes_from_the_environment_or_the_option_and_is_never_printed(stack: FakeStack) -> None:
    stack.key = plant(KEY)
    refused = run(stack, "inspect")
    assert refused.exit_code == 1
    assert "LLAMBDA_API_KEY" in refused.stderr
    for result in (run(stack, "inspect", LLAMBDA_API_KEY=KEY), run(stack, "inspect", "--api-key", KEY)):
        assert result.exit_code == 0
        assert KEY not in result.output
    wrong = run(stack, "list", LLAMBDA_API_KEY=f"{KEY} ")
    assert wrong.exit_code == 2
    assert "the API key has a blank" in wrong.stderr
    assert KEY not in wrong.output
    assert KEY not in run(stack, "--help", LLAMBDA_API_KEY=KEY).output


@pytest.mark.parametrize("url", ["localhost:8321", "http://user:hunter2@host", "", "file:///etc/passwd"])
def test_a_url_that_is_none_is_a_mistake_of_the_user(url: str) -> None:
    result = CliRunner().invoke(command, ["inspect", "--url", url])
    assert result.exit_code == 2
    assert "URL" in result.stderr
    assert "hunter2" not in result.output


def test_a_stack_that_does_not_run_is_a_failure_that_names_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    result = CliRunner().invoke(command, ["list", "--url", url])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {url} cannot be reached: Connection refused.")
    assert "Name another with --url or LLAMBDA_URL." in result.stderr


def test_something_else_at_the_url_is_a_failure_of_one_line(stack: FakeStack) -> None:
    for content in (b"<html>", b"[]", b'{"data": []}'):
        stack.said = [(200, {}, content)]
        result = run(stack, "history")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: HTTP 200: the answer is n")
        assert len(result.stderr.splitlines()) == 1


def test_a_time_that_is_none_and_a_page_that_goes_nowhere_end_all_the_same(stack: FakeStack) -> None:
    row = stack.configuration(1, {"config": {}, "note": "", "owner": "ada"}) | {"created": 10**30}
    page = {"object": "list", "data": [row], "has_more": True, "first_id": "1", "last_id": "1", "active": None}
    nowhere = page | {"data": []}
    stack.said = [(200, {}, json.dumps(each).encode()) for each in (page, nowhere)]
    assert said(stack, "history").splitlines()[1].startswith("1          100000000000000…  ada")
    assert len(stack.asked) == 2


def a_config(fields: dict[str, Any]) -> Any:
    entry = {"provider_id": "vllm", "provider_type": "remote::vllm", "config": fields}
    return {"providers": {"inference": [entry]}}


FIELDS = st.dictionaries(st.sampled_from("abcd"), st.none() | st.integers() | st.text(max_size=3), max_size=4)


@given(old=FIELDS, new=FIELDS)
def test_the_changes_lead_from_the_old_to_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    now = dict(old)
    for change in shown.changes(a_config(old), a_config(new)):
        assert now.pop(change["field"], None) == change.get("from")
        if "to" in change:
            now[change["field"]] = change["to"]
    assert now == new


def test_a_provider_that_is_registered_or_gone_is_a_change() -> None:
    with_one = a_config({})
    with_one["providers"]["inference"][0]["registered"] = True
    (there,) = shown.changes({"providers": {}}, with_one)
    assert (there["field"], there["to"], "from" in there) == ("provider_type", "remote::vllm", False)
    (gone,) = shown.changes(with_one, {"providers": {}})
    assert (gone["from"], "to" in gone) == ("remote::vllm", False)
