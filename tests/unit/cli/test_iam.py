"""`llambda iam`: a policy on the standard output, notes beside it, and mistakes that say what to give."""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from core.cli.main import main

ACCOUNT: Final = "123456789012"
ROLE: Final = "arn:aws:iam::210987654321:role/team/bedrock"
NOVA: Final = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-v1:0"
BEHIND: Final = "arn:aws:bedrock:us-east-2::foundation-model/claude-v1:0"
PROVIDERS: Final = {
    "inference": [
        {"provider_id": "near", "provider_type": "remote::bedrock", "config": {"region_name": "us-east-1"}},
        {
            "provider_id": "far",
            "provider_type": "remote::bedrock",
            "config": {"region_name": "eu-west-1", "role_arn": ROLE},
        },
        {"provider_id": "vllm", "provider_type": "remote::vllm", "config": {"url": "http://127.0.0.1:9/v1"}},
    ],
    "safety": [{"provider_id": "guard", "provider_type": "remote::bedrock", "config": {}}],
}

type Iam = Callable[..., dict[str, Any]]


def model(id_: str, provider: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"model_id": id_, "provider_id": provider, "provider_model_id": name, **more}


def written(folder: Path, *models: dict[str, Any], **more: Any) -> str:
    path = folder / "run.yaml"
    store = {"type": "sqlite", "db_path": str(folder / "registry.db")}
    document = {"version": 2, "image_name": "t", "providers": PROVIDERS, "metadata_store": store, "models": [*models]}
    path.write_text(yaml.safe_dump(document | more))
    return str(path)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def iam(capsys: pytest.CaptureFixture[str]) -> Iam:
    """The resources of each statement, by its Sid."""

    def run(*arguments: str) -> dict[str, Any]:
        assert main(["iam", *arguments]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["Version"] == "2012-10-17"
        return {statement["Sid"]: statement["Resource"] for statement in document["Statement"]}

    return run


def test_an_arn_needs_neither_account_nor_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written(tmp_path, model("a", "near", NOVA), model("b", "vllm", "other"))
    assert main(["iam", config]) == 0
    printed = capsys.readouterr()
    found = {each["Sid"]: each["Resource"] for each in json.loads(printed.out)["Statement"]}
    assert found == {"AssumeRoles": [ROLE], "List": ["*"], "CallModels": [NOVA]}
    assert "note: model" not in printed.err


def test_an_id_is_allowed_by_both_of_its_arns_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam", written(tmp_path, model("us.claude", "near")), "--account", ACCOUNT]) == 0
    printed = capsys.readouterr()
    [statement] = [each for each in json.loads(printed.out)["Statement"] if each["Sid"] == "CallModels"]
    assert statement["Resource"] == [
        f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.claude",
        "arn:aws:bedrock:us-east-1::foundation-model/us.claude",
    ]
    assert "model `us.claude`: this may be a model or an inference profile" in printed.err
    assert "--lookup" in printed.err


def test_metadata_says_what_an_inference_profile_calls(tmp_path: Path, iam: Iam) -> None:
    profile = {"inference_profile": {"models": [BEHIND]}}
    config = written(tmp_path, model("claude", "near", "us.claude", metadata=profile))
    found = iam(config, "--account", ACCOUNT)
    assert found["CallModels"] == [f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.claude"]
    assert found["CallModelsBehindProfiles"] == [BEHIND]


def test_what_is_done_in_a_role_is_that_roles_policy(tmp_path: Path, iam: Iam) -> None:
    """With the role's own account."""
    config = written(tmp_path, model("a", "near", NOVA), model("eu.claude", "far"))
    assert "CallModels" in iam(config)
    found = iam(config, "--role", ROLE)
    assert found["CallModels"] == [
        "arn:aws:bedrock:eu-west-1:210987654321:inference-profile/eu.claude",
        "arn:aws:bedrock:eu-west-1::foundation-model/eu.claude",
    ]
    assert "AssumeRoles" not in found


def test_targets_are_models_too(tmp_path: Path, iam: Iam) -> None:
    far = "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-v1:0"
    targets = [{"provider_id": "far", "provider_model_id": far}, {"provider_id": "vllm", "provider_model_id": "x"}]
    config = written(tmp_path, model("a", "near", NOVA, metadata={"targets": targets}))
    assert iam(config)["CallModels"] == [NOVA]
    assert iam(config, "--role", ROLE)["CallModels"] == [far]


def test_a_target_of_the_same_name_is_the_same_profile(tmp_path: Path, iam: Iam) -> None:
    targets = [{"provider_id": name, "provider_model_id": "eu.claude"} for name in ("near", "far")]
    metadata = {"targets": targets, "inference_profile": {"models": [BEHIND]}}
    config = written(tmp_path, model("claude", "near", "eu.claude", metadata=metadata))
    assert iam(config, "--account", ACCOUNT)["CallModels"] == [
        f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/eu.claude"
    ]
    assert iam(config, "--role", ROLE)["CallModelsBehindProfiles"] == [BEHIND]


def test_a_target_of_another_name_is_not_that_profile(tmp_path: Path, iam: Iam) -> None:
    targets = [{"provider_id": "far", "provider_model_id": "eu.claude"}]
    metadata = {"targets": targets, "inference_profile": {"models": [BEHIND]}}
    config = written(tmp_path, model("claude", "near", "us.claude", metadata=metadata))
    assert "CallModelsBehindProfiles" not in iam(config, "--role", ROLE)


def test_a_providers_own_region_goes_before_the_option(tmp_path: Path, iam: Iam) -> None:
    found = iam(written(tmp_path, model("us.claude", "near")), "--account", ACCOUNT, "--region", "us-west-2")
    assert "arn:aws:bedrock:us-east-1::foundation-model/us.claude" in found["CallModels"]


def test_embeddings_are_allowed_what_they_need(tmp_path: Path, iam: Iam) -> None:
    embedding = model("e", "near", NOVA, model_type="embedding", metadata={"embedding_dimension": 8})
    found = iam(written(tmp_path, embedding))
    assert found["Embed"] == [NOVA]
    assert "CallModels" not in found


def test_guardrails_of_shields_are_applied(tmp_path: Path, iam: Iam) -> None:
    other = "arn:aws:bedrock:us-west-2:123456789012:guardrail/gr2"
    params = {"guardrailVersion": "1"}
    shields = [{"provider_shield_id": "gr1", "params": params}, {"provider_shield_id": other, "params": params}]
    found = iam(written(tmp_path, shields=shields), "--account", ACCOUNT, "--region", "us-gov-west-1")
    assert found["ApplyGuardrails"] == sorted([f"arn:aws-us-gov:bedrock:us-gov-west-1:{ACCOUNT}:guardrail/gr1", other])


def test_a_guardrail_is_where_the_safety_provider_of_that_name_is(tmp_path: Path, iam: Iam) -> None:
    config = {"region_name": "us-west-2"}
    safety = [{"provider_id": "near", "provider_type": "remote::bedrock", "config": config}]
    shields = [{"provider_shield_id": "gr1", "params": {"guardrailVersion": "1"}}]
    path = written(tmp_path, model("a", "near", NOVA), providers=PROVIDERS | {"safety": safety}, shields=shields)
    found = iam(path, "--account", ACCOUNT)
    assert found["ApplyGuardrails"] == [f"arn:aws:bedrock:us-west-2:{ACCOUNT}:guardrail/gr1"]


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_region_is_the_environments_where_nothing_else_says_it(
    tmp_path: Path, iam: Iam, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "cn-north-1")
    shields = [{"provider_shield_id": "gr1", "params": {"guardrailVersion": "1"}}]
    found = iam(written(tmp_path, model("a", "near", NOVA), shields=shields), "--account", ACCOUNT)
    assert found["ApplyGuardrails"] == [f"arn:aws-cn:bedrock:cn-north-1:{ACCOUNT}:guardrail/gr1"]


def test_partition_can_be_given(tmp_path: Path, iam: Iam) -> None:
    shields = [{"provider_shield_id": "gr1", "params": {"guardrailVersion": "1"}}]
    options = ("--account", ACCOUNT, "--region", "xx-nowhere-1", "--partition", "aws-iso")
    assert iam(written(tmp_path, shields=shields), *options)["ApplyGuardrails"] == [
        f"arn:aws-iso:bedrock:xx-nowhere-1:{ACCOUNT}:guardrail/gr1"
    ]


def test_parameters_are_ready_for_sam_deploy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shields = [{"provider_shield_id": "gr1", "params": {"guardrailVersion": "1"}}]
    config = written(tmp_path, model("a", "near", NOVA), shields=shields)
    assert main(["iam", config, "--account", ACCOUNT, "--region", "us-east-1", "--format", "parameters"]) == 0
    assert capsys.readouterr().out.split() == [
        "BedrockRegion=us-east-1",
        f"BedrockModelArns={NOVA}",
        f"BedrockGuardrailArns=arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/gr1",
        f"BedrockRoleArns={ROLE}",
    ]


def test_sam_has_the_same_statements_under_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written(tmp_path, model("a", "near", NOVA))
    assert main(["iam", config]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["iam", config, "--format", "sam"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {"Policies": [document]}


def test_a_config_without_bedrock_has_an_empty_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam", "starter"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"Version": "2012-10-17", "Statement": []}
    assert "uses nothing of Bedrock" in printed.err


def test_notes_say_which_roles_keys_and_providers_the_policy_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "s3cret-of-the-tests"}
    safety = [{"provider_id": "guard", "provider_type": "remote::bedrock", "config": keys}]
    assert main(["iam", written(tmp_path, model("a", "far", NOVA), providers=PROVIDERS | {"safety": safety})]) == 0
    printed = capsys.readouterr()
    for words in (f"--role {ROLE}", "provider `guard` has keys of its own", "no model is declared on provider `near`"):
        assert words in printed.err
    assert "s3cret" not in printed.err + printed.out


@pytest.mark.parametrize(
    ("name", "more", "options", "words"),
    [
        ("us.claude", {}, [], "model `us.claude`: its ARN needs the account: give --account"),
        ("claude*", {}, ["--account", ACCOUNT], "neither an id nor an ARN"),
        ("arn:aws:bedrock:us-east-1::foundation-model/*", {}, [], "neither an id nor an ARN"),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/x", {}, [], "neither an id nor an ARN"),
        ("arn:aws:bedrock:us-east-1", {}, ["--account", ACCOUNT], "neither an id nor an ARN"),
        ("us.claude", {"inference_profile": {"model": []}}, ["--account", ACCOUNT], "metadata.inference_profile must"),
        ("us.claude", {"inference_profile": {"models": []}}, ["--account", ACCOUNT], "metadata.inference_profile must"),
        ("us.claude", {"inference_profile": {"models": ["x"]}}, ["--account", ACCOUNT], "ARNs of foundation models"),
        ("us.claude", {"inference_profile": [BEHIND]}, ["--account", ACCOUNT], "metadata.inference_profile must"),
        (NOVA, {"inference_profile": {"models": [BEHIND]}}, [], "by its ARN it is no inference profile"),
        (
            NOVA,
            {},
            ["--role", "arn:aws:iam::1:role/x"],
            f"no provider assumes `arn:aws:iam::1:role/x` (role_arn: {ROLE}",
        ),
        (NOVA, {}, ["--role", ROLE, "--format", "parameters"], "makes no such role"),
    ],
)
def test_a_mistake_exits_with_2_prints_no_policy_and_says_what_to_do(
    name: str,
    more: dict[str, Any],
    options: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["iam", written(tmp_path, model("m", "near", name, metadata=more)), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err


@pytest.mark.parametrize(
    ("shield", "options", "words"),
    [
        ("gr1", [], "guardrail `gr1`: its region is not known"),
        ("gr1", ["--region", "us-east-1"], "needs the account"),
        ("gr1", ["--region", "xx-nowhere-1", "--account", ACCOUNT], "give --partition"),
        (NOVA, [], "neither an id nor an ARN"),
    ],
)
def test_a_guardrail_that_cannot_be_named_exits_with_2(
    shield: str, options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shields = [{"provider_shield_id": shield, "params": {"guardrailVersion": "1"}}]
    assert main(["iam", written(tmp_path, shields=shields), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_role_with_a_wildcard_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"region_name": "us-east-1", "role_arn": "arn:aws:iam::210987654321:role/*"}
    inference = [{"provider_id": "far", "provider_type": "remote::bedrock", "config": config}]
    assert main(["iam", written(tmp_path, providers={"inference": inference})]) == 2
    assert "is not the ARN of one role" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "roles"),
    [
        ({"aws_role_arn": ROLE}, [ROLE]),
        ({"role_arn": ROLE, "role_external_id": "ab"}, [ROLE]),
        ({"aws_role_arn": ROLE, "aws_web_identity_token_file": "/var/token"}, []),  # the role's trust alone allows it
        ({"aws_role_arn": ROLE, "api_key": "${env.LLAMBDA_TEST_KEY:=key}"}, []),
    ],
)
def test_a_role_is_assumed_by_whoever_has_the_right_to(
    config: dict[str, str], roles: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"provider_id": "far", "provider_type": "remote::bedrock", "config": {"region_name": "us-east-1", **config}}
    path = written(tmp_path, providers={"inference": [entry]})
    assert main(["iam", path]) == 0
    printed = capsys.readouterr()
    found = {each["Sid"]: each["Resource"] for each in json.loads(printed.out)["Statement"]}
    assert found.get("AssumeRoles", []) == roles
    assert ("has keys of its own" in printed.err) == ("api_key" in config)
    if "api_key" not in config:
        assert main(["iam", path, "--role", ROLE]) == 0


def test_mistakes_of_the_config_are_those_of_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = written(tmp_path, model("a", "nea", NOVA))
    assert main(["config", "validate", bad]) == 2
    report = capsys.readouterr().err
    assert main(["iam", bad]) == 2
    assert capsys.readouterr().err == report


@pytest.mark.parametrize(
    "option", [("--region", "US"), ("--account", "1234"), ("--partition", "gcp"), ("--region", ""), ("--format", "xml")]
)
def test_wrong_usage_exits_with_2(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam", "starter", *option]) == 2
    assert option[0] in capsys.readouterr().err


def test_the_distribution_for_bedrock_gives_a_policy_without_its_keys(
    iam: Iam, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "AWS_REGION": "us-east-1",
        "GUARDRAIL_ID": "gr1234567890",
        "GUARDRAIL_VERSION": "1",
        "INFERENCE_MODEL": NOVA,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert iam("bedrock", "--account", ACCOUNT) == {
        "List": ["*"],
        "CallModels": [NOVA],
        "ApplyGuardrails": [f"arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/gr1234567890"],
    }


SECRET: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:openai-AbCdEf"
PARAMETER: Final = "arn:aws:ssm:us-east-1:123456789012:parameter/llambda/groq"


def with_secrets(folder: Path) -> str:
    keys = (f"aws-secretsmanager:{SECRET}#key", f"aws-ssm:{PARAMETER}", "aws-ssm:/by/name", "sk-plain")
    rows = [
        {"provider_id": f"p{number}", "provider_type": "remote::openai", "config": {"api_key": key}}
        for number, key in enumerate(keys)
    ]
    return written(folder, providers={"inference": rows})


def test_secrets_that_the_run_config_names_may_be_read(
    iam: Iam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_secrets(tmp_path)
    assert iam(config) == {"ReadSecrets": [SECRET], "ReadParameters": [PARAMETER]}
    assert main(["iam", config, "--format", "parameters"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [f"SecretArns={SECRET}", f"SsmParameterArns={PARAMETER}"]
    assert "`/by/name`: name it by its ARN" in said.err
    assert "sk-plain" not in said.out + said.err


def test_who_reranks_may_do_that_too_and_needs_no_streams(tmp_path: Path, iam: Iam) -> None:
    ranker = "arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0"
    found = iam(written(tmp_path, model("a", "near", ranker, model_type="rerank")))
    assert (found["Embed"], found["Rerank"]) == ([ranker], ["*"])
    assert "CallModels" not in found
    assert "Rerank" not in iam(written(tmp_path, model("a", "near", NOVA)))
