"""`llambda distributions`: what ships is listed and shown without secrets, and copied without loss."""

import json
from pathlib import Path
import stat

from click.testing import CliRunner, Result
import pytest

from core.cli.distributions import command
from core.config.distributions import find, names, read_distribution
from core.config.problems import ConfigInvalid
from core.platform.environment import set_variables
from tests.parts.secrets import plant

SECRET = plant("secret-access-key-that-is-shown-to-nobody")


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, env=env)


def test_every_distribution_is_listed_with_what_it_needs() -> None:
    shown = run("list")
    assert shown.exit_code == 0
    for name in names():
        assert f"{name}\n  {read_distribution(name)[0].description}\n" in shown.output
    assert "needs UPSTREAM_URL, UPSTREAM_API_KEY" in shown.output


def test_the_list_is_json_too() -> None:
    rows = json.loads(run("list", "--json").output)
    assert [row["name"] for row in rows] == names()
    assert rows[names().index("starter")]["required"] == []


def test_a_distribution_is_shown_with_its_variables_as_they_are_now() -> None:
    given = {"AWS_SECRET_ACCESS_KEY": SECRET, "GUARDRAIL_ID": "gr1", "AWS_REGION": ""}
    shown = run("show", "bedrock", env=given)
    assert shown.exit_code == 0
    rows = {
        line.split()[0]: line.split("  ") for line in shown.output.splitlines() if line[:1].isupper() and "  " in line
    }
    states = {name: next(part.strip() for part in parts[1:] if part) for name, parts in rows.items()}
    assert states["AWS_SECRET_ACCESS_KEY"] == "set"
    assert states["GUARDRAIL_ID"] == "set: gr1"
    assert states["GUARDRAIL_VERSION"] == "missing"
    assert states["AWS_REGION"] == "unset"
    assert states["SQLITE_STORE_DIR"] == "default: ~/.llambda/bedrock"
    assert shown.output.endswith(read_distribution("bedrock")[1])
    assert SECRET not in shown.output


def test_neither_json_nor_a_url_shows_a_secret() -> None:
    given = {"AWS_SECRET_ACCESS_KEY": SECRET, "VLLM_URL": f"https://me:{SECRET}@vllm.example.com/v1"}
    for name in ("bedrock", "remote-vllm"):
        shown = run("show", name, "--json", env=given)
        assert SECRET not in shown.output
        rows = {row["name"]: row for row in json.loads(shown.output)["variables"]}
        if name == "remote-vllm":
            assert rows["VLLM_URL"]["value"] == "https://********@vllm.example.com/v1"
        else:
            assert rows["AWS_SECRET_ACCESS_KEY"]["state"] == "set"


@pytest.mark.parametrize("name", names())
def test_raw_is_the_file_byte_for_byte(name: str) -> None:
    assert run("show", name, "--raw").output == find(name).read_text("utf-8")


@pytest.mark.parametrize("arguments", [("show", "startr"), ("init", "startr"), ("show", "infra"), ("init", "")])
def test_an_unknown_name_is_answered_with_the_known_ones(arguments: tuple[str, str]) -> None:
    failed = run(*arguments).exception
    assert isinstance(failed, ConfigInvalid)
    assert "distributions: " in str(failed)
    assert "starter" in str(failed)


def test_a_copy_is_made_and_the_next_commands_are_said(tmp_path: Path) -> None:
    out = tmp_path / "my own.yaml"
    made = run("init", "bedrock-vllm", "--out", str(out))
    assert (made.exit_code, out.read_text("utf-8")) == (0, read_distribution("bedrock-vllm")[1])
    given = "--env VLLM_URL=http://localhost:8000/v1 --env INFERENCE_MODEL=my-inference-model --env BEDROCK_MODEL=my-bedrock-model"
    assert f"  llambda serve '{out}' {given}\n" in made.output


def test_a_file_is_not_replaced_unless_that_is_wished(tmp_path: Path) -> None:
    out = tmp_path / "run.yaml"
    out.write_text("mine")
    out.chmod(0o600)
    refused = run("init", "starter", "--out", str(out))
    assert (refused.exit_code, out.read_text()) == (2, "mine")
    assert "--force" in refused.output
    assert run("init", "starter", "--out", str(out), "--force").exit_code == 0
    assert out.read_text("utf-8") == read_distribution("starter")[1]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [out]


def test_a_link_is_followed_when_its_file_is_replaced(tmp_path: Path) -> None:
    out, link = tmp_path / "run.yaml", tmp_path / "link.yaml"
    out.write_text("mine")
    link.symlink_to(out)
    assert run("init", "starter", "--out", str(link), "--force").exit_code == 0
    assert link.is_symlink()
    assert out.read_text("utf-8") == read_distribution("starter")[1]


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("place", ["missing/run.yaml", "file/run.yaml", "folder"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, place: str, force: list[str]) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    failed = run("init", "starter", "--out", str(tmp_path / place), *force)
    assert failed.exit_code in {1, 2}
    assert isinstance(failed.exception, SystemExit)
    assert failed.output.count("Error: ") == 1
    assert {each.name for each in tmp_path.iterdir()} == {"file", "folder"}


def test_the_process_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_URL", "")
    set_variables({"VLLM_URL": "http://gpu:8000/v1"})
    assert "set: http://gpu:8000/v1" in run("show", "starter").output
