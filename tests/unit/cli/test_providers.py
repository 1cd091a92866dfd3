"""`llambda providers`: what there is, what it takes, whether it works, and a new one."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import pytest

from core.cli.main import main
from core.cli.providers.command import command
from core.cli.providers.new import APIS, PLACE, TEMPLATES, NewPackage, files
from core.resolution.provider_types import built_in
from tests.contract.external import ADAPTER, CONFIG, FACTORY, entry, put, run_config


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def checked(config: Path, code: int) -> Any:
    done = run("check", "--config", str(config), "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_every_built_in_type_is_listed_with_where_it_is_from() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert {(row["api"], row["provider_type"]) for row in rows} == set(built_in())
    assert {row["from"] for row in rows} == {"built in"}
    safety = run("list", "--api", "safety").stdout.splitlines()
    assert "safety     inline::llama-guard  built in" in safety
    assert not [line for line in safety if not line.startswith("safety ")]


def test_external_types_are_listed_and_what_is_wrong_is_a_warning(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY)
    (folder / "providers.d/remote/inference/bad.yaml").write_text("adapter: {}")
    elsewhere = {**entry(), "provider_id": "y", "module": "not-there==1"}
    done = run("list", "--config", str(run_config(folder, inference=[entry(), elsewhere])))
    assert done.exit_code == 0
    assert "inference  remote::parrot" in done.stdout
    assert "remote/inference/parrot.yaml" in done.stdout
    assert "warning: external_providers_dir: remote/inference/bad.yaml: adapter.module: is required" in done.stderr
    assert "warning: providers.inference[1].module: `not_there` is not installed" in done.stderr


@pytest.mark.narrow
def test_a_type_is_shown_with_the_fields_of_its_config() -> None:
    done = run("show", "remote::vllm")
    assert "url: string or null, default null, user field" in done.stdout
    assert "api_token: string or null, secret, optional" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    both = json.loads(run("show", "remote::bedrock", "--json").stdout)
    assert [each["api"] for each in both] == ["eval", "inference", "safety"]
    [only] = json.loads(run("show", "remote::bedrock", "--api", "safety", "--json").stdout)
    fields = {field["name"]: field for field in only["fields"]}
    assert fields["aws_secret_access_key"]["secret"]
    assert fields["retry_mode"]["type"] == "'legacy' or 'standard' or 'adaptive' or null"


@pytest.mark.parametrize(("api", "name"), sorted(built_in()))
def test_every_built_in_type_can_be_shown(api: str, name: str) -> None:
    done = run("show", name, "--api", api)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{name} ({api})\n")


def test_an_external_type_is_shown_with_what_it_needs(folder: Path) -> None:
    nested = f"{CONFIG}    many: list[int] = []\n    required: float\n    inner: 'Config | None' = None\n"
    put(folder, nested + FACTORY, "safety", "inline", api_dependencies=["inference"], container_image="acme:1")
    done = run("show", "inline::parrot", "--config", str(run_config(folder, safety=[entry("inline")])))
    for words in ("api_dependencies: inference", "container_image: acme:1", "many: list of integer, default []"):
        assert words in done.stdout
    assert "required: number, required" in done.stdout
    put(folder, "raise OSError('no')")
    done = run("show", "remote::parrot", "--config", str(run_config(folder)))
    assert done.exit_code == 2
    assert "cannot be loaded" in done.stderr


def test_an_unknown_type_suggests_the_nearest() -> None:
    done = run("show", "remote::vlm")
    assert (done.exit_code, "did you mean `remote::vllm`?" in done.stderr) == (2, True)


def test_each_external_provider_gets_a_verdict(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY)
    builtin = {"provider_id": "v", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9/v1"}}
    config = run_config(folder, inference=[entry(), builtin, {**entry(), "provider_id": "y"}])
    said = checked(config, 0)
    assert [(each["provider_id"], each["ok"]) for each in said["providers"]] == [("x", True), ("y", True)]
    done = run("check", "--config", str(config))
    assert done.stdout.startswith("ok     x  remote::parrot  (remote/inference/parrot.yaml)\n")


@pytest.mark.parametrize(
    ("code", "config", "words"),
    [
        (ADAPTER, {}, "has no get_adapter_impl(config, deps)"),
        ("import not_there_at_all", {}, "imports `not_there_at_all`, which is not installed"),
        (ADAPTER + FACTORY, {"word": []}, "config.word: must be text"),
        (f"{ADAPTER}\nasync def get_adapter_impl(config, deps): return object()", {}, "chat_completion: missing"),
        (f"{ADAPTER}\nasync def get_adapter_impl(config, deps): raise OSError('no disk')", {}, "OSError: no disk"),
    ],
)
def test_one_that_does_not_work_is_said_with_why(folder: Path, code: str, config: dict[str, Any], words: str) -> None:
    put(folder, code)
    [verdict] = checked(run_config(folder, inference=[entry(**config)]), 2)["providers"]
    assert not verdict["ok"]
    assert words in " ".join(verdict["problems"])


def test_what_is_not_about_a_provider_is_said_as_well(folder: Path) -> None:
    put(folder, ADAPTER + FACTORY)
    config = run_config(folder, {"serverr": 1}, inference=[entry(), {**entry("inline"), "provider_id": "y"}])
    said = checked(config, 2)
    assert "not available" in said["providers"][1]["problems"][0]
    assert [problem["path"] for problem in said["problems"]] == ["serverr"]
    assert "it was not tried" in said["providers"][0]["problems"][0]


def test_what_it_depends_on_is_made_first_and_a_container_image_has_no_effect(folder: Path) -> None:
    judge = f"""{CONFIG}
class Judge:
    async def run_shield(self, shield, messages, params): return None
    async def check_shield(self, shield): pass
    async def health(self): return {{"status": "OK"}}
async def get_provider_impl(config, deps):
    assert hasattr(deps["inference"], "chat_completion")
    return Judge()
"""
    put(folder, ADAPTER + FACTORY)
    put(folder, judge, "safety", "inline", api_dependencies=["inference"], container_image="acme:1")
    guard = {**entry("inline"), "provider_id": "g"}
    said = checked(run_config(folder, inference=[entry()], safety=[guard]), 0)
    assert "container_image has no effect" in said["providers"][1]["notes"][0]
    put(folder, ADAPTER)
    said = checked(run_config(folder, inference=[entry()], safety=[guard]), 2)
    assert not any(each["ok"] for each in said["providers"])


def test_without_external_providers_there_is_nothing_to_check() -> None:
    assert run("check", "--config", "starter").output == "no external providers\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme", "is not a name for a provider"),
        ("../acme", "is not a name for a provider"),
        ("a_b", "is not a name for a provider"),
        ("1acme", "is not a name for a provider"),
        ("acme-", "is not a name for a provider"),
        ("a" * 41, "at most 40 characters"),
        ("vllm", "`remote::vllm` is built in"),
    ],
)
def test_a_name_is_held_to_what_packages_are_called(tmp_path: Path, name: str, words: str) -> None:
    done = run("new", name, "--api", "inference", "--dir", str(tmp_path))
    assert done.exit_code == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


def test_for_webhooks_no_package_is_written_and_what_to_do_is_said(tmp_path: Path) -> None:
    done = run("new", "acme", "--api", "webhooks", "--dir", str(tmp_path))
    assert done.exit_code == 2
    assert "`llambda webhooks create URL`" in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    done = run("new", "acme", "--api", "safety", "--dir", str(tmp_path))
    assert (done.exit_code, "exists already" in done.stderr) == (2, True)
    assert not list((tmp_path / "acme").iterdir())


def test_a_new_package_is_said_with_what_comes_next(tmp_path: Path) -> None:
    done = run("new", "my-guard", "--api", "safety", "--inline", "--dir", str(tmp_path / "new"), "--json")
    said = json.loads(done.stdout)
    assert (said["folder"], said["provider_type"]) == (str(tmp_path / "new" / "my-guard"), "inline::my-guard")
    assert "providers.d/inline/safety/my-guard.yaml" in said["files"]
    assert "python -m pytest" in run("new", "other", "--api", "safety", "--dir", str(tmp_path)).stdout


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("flavour", ["remote", "inline"])
def test_no_place_is_left_in_a_new_package(api: str, flavour: str) -> None:
    texts = files(NewPackage("my-own", api, flavour))
    assert not [path for path, text in texts.items() if PLACE.search(text)]
    assert not [path for path, text in texts.items() if str(TEMPLATES) in text]


def test_an_option_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers", "new", "acme"]) == 2
    assert "Missing option '--api'" in capsys.readouterr().err
