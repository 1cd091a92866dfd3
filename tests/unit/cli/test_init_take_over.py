"""`llambda init --from`: what is served stays, what is not is left out with its reason, and mistakes are the user's to mend."""

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
import pytest
import yaml

from core.cli.init.command import command
from core.cli.init.take_over import Conversion, take_over
from core.config.document import RunConfig
from core.config.load import interpret
from core.config.problems import ConfigInvalid
from core.resolution.check import check
from tests.parts.secrets import plant

SECRET = plant("literal-key-in-an-old-run-config")
OTHER = plant("another-key-in-an-old-run-config")
VLLM: dict[str, Any] = {"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"url": "http://gpu:8000/v1"}}
INLINE: dict[str, Any] = {"provider_id": "st", "provider_type": "inline::sentence-transformers", "config": {}}
OPENAI: dict[str, Any] = {"provider_id": "openai", "provider_type": "remote::openai", "config": {}}
type Document = dict[str, Any]


def old(inference: list[Document] | None = None, **more: Any) -> Document:
    providers = {"inference": inference or [VLLM], **more.pop("providers", {})}
    store = {"type": "sqlite", "db_path": "./registry.db"}
    return {"version": "2", "image_name": "old", "providers": providers, "metadata_store": store, **more}


def take(folder: Path, document: Document | str) -> Conversion:
    text = document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False)
    (folder / "old.yaml").write_text(text, "utf-8")
    return take_over(folder / "old.yaml")


def config(taken: Conversion, **variables: str) -> RunConfig:
    loaded = interpret(yaml.safe_load(taken.text), variables)
    assert loaded.problems + check(loaded) == []
    assert loaded.config is not None
    return loaded.config


def refusal(folder: Path, document: Document | str) -> dict[str, str]:
    with pytest.raises(ConfigInvalid) as refused:
        take(folder, document)
    return {problem.path: problem.message for problem in refused.value.problems}


def test_a_run_config_that_is_served_whole_stays_as_it_is(tmp_path: Path) -> None:
    document = old(apis=["inference"], models=[{"model_id": "m", "provider_id": "vllm"}], server={"port": 9000})
    taken = take(tmp_path, document)
    assert (yaml.safe_load(taken.text), taken.notes) == (document, [])


def test_apis_that_are_not_here_are_left_out_with_their_providers(tmp_path: Path) -> None:
    telemetry = [{"provider_id": "meta-reference", "provider_type": "inline::meta-reference", "config": {"a": 1}}]
    training = [{"provider_id": "torchtune", "provider_type": "inline::torchtune-cpu", "config": {}}]
    document = old(
        apis=["telemetry", "inference", "memory", "post_training", "models"],
        providers={"telemetry": telemetry, "post_training": training, "memory": []},
        vector_dbs=[],
        inference_store={"type": "sqlite", "db_path": "./inference.db"},
        server={"port": 9000, "workers": 4},
    )
    taken = take(tmp_path, document)
    found = config(taken)
    assert (found.apis, [*found.providers], found.resources, found.unused) == (("inference",), ["inference"], {}, {})
    assert found.server.port == 9000
    starts = [
        "apis[0]: API `telemetry` is not in this build, which serves: ",
        "apis[3]: API `post_training` is not in this build, which serves: ",
        "providers.telemetry: API `telemetry` is not in this build (meta-reference)",
        "providers.post_training: API `post_training` is not in this build (torchtune)",
        "server.workers: ",
        "apis[2]: no provider serves API `vector_io`: ",
    ]
    assert len(taken.notes) == len(starts)
    assert all(note.startswith(start) for note, start in zip(taken.notes, starts, strict=True))
    assert all(f"#   {note}\n" in taken.text for note in taken.notes)


def test_agents_stay_for_the_responses_that_their_provider_serves(tmp_path: Path) -> None:
    store = {"type": "sqlite", "db_path": "./agents.db"}
    entry = {"provider_id": "meta-reference", "provider_type": "inline::meta-reference"}
    agents = [{**entry, "config": {"persistence_store": store, "responses_store": store}}]
    taken = take(tmp_path, old(apis=["agents", "inference"], providers={"agents": agents}))
    found = config(taken)
    assert sorted(found.apis) == ["inference", "responses"]
    assert [entry.provider_id for entry in found.providers["responses"]] == ["meta-reference"]
    assert taken.notes == []
    foreign = [{**entry, "provider_type": "inline::mine", "config": {}}]
    taken = take(tmp_path, old(apis=["agents", "inference"], providers={"agents": foreign}))
    assert (config(taken).apis, len(taken.notes)) == (("inference",), 2)


@pytest.mark.parametrize("nested", [False, True])
def test_a_provider_that_is_not_here_takes_its_models_with_it(tmp_path: Path, *, nested: bool) -> None:
    models = [
        {"model_id": "e", "provider_id": "st", "model_type": "embedding"},
        {"model_id": "m", "provider_id": "vllm"},
    ]
    where: Document = {"registered_resources": {"models": models}} if nested else {"models": models}
    taken = take(tmp_path, old([INLINE, VLLM], **where))
    found = config(taken)
    assert [entry.provider_id for entry in found.providers["inference"]] == ["vllm"]
    assert [model["model_id"] for model in found.resources["models"]] == ["m"]
    prefix = "registered_resources." if nested else ""
    assert taken.notes[0].startswith("providers.inference[0] (st): `inline::sentence-transformers` ")
    assert taken.notes[1] == f"{prefix}models[0] (e): its provider `st` is left out"


def test_a_model_of_a_provider_that_a_variable_switches_on_goes_with_it(tmp_path: Path) -> None:
    switched = {**INLINE, "provider_id": "${env.LLAMBDA_TEST_ST:+st}"}
    document = old(
        [switched, VLLM], models=[{"model_id": "e", "provider_id": "st"}, {"model_id": "m", "provider_id": "vllm"}]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLAMBDA_TEST_ST", "1")
        found = config(take(tmp_path, document), LLAMBDA_TEST_ST="1")
    assert [model["model_id"] for model in found.resources["models"]] == ["m"]


def test_the_first_model_of_a_name_stays(tmp_path: Path) -> None:
    models = [{"model_id": "m", "provider_id": "vllm", "provider_model_id": name} for name in ("first", "second")]
    taken = take(tmp_path, old(models=models))
    assert [model["provider_model_id"] for model in config(taken).resources["models"]] == ["first"]
    assert taken.notes == ["models[1] (m): the name is already used by models[0]"]


def test_a_name_is_free_again_when_the_model_that_had_it_is_left_out(tmp_path: Path) -> None:
    models = [{"model_id": "m", "provider_id": "st"}, {"model_id": "m", "provider_id": "vllm"}]
    assert len(config(take(tmp_path, old([INLINE, VLLM], models=models))).resources["models"]) == 1


@pytest.mark.parametrize(
    ("vendor", "model", "own"),
    [
        ("openai", {"model_id": "a", "provider_model_id": "openai/gpt-4o"}, "gpt-4o"),
        ("openai", {"model_id": "openai/gpt-4o"}, "gpt-4o"),
        ("groq", {"model_id": "a", "provider_model_id": "groq/meta-llama/llama-4"}, "meta-llama/llama-4"),
        ("groq", {"model_id": "a", "provider_model_id": "groq/compound-mini"}, "groq/compound-mini"),
        ("anthropic", {"model_id": "a", "provider_model_id": "claude"}, "claude"),
        ("together", {"model_id": "a", "provider_model_id": "together/m"}, "together/m"),
    ],
)
def test_litellms_prefix_is_taken_off_the_names_of_models(
    tmp_path: Path, vendor: str, model: Document, own: str
) -> None:
    provider = {"provider_id": "p", "provider_type": f"remote::{vendor}", "config": {}}
    taken = take(tmp_path, old([provider], models=[{**model, "provider_id": "p"}]))
    (found,) = config(taken).resources["models"]
    assert (found["model_id"], found["provider_model_id"] or found["model_id"]) == (model["model_id"], own)
    assert len(taken.notes) == (own not in model.values())


def test_state_that_is_not_served_here_goes_to_sqlite(tmp_path: Path) -> None:
    taken = take(tmp_path, old(metadata_store={"type": "postgres", "host": "db", "password": SECRET}))
    assert config(taken).metadata_store.type == "sqlite"
    assert taken.notes == ["metadata_store: `postgres` is not served here; state is in SQLite, under ~/.llambda"]
    assert SECRET not in taken.text


def test_secrets_move_to_the_environment(tmp_path: Path) -> None:
    first, second = ({**OPENAI, "provider_id": name, "config": {"api_key": SECRET}} for name in ("a-1", "b"))
    third = {**OPENAI, "provider_id": "a_1", "config": {"api_key": OTHER}}
    kept = {**VLLM, "config": {**VLLM["config"], "api_token": "${env.TOKEN:=fake}"}}
    introspection = {"url": "https://login.example.com/i", "client_id": "c", "client_secret": OTHER}
    auth = {"providers": [{"type": "oauth2_token", "introspection": introspection}]}
    taken = take(tmp_path, old([INLINE, first, second, third, kept], server={"auth": auth}))
    assert SECRET not in taken.text
    assert OTHER not in taken.text
    assert "${env.TOKEN:=fake}" in taken.text
    names = {"A_1_API_KEY": SECRET, "B_API_KEY": SECRET, "A_1_API_KEY_2": OTHER, "AUTH_CLIENT_SECRET": OTHER}
    found = config(taken, **names)
    assert [entry.config.get("api_key") for entry in found.providers["inference"]] == [SECRET, SECRET, OTHER, None]
    assert taken.notes[1:] == [
        "providers.inference[1].config.api_key: the secret here is now read from A_1_API_KEY; set that variable",
        "providers.inference[2].config.api_key: the secret here is now read from B_API_KEY; set that variable",
        "providers.inference[3].config.api_key: the secret here is now read from A_1_API_KEY_2; set that variable",
        "server.auth.providers[0].introspection.client_secret: the secret here is now read from AUTH_CLIENT_SECRET; set that variable",
    ]


def test_what_only_looks_like_a_secret_stays(tmp_path: Path) -> None:
    vllm = {**VLLM, "config": {**VLLM["config"], "api_token": "fake"}}
    pool = {"type": "cognito", "user_pool_id": "us-east-1_AbCdEfGhI", "client_ids": "a", "token_use": "access"}
    document = old([vllm], server={"auth": {"providers": [pool]}})
    taken = take(tmp_path, document)
    assert (yaml.safe_load(taken.text), taken.notes) == (document, [])


def test_a_provider_of_a_package_that_is_missing_is_not_left_out_but_reported(tmp_path: Path) -> None:
    own = {"provider_id": "own", "provider_type": "remote::own", "module": "llambda_test_nowhere==1.0", "config": {}}
    assert all(path.startswith("providers.inference[1].") for path in refusal(tmp_path, old([VLLM, own])))


def test_a_provider_of_an_external_directory_that_cannot_be_loaded_is_reported_too(tmp_path: Path) -> None:
    spec = {
        "adapter_type": "own",
        "pip_packages": [],
        "config_class": "llambda_test_nowhere.C",
        "module": "llambda_test_nowhere",
    }
    folder = tmp_path / "external" / "remote" / "inference"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(yaml.safe_dump({"adapter": spec, "api_dependencies": []}))
    own = {"provider_id": "own", "provider_type": "remote::own", "config": {}}
    refused = refusal(tmp_path, old([VLLM, own], external_providers_dir=str(tmp_path / "external")))
    assert refused.keys() == {"providers.inference[1].provider_type"}


def test_variables_stay_variables_and_need_not_be_set(tmp_path: Path) -> None:
    document = old(
        [{**VLLM, "config": {"url": "${env.LLAMBDA_TEST_URL}"}}],
        models=[{"model_id": "${env.LLAMBDA_TEST_MODEL}", "provider_id": "vllm"}],
    )
    found = config(take(tmp_path, document), LLAMBDA_TEST_URL="http://h:1", LLAMBDA_TEST_MODEL="m")
    assert found.providers["inference"][0].config["url"] == "http://h:1"
    made = invoke(tmp_path)
    assert "  LLAMBDA_TEST_URL\n  LLAMBDA_TEST_MODEL\n" in made.output


def test_mistakes_of_what_stays_are_named_where_they_were_written(tmp_path: Path) -> None:
    wrong = {**VLLM, "config": {"url": "gpu:8000", "urll": "x"}}
    models = [{"model_id": "e", "provider_id": "st"}, {"model_id": "m", "provider_id": "vlm"}]
    assert set(refusal(tmp_path, old([INLINE, wrong], models=models))) == {
        "providers.inference[1].config.url",
        "providers.inference[1].config.urll",
        "models[1].provider_id",
    }


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (old([INLINE]), "providers.inference[0] (st)"),
        (old([{"provider_id": "a"}]), "providers.inference[0].provider_type"),
        (old(server={"tenancy": {"on": True}}), "server.tenancy"),
        ({"version": 2, "image_name": "t"}, "providers.inference"),
        ({"version": 2, "image_name": "t", "providers": "all"}, "providers.inference"),
        ("- a\n", ""),
        ("a: [", ""),
        ("", ""),
        ("image_name: t\nproviders: &a\n  inference: [*a]\n", ""),
    ],
)
def test_what_cannot_be_taken_over_is_refused_with_its_place(
    tmp_path: Path, document: Document | str, path: str
) -> None:
    assert path in refusal(tmp_path, document)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="there is no such file"):
        take_over(tmp_path / "nothing.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["apis", "providers", "models", "shields", "server", "metadata_store", "registered_resources"])


@given(st.dictionaries(KEYS, JSON, max_size=4), JSON)
def test_documents_of_any_shape_are_taken_over_or_refused(
    tmp_path_factory: pytest.TempPathFactory, parts: Document, inference: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for document in (old() | parts, old(providers={"inference": inference}), {"providers": {"inference": inference}}):
        try:
            taken = take(folder, document)
        except ConfigInvalid:
            continue
        config(taken)


def invoke(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(command, ["--from", str(folder / "old.yaml"), "--out", str(folder / "run.yaml"), *more])


def test_the_command_says_what_it_left_out_and_what_to_do_next(tmp_path: Path) -> None:
    taken = take(tmp_path, old([INLINE, VLLM]))
    made = invoke(tmp_path)
    assert (made.exit_code, (tmp_path / "run.yaml").read_text("utf-8")) == (0, taken.text)
    assert f"Left out or changed: {taken.notes[0]} " in " ".join(made.output.split())
    assert f"  llambda serve {tmp_path / 'run.yaml'}\n" in made.output
    assert invoke(tmp_path).exit_code == 2
    assert invoke(tmp_path, "--force").exit_code == 0


def test_answers_are_of_no_use_beside_a_file(tmp_path: Path) -> None:
    take(tmp_path, old())
    made = invoke(tmp_path, "--model", "m", "--db-path", "x")
    assert made.exit_code == 2
    assert "--model, --db-path: of no use with --from" in " ".join(made.output.split())


def test_names_that_are_not_printable_do_no_harm(tmp_path: Path) -> None:
    odd = {**INLINE, "provider_id": "a\x07\nb\x1b[31m"}
    taken = take(tmp_path, old([odd, VLLM]))
    assert len(config(taken).providers["inference"]) == 1
    assert taken.notes[0].startswith("providers.inference[0] (a? b?[31m): ")
