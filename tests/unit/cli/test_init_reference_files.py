"""`llambda init --from` over the run configs of every generation: valid once their variables are set, whatever is in them."""

from copy import deepcopy
from pathlib import Path
import re
from typing import Any

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import yaml

from core.cli.config import validate
from core.cli.init.command import command
from core.cli.init.take_over import Conversion, take_over
from core.cli.options import load_valid_config
from core.config.document import RunConfig
from core.config.load import interpret
from core.config.problems import ConfigInvalid
from core.resolution.check import check
from tests.parts.secrets import plant
from tests.unit.cli.reference_files import DISTRIBUTIONS, GENERATIONS, Document, entry, of_0_1

PASSWORD = plant("password-of-a-postgres")
VARIABLE = re.compile(r"\$\{env\.([A-Z0-9_]+)(\}|:?\+|)")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH_PROVIDER", "OLLAMA_URL", "VLLM_URL", "AZURE_API_KEY", "NVIDIA_API_KEY", "SAFETY_MODEL"):
        monkeypatch.delenv(name, raising=False)


def take(folder: Path, document: Document) -> Conversion:
    path = folder / "old.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return take_over(path)


def valid(text: str, *, switches: bool) -> RunConfig:
    """The run config with what it needs, and with `switches` all that it may have."""
    names = {name for name, form in VARIABLE.findall(text) if form == "}" or (switches and form)}
    values = {name: f"https://{name.replace('_', '')}.test" for name in names}
    regions = {name: "eu-west-1" for name in names if "REGION" in name}
    loaded = interpret(yaml.safe_load(text), {**values, **regions})
    assert loaded.problems + check(loaded) == []
    assert loaded.config is not None
    return loaded.config


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_file_is_taken_over_and_valid(tmp_path: Path, generation: str, distribution: str) -> None:
    taken = take(tmp_path, GENERATIONS[generation](distribution))
    for switches in (False, True):
        assert valid(taken.text, switches=switches).providers["inference"]
    assert taken.foreign
    assert any(line.startswith("inference: ") for line in taken.summary())
    assert "POSTGRES" not in taken.text.replace("#", "")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_read_directly_a_file_says_how_it_is_taken_over(tmp_path: Path, generation: str) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(GENERATIONS[generation]("starter")), "utf-8")
    hint = f"To keep what is served here:\n  llambda init --from {path} --out new.yaml"
    with pytest.raises(ConfigInvalid) as refused:
        load_valid_config(str(path), ())
    assert str(refused.value).endswith(f"\n{hint}")


def test_a_mistake_of_ones_own_is_not_taken_for_the_references(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    provider = entry("remote::vllm", {"url": "http://h", "urll": "x"})
    path.write_text(yaml.safe_dump({"version": 2, "image_name": "a", "providers": {"inference": [provider]}}))
    with pytest.raises(ConfigInvalid) as refused:
        load_valid_config(str(path), ())
    assert "init --from" not in str(refused.value)


def test_the_command_fits_80_columns_and_says_what_it_kept(tmp_path: Path) -> None:
    (tmp_path / "o.yaml").write_text(yaml.safe_dump(GENERATIONS["1.5"]("starter")), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        made = CliRunner().invoke(command, ["--from", "o.yaml", "--out", "n.yaml"])
        again = CliRunner().invoke(validate, ["n.yaml"])
    assert (made.exit_code, again.exit_code) == (0, 0)
    assert [line for line in made.output.splitlines() if len(line) > 80] == []
    assert "Served:\n  inference: ollama, vllm, fireworks" in made.output
    assert "`all` stands for every provider" in " ".join(made.output.split())


def test_what_a_switch_turns_on_later_is_valid_too(tmp_path: Path) -> None:
    text = take(tmp_path, GENERATIONS["1.5"]("starter")).text
    vllm = next(one for one in valid(text, switches=True).providers["inference"] if one.provider_id == "vllm")
    assert vllm.config["tls_verify"] is True
    assert "network" not in vllm.config


def test_models_of_a_provider_that_is_off_are_off_with_it(tmp_path: Path) -> None:
    provider = {**entry("remote::ollama"), "provider_id": "${env.OLLAMA_URL:+ollama}"}
    document = {
        **of_0_1("fireworks"),
        "providers": {"inference": [provider, entry("remote::together")]},
        "models": [{"model_id": "m", "provider_id": "ollama"}],
        "shields": [],
    }
    text = take(tmp_path, document).text
    assert "models" not in valid(text, switches=False).resources or not valid(text, switches=False).resources["models"]
    assert len(valid(text, switches=True).resources["models"]) == 1


def test_passwords_of_databases_that_are_not_served_are_not_copied(tmp_path: Path) -> None:
    document = GENERATIONS["0.3-postgres"]("ollama")
    document["storage"]["backends"]["kv_default"] |= {"password": PASSWORD}
    taken = take(tmp_path, document)
    assert PASSWORD not in taken.text
    assert valid(taken.text, switches=False).metadata_store.type == "sqlite"


def test_the_routing_table_of_2024_becomes_providers(tmp_path: Path) -> None:
    found = valid(take(tmp_path, GENERATIONS["2024-07"]("ollama")).text, switches=False)
    assert [one.provider_type for one in found.providers["inference"]] == ["remote::ollama"]
    assert found.apis == ("inference",)  # its only provider of safety is not here


def test_the_guard_of_2024_is_a_llama_guard(tmp_path: Path) -> None:
    found = valid(take(tmp_path, GENERATIONS["2024-10"]("ollama")).text, switches=True)
    assert [one.provider_type for one in found.providers["safety"]] == ["inline::llama-guard"] * 2
    assert found.name == "local"


def auth(kind: str) -> Document:
    return {**GENERATIONS["0.2"]("ollama"), "server": {"auth": {"provider_config": {"type": kind}}}}


def test_an_auth_provider_that_is_not_here_leaves_nobody_in(tmp_path: Path) -> None:
    found = valid(take(tmp_path, auth("github_token")).text, switches=True)
    assert found.server.auth is not None
    assert [one.type for one in found.server.auth.providers] == ["api_key"]


def test_auth_that_is_switched_on_stays_or_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = GENERATIONS["0.7"]("ollama")
    assert valid(take(tmp_path, document).text, switches=True).server.auth is None
    monkeypatch.setenv("AUTH_PROVIDER", "1")
    with pytest.raises(ConfigInvalid, match=r"server\.auth\."):
        take(tmp_path, document)


@pytest.mark.parametrize(
    "server", [{"tenancy": {"mode": "single"}}, {"auth": {"providers": [{"type": "api_key", "required": "x"}]}}]
)
def test_who_may_call_is_never_left_out_unasked(tmp_path: Path, server: Document) -> None:
    with pytest.raises(ConfigInvalid, match=r"server\."):
        take(tmp_path, {**GENERATIONS["0.2"]("ollama"), "server": server})


def test_an_unknown_key_is_left_out_with_its_reason(tmp_path: Path) -> None:
    document = {**GENERATIONS["0.2"]("ollama"), "brand_new": {"a": 1}, "apis": ["inference", "dreams"]}
    document["providers"]["inference"][0]["config"]["fairness"] = "x"
    document["models"] = [{"model_id": "m", "provider_id": "gone"}, {"model_id": "n", "provider_id": "ollama"}]
    taken = take(tmp_path, document)
    assert [model["model_id"] for model in valid(taken.text, switches=True).resources["models"]] == ["n"]
    for note in (
        "brand_new: unknown key `brand_new`",
        "apis[1]: unknown API `dreams`",
        "providers.inference[0].config.fairness: unknown key `fairness`",
        "models[0].provider_id: no inference provider is called `gone` (configured: ollama)",
    ):
        assert note in taken.notes


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "x", "${env.A", "${env.B:+x}", [], [None], {}, {"a": {}}, [[{}]]]
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(longer for key, item in inner for longer in paths(item, (*path, key)))]


@settings(max_examples=150)
@given(st.sampled_from([*GENERATIONS]), st.sampled_from(DISTRIBUTIONS), st.data())
def test_parts_of_them_and_odd_values_are_taken_over_or_refused(
    tmp_path_factory: pytest.TempPathFactory, generation: str, distribution: str, data: st.DataObject
) -> None:
    document: Any = deepcopy(GENERATIONS[generation](distribution))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(paths(document)[1:]) if document else st.just(("version",)))
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        if data.draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = deepcopy(data.draw(ODD))
    try:
        taken = take(tmp_path_factory.mktemp("odd"), document)
    except ConfigInvalid:
        return
    valid(taken.text, switches=True)
