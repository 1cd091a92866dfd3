"""Which rules hold for which model: by its id, a profile's or an ARN, and what is not known takes everything."""

import pytest

from core.providers.bedrock.converse.families import ALL_CHOICES, FAMILIES, UNKNOWN, Family, Sampling, family_of

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012"


@pytest.mark.parametrize(
    "model",
    [
        SONNET,
        *(f"{region}.{SONNET}" for region in ("us", "eu", "apac", "global", "us-gov", "jp", "au")),
        f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}",
        f"arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.{SONNET}",
        f"{ARN}:custom-model/{SONNET}:200k/abcdefghijkl",
        SONNET.upper(),
    ],
)
def test_a_family_is_found_in_an_id_a_profile_and_an_arn(model: str) -> None:
    assert family_of(model).name == "claude-4.5"


@pytest.mark.parametrize(
    "model",
    [
        "m",
        "",
        "claude-sonnet-4-5",
        "acme.claude-sonnet-4-5",
        f"{ARN}:application-inference-profile/abc123def456",
        f"{ARN}:imported-model/abcdefghijkl",
        f"{ARN}:provisioned-model/abcdefghijkl",
        f"{ARN}:custom-model-deployment/abcdefghijkl",
    ],
)
def test_what_names_no_model_is_of_the_family_that_takes_everything(model: str) -> None:
    assert family_of(model) is UNKNOWN


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("anthropic.claude-instant-v1", "claude-2"),
        ("anthropic.claude-v2:1", "claude-2"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3.5"),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", "claude-3.7"),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "claude-4"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "claude-4.1"),
        ("anthropic.claude-opus-4-6-v1", "claude"),
        ("anthropic.claude-opus-4-7", "claude-4.7"),
        ("anthropic.claude-opus-5", "claude-4.7"),
        ("anthropic.claude-opus-5-20261010-v1:0", "claude-4.7"),
        ("anthropic.claude-fable-5-1", "claude-5.1"),
        ("anthropic.claude-opus-5-5-20261010-v1:0", "claude-5.1"),
        ("anthropic.claude-mythos-preview", "claude"),
        ("amazon.nova-pro-v1:0", "nova"),
        ("amazon.titan-text-express-v1", "titan"),
        ("meta.llama4-scout-17b-instruct-v1:0", "llama"),
        ("mistral.mixtral-8x7b-instruct-v0:1", "mistral-7b"),
        ("mistral.mistral-large-2407-v1:0", "mistral"),
        ("cohere.command-r-plus-v1:0", "cohere"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss"),
        ("deepseek.r1-v1:0", "deepseek-r1"),
        ("deepseek.v3-v1:0", "deepseek"),
        ("qwen.qwen3-32b-v1:0", "qwen"),
        ("ai21.jamba-1-5-large-v1:0", "jamba"),
        ("writer.palmyra-x5-v1:0", "writer"),
        ("moonshotai.kimi-k2.5", "open"),
    ],
)
def test_a_models_id_says_its_generation(model: str, wanted: str) -> None:
    assert family_of(model).name == wanted


def test_what_takes_tools_is_what_the_user_guide_says() -> None:
    without = ["anthropic.claude-v2", "amazon.titan-text-lite-v1", "meta.llama3-8b-instruct-v1:0"]
    without += ["meta.llama3-2-1b-instruct-v1:0", "mistral.mistral-7b-instruct-v0:2", "deepseek.r1-v1:0"]
    assert not any(
        family_of(model).tools for model in [*without, "cohere.command-text-v14", "ai21.jamba-instruct-v1:0"]
    )
    assert all(
        family_of(model).tools for model in ["meta.llama3-1-8b-instruct-v1:0", "meta.llama3-3-70b-instruct-v1:0"]
    )


def test_sampling_narrowed_with_the_generations() -> None:
    models = ["claude-3-7-sonnet-20250219-v1:0", "claude-sonnet-4-6", "claude-opus-4-7"]
    assert [family_of(f"anthropic.{model}").sampling for model in models] == [*Sampling]


def test_a_family_refuses_what_can_be_said_otherwise_and_no_words() -> None:
    families: list[Family] = [family for rows in FAMILIES.values() for _, family in rows]
    assert all("text" in family.in_results for family in families)
    assert all(family.choices <= ALL_CHOICES for family in families)
