"""What the options of several commands take."""

from pathlib import Path

import pytest

from core.cli.main import main
from core.cli.options import parse_env_option, unread_variables
from core.config.problems import ConfigInvalid


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("KEY=value", ("KEY", "value")),
        ("KEY=", ("KEY", "")),
        ("URL=http://h?a=b=c", ("URL", "http://h?a=b=c")),
        ("_a1= x ", ("_a1", " x ")),
    ],
)
def test_an_env_option_is_split_at_its_first_equals_sign(text: str, pair: tuple[str, str]) -> None:
    assert parse_env_option(text) == pair


@pytest.mark.parametrize("text", ["KEY", "", "1A=hunter2", "=hunter2", "A-B=hunter2", "A B=hunter2", "É=hunter2"])
def test_a_bad_env_option_says_the_form_and_not_the_value(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="KEY=VALUE") as raised:
        parse_env_option(text)
    assert "hunter2" not in str(raised.value)
    assert raised.value.source == "--env"


def test_a_nul_in_a_value_is_refused_before_the_system_refuses_it() -> None:
    with pytest.raises(ConfigInvalid, match="KEY: the value has a NUL"):
        parse_env_option("KEY=a\0b")


TEXT = "a: ${env.VLLM_URL:=x}\nb: ${env.VLLM_API_TOKEN}\n"


def unread(folder: Path, *names: str, text: str = TEXT) -> dict[str, str]:
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    problems = unread_variables(path, tuple((name, "v") for name in names))
    return {problem.path: problem.message for problem in problems}


def test_a_variable_that_the_config_does_not_read_is_a_mistake_with_the_nearest(tmp_path: Path) -> None:
    assert unread(tmp_path, "VLLM_URL", "VLLM_ULR", "x") == {
        "VLLM_ULR": "run.yaml does not read this variable; did you mean `VLLM_URL`?",
        "x": "run.yaml does not read this variable; it reads VLLM_API_TOKEN, VLLM_URL",
    }
    assert unread(tmp_path, "A", text="a: 1\n") == {"A": "run.yaml does not read this variable; it reads none"}


@pytest.mark.parametrize(
    "name",
    [
        "AWS_REGION",
        "AWS_PROFILE",
        "LLAMBDA_LOGGING",
        "LLAMA_STACK_PORT",
        "OTEL_SERVICE_NAME",
        "HTTPS_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "HOME",
    ],
)
def test_what_the_process_reads_itself_is_none(tmp_path: Path, name: str) -> None:
    assert unread(tmp_path, name) == {}


@pytest.mark.parametrize("line", ["    - {module: acme, a: 1}", "external_providers_dir: ./own", "      module: acme"])
def test_what_the_code_of_others_reads_is_not_known(tmp_path: Path, line: str) -> None:
    assert unread(tmp_path, "ACME_KEY", text=f"{TEXT}{line}\n") == {}
    assert unread(tmp_path, "ACME_KEY", text=f"{TEXT}external_providers_dir: null\nmodule: \n") != {}


@pytest.mark.parametrize(
    "command", ["serve", "run", "config validate", "config show", "iam", "worker", "keys list --config", "deploy"]
)
def test_every_command_says_so_before_anything_else(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "starter", "--env", "VLLM_ULR=hunter2"]) == 2
    report = capsys.readouterr().err
    assert "VLLM_ULR: " in report
    assert "did you mean `VLLM_URL`?" in report
    assert "hunter2" not in report
