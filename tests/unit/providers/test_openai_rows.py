"""The rows of the table: where each remote is, what its config takes, what it refuses and what it never says."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.config.load import interpret
from core.providers.openai.compatible import OpenAICompatible
from core.providers.openai.config import config_of
from core.providers.openai.rows import ROWS, Row, api_root
from core.resolution.check import check
from tests.parts.secrets import plant

KEY = plant("key-of-the-operator-in-a-row")
DEFAULTS = {
    "remote::ollama": "http://localhost:11434/v1",
    "remote::llama-cpp-server": "http://localhost:8080/v1",
    "remote::hf::serverless": "https://router.huggingface.co/v1",
    "remote::openai": "https://api.openai.com/v1",
    "remote::anthropic": "https://api.anthropic.com/v1",
    "remote::gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "remote::fireworks": "https://api.fireworks.ai/inference/v1",
    "remote::fireworks-openai-compat": "https://api.fireworks.ai/inference/v1",
    "remote::together": "https://api.together.xyz/v1",
    "remote::together-openai-compat": "https://api.together.xyz/v1",
    "remote::groq": "https://api.groq.com/openai/v1",
    "remote::groq-openai-compat": "https://api.groq.com/openai/v1",
    "remote::cerebras": "https://api.cerebras.ai/v1",
    "remote::cerebras-openai-compat": "https://api.cerebras.ai/v1",
    "remote::sambanova": "https://api.sambanova.ai/v1",
    "remote::sambanova-openai-compat": "https://api.sambanova.ai/v1",
    "remote::deepseek": "https://api.deepseek.com/v1",
    "remote::nvidia": "https://integrate.api.nvidia.com/v1",
    "remote::llama-openai-compat": "https://api.llama.com/compat/v1",
}
URLS = [
    ("remote::groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
    ("remote::groq", "https://api.groq.com/openai", "https://api.groq.com/openai/v1"),
    ("remote::groq", "https://gateway.example.com/groq/v1/", "https://gateway.example.com/groq/v1"),
    ("remote::cerebras", "https://api.cerebras.ai", "https://api.cerebras.ai/v1"),
    ("remote::llama-openai-compat", "https://api.llama.com/compat/v1/", "https://api.llama.com/compat/v1"),
    ("remote::gemini", "https://g.example.com/v1beta", "https://g.example.com/v1beta/openai"),
    ("remote::databricks", "https://dbc.example.com/", "https://dbc.example.com/serving-endpoints"),
    ("remote::databricks", "https://dbc.example.com/serving-endpoints", "https://dbc.example.com/serving-endpoints"),
    ("remote::runpod", "https://api.runpod.ai/v2/abc", "https://api.runpod.ai/v2/abc/openai/v1"),
    ("remote::runpod", "https://api.runpod.ai/v2/abc/openai/v1", "https://api.runpod.ai/v2/abc/openai/v1"),
    ("remote::passthrough", "https://stack.example.com/v1/openai/v1", "https://stack.example.com/v1/openai/v1"),
]
rows = pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))


def config(row: Row, **more: object) -> dict[str, object]:
    return {row.urls[-1]: "http://u", row.keys[0]: KEY, **more}


def address(provider_type: str, **given_: object) -> str:
    return config_of(provider_type).model_validate(given_).remote("p").base_url


@rows
def test_without_a_url_a_remote_is_at_its_vendors_or_its_config_is_refused(row: Row) -> None:
    if row.provider_type in DEFAULTS:
        assert address(row.provider_type) == DEFAULTS[row.provider_type]
    else:
        with pytest.raises(ValueError, match=r"give `url` \(or its newer name `base_url`\), and only one of them"):
            config_of(row.provider_type).model_validate({})


@pytest.mark.parametrize(("provider_type", "url", "expected"), URLS)
def test_a_url_gets_what_it_lacks_of_the_vendors_root(provider_type: str, url: str, expected: str) -> None:
    for name in ROWS[provider_type].urls:
        assert address(provider_type, **{name: url}) == expected


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://h.example.com/v1/chat/completions", "https://h.example.com/v1"),
        ("https://h.example.com:8443/api/v1/chat/completions/", "https://h.example.com:8443/api/v1"),
        ("https://h.example.com/V1/Chat/Completions", "https://h.example.com/V1"),
        ("http://h//v1//completions//", "http://h/v1"),
        ("http://h/chat/completions", "http://h"),
        ("http://h/v1/embeddings?api-version=1", "http://h/v1, with its query behind"),
        ("http://ada:pass@h/v1/embeddings#x", "http://h/v1"),
        ("http://h/v1/models", "http://h/v1"),
        ("http://h/v1/responses", "http://h/v1"),
        ("http://h:11434/api/chat", "http://h:11434"),
        ("http://h:11434/api/generate", "http://h:11434"),
        ("https://dbc.example.com/serving-endpoints/m/invocations", "https://dbc.example.com/serving-endpoints"),
    ],
)
def test_the_url_of_one_endpoint_is_refused_with_what_to_write(url: str, api: str) -> None:
    for row in (ROWS["remote::vllm"], ROWS["remote::databricks"], ROWS["remote::llama-openai-compat"]):
        for name in row.urls:
            entry = {"provider_id": "p", "provider_type": row.provider_type, "config": {name: url, row.keys[0]: KEY}}
            problems = check(interpret({"image_name": "t", "providers": {"inference": [entry]}}, {}))
            assert [problem.path for problem in problems] == [f"providers.inference[0].config.{name}"]
            assert problems[0].message.endswith(f": write {api}")


@pytest.mark.parametrize(
    "url",
    [
        "https://models.example.com/models",
        "https://h.example.com/embeddings/v1",
        "https://h.example.com/chat",
        "https://completions.example.com",
        "https://h.example.com/my-completions",
        "https://h.example.com/v1?path=/chat/completions",
    ],
)
def test_a_url_that_only_looks_like_one_is_taken(url: str) -> None:
    assert config_of("remote::vllm").model_validate({"url": url}).remote("p").base_url


def test_an_nvidia_url_may_be_taken_as_it_is() -> None:
    assert address("remote::nvidia", url="http://nim/api/", append_api_version=False) == "http://nim/api"
    assert address("remote::nvidia", url="http://nim", append_api_version=True) == "http://nim/v1"


@rows
@given(host=st.from_regex(r"[a-z]{1,9}", fullmatch=True), depth=st.integers(0, 4), slash=st.sampled_from(["", "/"]))
def test_however_much_of_the_root_is_given_the_address_is_the_same(row: Row, host: str, depth: int, slash: str) -> None:
    pieces = row.root.split("/")[: depth + 1]
    made = api_root(f"https://{host}.example.com{'/'.join(pieces)}{slash}", row.root)
    assert made == f"https://{host}.example.com{row.root}"
    assert api_root(made, row.root) == made


@rows
def test_the_key_is_in_no_repr_and_no_dump(row: Row) -> None:
    made = config_of(row.provider_type).model_validate(config(row))
    provider = OpenAICompatible("p", made)
    view = provider.with_provider_data(dict.fromkeys(row.data, KEY))
    said = repr(made) + repr(vars(provider)) + repr(vars(view)) + repr(made.remote("p")) + made.model_dump_json()
    assert made.credential() == KEY
    assert KEY not in said


@rows
@pytest.mark.parametrize("many", ["urls", "keys"])
def test_only_one_of_two_names_for_the_same_thing_is_taken(row: Row, many: str) -> None:
    names: tuple[str, ...] = getattr(row, many)
    if len(names) > 1:
        value = "http://u" if many == "urls" else KEY
        with pytest.raises(ValueError, match=f"give `{names[0]}`") as failure:
            config_of(row.provider_type).model_validate(config(row) | dict.fromkeys(names, value))
        assert KEY not in str(failure.value).split("input_value", maxsplit=1)[0]


@rows
@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ümlaut"])
def test_a_key_that_no_header_carries_is_refused(row: Row, key: str) -> None:
    with pytest.raises(ValueError, match="a header cannot carry"):
        config_of(row.provider_type).model_validate(config(row) | {row.keys[0]: key})


@rows
def test_an_unknown_key_of_a_config_is_told_with_the_nearest(row: Row) -> None:
    entry = {"provider_id": "p", "provider_type": row.provider_type, "config": config(row, tls_verfy=False)}
    problems = check(interpret({"image_name": "t", "providers": {"inference": [entry]}}, {}))
    assert [problem.path for problem in problems] == ["providers.inference[0].config.tls_verfy"]
    assert "tls_verify" in problems[0].message


@rows
def test_a_row_says_which_provider_data_bring_a_key_that_it_needs(row: Row) -> None:
    assert row.data or row.key == "optional"


def test_a_type_that_its_config_alone_cannot_find_is_told_with_what_to_use() -> None:
    entry = {"provider_id": "p", "provider_type": "remote::hf::endpoint", "config": {"endpoint_name": "e"}}
    problems = check(interpret({"image_name": "t", "providers": {"inference": [entry]}}, {}))
    assert problems[0].message.startswith("`remote::hf::endpoint` is not here; use remote::tgi")
