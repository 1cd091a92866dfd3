"""Every vendor's error, as it is worded: what is read of it, whose mistake it is, and what the caller is told of it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.errors import (
    ApiError,
    InvalidRequest,
    NotFound,
    UpstreamExhausted,
    UpstreamFailed,
    UpstreamThrottled,
    UpstreamTimeout,
)
from core.frame.tracing import REQUEST_ID
from core.platform.json_values import to_object
from core.providers.http.error_words import says_mistake, says_spent, says_too_long
from core.providers.http.quotes import hide_quotes
from core.providers.http.replies import retry_after_header
from core.providers.http.upstream_errors import ErrorReport, clean_message, error_in, read_body, read_report
from core.providers.http.upstream_failures import UpstreamError, secrets_of

INVALID = "invalid_request_error"
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "code", "type", "param", "metadata", "raw", "msg", "loc", "choices"]
            ),
            values,
            max_size=5,
        )
    ),
    max_leaves=12,
)

REPORTS: list[tuple[str, Any, tuple[str, str, str, str, int]]] = [
    (
        "OpenAI",
        {
            "error": {
                "message": "Unsupported value",
                "type": INVALID,
                "param": "temperature",
                "code": "unsupported_value",
            }
        },
        ("Unsupported value", "unsupported_value", INVALID, "temperature", 0),
    ),
    (
        "vLLM, flat",
        {"object": "error", "message": "too hot", "type": "BadRequestError", "param": "temperature", "code": 400},
        ("too hot", "", "BadRequestError", "temperature", 400),
    ),
    (
        "vLLM, nested",
        {"error": {"message": "too hot", "type": "BadRequestError", "param": None, "code": 400}},
        ("too hot", "", "BadRequestError", "", 400),
    ),
    (
        "FastAPI",
        {
            "detail": [
                {"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing", "input": "private"}
            ]
        },
        ("messages[0].role: Field required", "missing", "", "messages[0].role", 0),
    ),
    ("FastAPI, text", {"detail": "Not Found"}, ("Not Found", "", "", "", 0)),
    (
        "Mistral",
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "n"], "msg": "too many", "type": "v"}]},
            "type": INVALID,
        },
        ("n: too many", "v", INVALID, "n", 0),
    ),
    (
        "TGI",
        {"error": "Input validation error", "error_type": "validation"},
        ("Input validation error", "", "validation", "", 0),
    ),
    (
        "llama.cpp",
        {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 4096}},
        ("too long", "", "exceed_context_size_error", "", 400),
    ),
    (
        "Google",
        [{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}],
        ("bad", "INVALID_ARGUMENT", "", "", 400),
    ),
    (
        "Azure's filter",
        {
            "error": {
                "message": "filtered",
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "x"},
            }
        },
        ("filtered", "content_filter", "", "prompt", 400),
    ),
    (
        "Azure's filter within",
        {"error": {"message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        ("filtered", "content_filter", "", "", 0),
    ),
    (
        "OpenRouter",
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": '{"error": {"message": "slow down", "type": "tokens"}}', "provider_name": "X"},
            }
        },
        ("slow down", "", "tokens", "", 429),
    ),
    (
        "Anthropic",
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
        ("Overloaded", "", "overloaded_error", "", 0),
    ),
    (
        "Databricks",
        {"error_code": "BAD_REQUEST", "message": '{"error_code": "BAD_REQUEST", "message": "wrong"}'},
        ("wrong", "BAD_REQUEST", "", "", 0),
    ),
    (
        "WatsonX",
        {"errors": [{"code": "model_not_supported", "message": "Model 'm' is not supported"}], "status_code": 404},
        ("Model 'm' is not supported", "model_not_supported", "", "", 404),
    ),
    (
        "NVIDIA",
        {
            "type": "urn:kaizen:problem-details:not-found",
            "title": "Not Found",
            "status": 404,
            "detail": "Function 'f': Not found",
        },
        ("Function 'f': Not found", "", "", "", 404),
    ),
    (
        "a phrase beside its reason",
        {"statusCode": 400, "error": "Bad Request", "message": "n is wrong"},
        ("n is wrong", "", "", "", 400),
    ),
    ("a code as text", {"error": {"message": "slow", "code": "429"}}, ("slow", "", "", "", 429)),
    ("text", "out of memory", ("out of memory", "", "", "", 0)),
    ("nothing", {"error": {}}, ("", "", "", "", 0)),
    ("another shape", {"error": [[]], "message": 7}, ("", "", "", "", 0)),
]


@pytest.mark.parametrize(("answer", "wanted"), [row[1:] for row in REPORTS], ids=[row[0] for row in REPORTS])
def test_an_error_is_read_whatever_its_vendor(answer: Any, wanted: tuple[str, str, str, str, int]) -> None:
    assert read_report(answer) == ErrorReport(*wanted)
    assert read_body(json.dumps(answer).encode()) == ErrorReport(*wanted)


@given(JSON)
def test_any_json_is_read(answer: Any) -> None:
    report = read_report(answer)
    error_in(to_object(answer))
    assert isinstance(failure(200, report), ApiError)
    assert isinstance(failure(500, report), ApiError)


def test_a_page_says_nothing_and_half_an_error_is_text() -> None:
    assert read_body(b"\n<html>model not found") == read_body(b"") == ErrorReport()
    assert read_body(b'{"error": {"message": "half \\ud83d \xff"}}') == ErrorReport("half \ufffd \ufffd")
    assert read_body(b'{"error": ') == ErrorReport('{"error":')
    assert read_body(b"404 page not \xff") == ErrorReport("404 page not \ufffd")


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": "error"}}], "error": None},
        {"choices": [{"index": 0, "error": None}]},
        {"object": "list", "data": [], "message": "fine"},
        {"status": "success", "rails_status": {}},
        {"object": "chat.completion.chunk", "message": "note"},
        {},
    ],
)
def test_an_answer_is_no_error(answer: dict[str, Any]) -> None:
    assert error_in(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"error": "no"},
        {"error": {"message": "no"}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
        {"choices": [{"error": {"message": "no"}, "finish_reason": "error"}]},
        {"object": "error", "message": "no"},
        {"type": "error", "message": "no"},
        {"detail": "no"},
        {"message": "no", "error_code": "X"},
    ],
)
def test_what_stands_in_the_place_of_an_answer_is_an_error(answer: dict[str, Any]) -> None:
    assert (error_in(answer) or ErrorReport()).message == "no"


def failure(status: int, report: ErrorReport | Any, **more: Any) -> ApiError:
    said = report if isinstance(report, ErrorReport) else read_report(report)
    return UpstreamError("v", status, said, **{"model": "org/m-1", **more}).failure()


def error(message: str = "nay", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


JUDGED: list[tuple[int, Any, type[ApiError], int]] = [
    (400, error(), InvalidRequest, 400),
    (413, error(), InvalidRequest, 413),
    (415, error(), InvalidRequest, 415),
    (422, error(), InvalidRequest, 422),
    (404, error("The model `org/m-1` does not exist."), NotFound, 404),
    (404, error("model 'x' not found, try pulling it first"), NotFound, 404),
    (404, error("no", code="model_not_found"), NotFound, 404),
    (404, error("'org/m-1' is not deployed"), NotFound, 404),
    (410, error("The model has reached its end of life"), NotFound, 404),
    (404, {"detail": "Not Found"}, UpstreamFailed, 502),
    (404, error("Invalid URL (POST /v1/models/chat)"), UpstreamFailed, 502),
    (404, error("File Not Found"), UpstreamFailed, 502),
    (404, None, UpstreamFailed, 502),
    (404, error("No endpoints found that support image input"), InvalidRequest, 400),
    (405, error("Method Not Allowed"), UpstreamFailed, 502),
    (401, error(), UpstreamFailed, 502),
    (403, error(), UpstreamFailed, 502),
    (
        400,
        error("API key not valid. Please pass a valid API key.", code=400, status="INVALID_ARGUMENT"),
        UpstreamFailed,
        502,
    ),
    (501, error("This server does not support embeddings. Start it with `--embeddings`"), InvalidRequest, 400),
    (403, error("flagged", code="content_policy_violation"), InvalidRequest, 400),
    (400, error("filtered", code="content_filter"), InvalidRequest, 400),
    (429, error(), UpstreamThrottled, 429),
    (429, error("Rate limit: tokens per min", code="rate_limit_exceeded", type="tokens"), UpstreamThrottled, 429),
    (429, error("You exceeded your current quota", code="insufficient_quota"), UpstreamExhausted, 502),
    (
        429,
        error("You exceeded your current quota. Please retry in 34s.", status="RESOURCE_EXHAUSTED"),
        UpstreamThrottled,
        429,
    ),
    (402, error("pay"), UpstreamExhausted, 502),
    (400, error("You have reached your specified API usage limits."), UpstreamExhausted, 502),
    (400, error("Your credit balance is too low to access the API"), UpstreamExhausted, 502),
    (403, error("Insufficient Balance"), UpstreamExhausted, 502),
    (408, error(), UpstreamTimeout, 504),
    (504, error(), UpstreamTimeout, 504),
    (500, error("CUDA out of memory"), UpstreamFailed, 502),
    (503, error(), UpstreamFailed, 502),
    (529, error("Overloaded"), UpstreamFailed, 502),
    (302, None, UpstreamFailed, 502),
    (500, error("image input is not supported - hint: you may need to provide the mmproj"), InvalidRequest, 400),
    (500, error("org/m-1 is not a multimodal model"), InvalidRequest, 400),
    (500, error("this model is missing data required for image input"), InvalidRequest, 400),
    (500, error("Conversation roles must alternate user/assistant/user/assistant"), InvalidRequest, 400),
    (500, error("bad", code=400), InvalidRequest, 400),
    (500, error("slow", code=429), UpstreamThrottled, 429),
    (500, error("no", type=INVALID), UpstreamFailed, 502),
    (200, error("slow", code=429), UpstreamThrottled, 429),
    (200, error("slow", code="429"), UpstreamThrottled, 429),
    (200, error("slow", code="rate_limit_exceeded"), UpstreamThrottled, 429),
    (200, error("slow", type="rate_limit_error"), UpstreamThrottled, 429),
    (200, {"error": "Model is overloaded", "error_type": "overloaded"}, UpstreamThrottled, 429),
    (200, {"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, InvalidRequest, 400),
    (200, {"detail": "no"}, UpstreamFailed, 502),
    (200, error("The model `m` does not exist"), NotFound, 404),
    (200, error("no", code="invalid_api_key", type=INVALID), UpstreamFailed, 502),
    (200, error("no", type="invalid_authentication_error"), UpstreamFailed, 502),
    (200, error("no", code="invalid_image"), InvalidRequest, 400),
    (200, error("no", type="overloaded_error"), UpstreamFailed, 502),
    (200, error("no", code=502), UpstreamFailed, 502),
    (200, error(code=504), UpstreamTimeout, 504),
    (200, error("too hot", type=INVALID), InvalidRequest, 400),
    (200, error("CUDA out of memory"), UpstreamFailed, 502),
]


@pytest.mark.parametrize(("status", "answer", "kind", "ours"), JUDGED, ids=lambda value: str(value)[:60])
def test_it_is_judged_by_its_status_and_by_what_it_says(
    status: int, answer: Any, kind: type[ApiError], ours: int
) -> None:
    judged = failure(status, answer)
    assert (type(judged), judged.status) == (kind, ours)
    message = read_report(answer).message
    assert (message in judged.message) == (kind in {InvalidRequest, NotFound}) or not message


def test_code_type_and_param_are_the_upstreams_where_the_mistake_is_the_callers() -> None:
    named = {"code": "invalid_image", "type": "image_error", "param": "messages[0].content"}
    for status in (400, 413, 415, 422):
        body = failure(status, error(**named)).body()["error"]
        assert {name: body[name] for name in named} == named
    assert failure(429, error(**named)).code == "invalid_image"
    for status, code in ((500, "upstream_error"), (401, "upstream_error")):
        assert failure(status, error(**named)).body()["error"] | {"message": ""} == {
            "message": "", "type": "server_error", "param": None, "code": code,
        }  # fmt: skip
    assert failure(400, error(code=400)).code == "invalid_request"
    missing = failure(
        404, {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404}
    )
    assert (missing.code, missing.type, missing.param) == ("model_not_found", "NotFoundError", "model")


def test_a_failure_says_where_its_reason_is_and_a_key_that_may_be_renewed_is_told() -> None:
    token = REQUEST_ID.set("req_1")
    try:
        broken, silent, late = failure(500, error("out of memory")), failure(500, None), failure(200, error("no"))
    finally:
        REQUEST_ID.reset(token)
    assert broken.message == (
        "Provider `v` failed with HTTP status 500. The operator's log has the reason under request `req_1`."
    )
    assert silent.message == failure(500, None).message == "Provider `v` failed with HTTP status 500."
    assert late.message.startswith("Provider `v` sent an error in the place of an answer.")
    told = [getattr(failure(status, error(words)), "unauthorized", None) for status, words in KEYS]
    assert told == [True, False, True, None]


KEYS = [(401, "no"), (403, "no"), (400, "Incorrect API key provided"), (400, "no")]


def test_secrets_are_those_of_a_key_and_the_longest_goes_first() -> None:
    headers = {
        "x-api-key": "header-key",
        "ocp-apim-subscription-key": "azure-key",
        "accept": "text/plain",
        "authorization": "Basic b64",
    }
    secrets = secrets_of("the-key", headers, "me:password")
    assert {"the-key", "header-key", "azure-key", "b64", "password", "me:password"} <= set(secrets)
    assert "text/plain" not in secrets
    assert list(secrets) == sorted(secrets, key=len, reverse=True)


def test_errors_within_errors_have_an_end() -> None:
    report: Any = "deep"
    for _ in range(100):
        report = {"error": report}
    assert read_report(report) == read_report([[[[[[["deep"]]]]]]]) == ErrorReport()
    text = "deep"
    for _ in range(9):
        text = json.dumps({"message": text})
    assert read_report(text).message.startswith("{")


def test_what_it_says_is_bounded_and_clean() -> None:
    judged = failure(
        400, error("no\x1b[31m\ud800\n" + "x" * 9000, code="c\0" * 500, type="t\u202e" * 500, param="p\r" * 999)
    )
    assert judged.message.startswith("no\\x1b[31m\\ud800\n")
    assert max(map(len, (judged.code, judged.type))) < 128
    assert (len(judged.message) < 600, len(judged.param or "") <= 256) == (True, True)
    assert (judged.code + judged.type + (judged.param or "")).isprintable()


def test_a_spent_account_is_said_to_be_the_stacks_or_that_of_the_callers_key() -> None:
    spent = error("You exceeded your current quota, please check your plan", code="insufficient_quota")
    ours = failure(429, spent)
    assert (ours.code, ours.headers) == ("insufficient_quota", {"x-should-retry": "false"})
    theirs = failure(429, spent, source="`k` in a header")
    assert (type(theirs), theirs.status, theirs.code) == (InvalidRequest, 402, "insufficient_quota")


TOO_LONG = [
    "This model's maximum context length is 8192 tokens. However, you requested 10346 tokens (10341 in the messages, 5 in the",
    "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce the length.",
    "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "The engine prompt length 5000 exceeds the max_model_len 4096. Please reduce prompt.",
    "Input prompt (5000 tokens) is too long and exceeds limit of 4096",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    "Input validation error: `inputs` must have less than 1024 tokens. Given: 5000",
    "the request exceeds the available context size, try increasing it",
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
    "input is too large to process. increase the physical batch size",
    "input is larger than the max context size. skipping",
    "Requested tokens (5000) exceed context window of 4096",
    "the input length exceeds the context length",
    "input length exceeds maximum context length",
    "prompt too long; exceeded max context length by 10 tokens",
    "The prompt is too long: 140000, model maximum context length: 131071",
    "Please reduce the length of the messages or completion.",
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "Input length 700 exceeds maximum allowed token size 512",
    "Prompt length (5000) exceeds maximum input length (4096). Set log level to info and check TRTGptModel logs for the cause",
    "The maximum context length of Meta-Llama-3.1-8B-Instruct is 8192. However, answering your request will take 9000 tokens.",
    "prompt token count (40000) cannot exceed 4096. Please reduce the length of your prompt.",
    "Failed to generate: the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
    "prompt is too long: 200251 tokens > 199999 maximum",
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens`",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Unable to submit request because the input token count is 40000 but model only supports up to 32768.",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "too many tokens: total number of tokens in the prompt exceeds the limit: received 5000 tokens. Try using a shorter prompt",
    "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens",
    "Range of input length should be [1, 129024]",
    "Invalid request: Your request exceeded model token limit: 8192",
    "invalid params, context window exceeds limit (2013)",
    "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096",
    "Input is too long for requested model.",
    "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
    "Too many input tokens. Max input tokens: 8192, request input token count: 10000",
    "The model returned the following errors: Input is too long. Max length is 4096 tokens",
    "The model returned the following errors: input length and `max_tokens` exceed context limit: 90402 + 116650 > 204648",
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
    "prompt token count of 5000 exceeds the limit of 4096",
]
NOT_TOO_LONG = [
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
    "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower.",
    "Input validation error: `max_new_tokens` must be <= 2048. Given: 3000",
    "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 12000, please reduce your message size",
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute",
    "Number of request tokens has exceeded your per-minute rate limit",
    "Too many tokens per day, please wait before trying again.",
    "Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 3000 instead.",
    "image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes",
    "messages: at least one message is required",
    "Input should be a valid string",
    "Invalid 'user': string too long. Expected a string with maximum length 64",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "messages must not be empty",
]


@pytest.mark.parametrize("message", TOO_LONG)
@pytest.mark.parametrize("status", [400, 413, 422, 500, 200])
def test_too_long_a_prompt_is_one_thing_whoever_says_it(message: str, status: int) -> None:
    judged = failure(status, error(message, code=None, type=INVALID))
    assert (type(judged), judged.status, judged.code) == (InvalidRequest, 400, "context_length_exceeded")
    assert judged.message[:40] == message[:40]


@pytest.mark.parametrize("message", NOT_TOO_LONG)
def test_what_is_too_much_of_another_kind_is_not_too_long_a_prompt(message: str) -> None:
    assert not says_too_long(message)
    assert failure(400, error(message)).code != "context_length_exceeded"


@pytest.mark.parametrize(
    "code", ["context_length_exceeded", "exceed_context_size_error", "tokens_limit_reached", "PROMPT_TOO_LONG"]
)
def test_a_code_says_so_too(code: str) -> None:
    for named in ({"code": code}, {"type": code}):
        assert failure(500, error("no", **named)).code == "context_length_exceeded"


@pytest.mark.parametrize(
    "message",
    [
        "At most 0 image(s) may be provided in one prompt.",
        "registry.ollama.ai/library/gemma:2b does not support tools",
        "This model does not support image inputs",
        "org/m-1 is not a chat model",
        "Failed to load image: cannot identify image file <_io.BytesIO object>",
        "tools param requires --jinja flag",
        "Failed to parse grammar",
        "error decoding image: image: unknown format",
    ],
)
def test_a_mistake_of_the_callers_that_a_server_fails_at(message: str) -> None:
    assert says_mistake(message)
    assert failure(500, error(message)).status == 400


@pytest.mark.parametrize(
    "message",
    [
        "CUDA out of memory while loading the image encoder",
        "Internal Server Error",
        "EngineCore died",
        "the tool server is down",
        "",
    ],
)
def test_a_servers_own_failure_is_no_mistake_of_the_callers(message: str) -> None:
    assert not says_mistake(message)
    assert not says_spent(message)
    assert failure(500, error(message)).status == 502


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF123456_xyz",
        "gsk_a1b2c3d4e5f6g7h8",
        "hf_abcdefgh12345678",
        "nvapi-a1b2c3d4-e5f6",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def",
        "0123456789abcdef0123456789abcdef",
        "Bearer abc.def-123456",
        "api_key=abc123def456",
        "Incorrect API key: abc-123-def-456",
        "https://me:pass-word@host/v1",
    ],
)
def test_what_looks_like_a_key_is_masked(key: str) -> None:
    shown = clean_message(f"Wrong ({key}) there", ())
    secret = key.rpartition(" ")[2].rpartition("=")[2].rpartition("@")[0] or key.rpartition(" ")[2].rpartition("=")[2]
    assert secret.removeprefix("https://") not in shown
    assert (shown.startswith("Wrong ("), shown.endswith(" there"), "********" in shown) == (True, True, True)


@pytest.mark.parametrize(
    "text",
    [
        "The model `meta-llama/Llama-3.1-8B-Instruct-AWQ-INT4` does not exist.",
        "max_num_batched_tokens",
        "token: x",
        "no key given",
    ],
)
def test_what_looks_like_none_stays(text: str) -> None:
    assert clean_message(text, ()) == text


def test_the_secrets_of_a_call_are_masked_and_what_pydantic_quotes_is_left_out() -> None:
    assert clean_message("bad my-own-secret, fake", ("my-own-secret", "fake")) == "bad ********, fake"
    quoted = "1 error [type=string_type, input_value='my private words', input_type=str]"
    assert clean_message(quoted, ()) == "1 error [type=string_type, input_value=..., input_type=str]"


@given(st.text(max_size=30), st.text("abc ", min_size=23, max_size=60), st.text(max_size=30))
def test_what_a_reason_repeats_of_a_request_is_not_logged(before: str, said: str, after: str) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": f"x{said}y"}]}]}
    hidden = hide_quotes(before + said + after, request)
    assert said not in hidden


def test_a_models_name_and_what_nobody_said_stay() -> None:
    request = {
        "model": "a-model-of-a-long-name",
        "messages": [{"role": "user", "content": "Hello, how are you today?"}],
    }
    reason = "The model a-model-of-a-long-name is out of memory"
    assert hide_quotes(reason, request) == reason
    assert hide_quotes(f"{reason}: Hello, how are you today? Yes", request) == f"{reason}: ******** Yes"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"retry-after": "7"}, "7"),
        ({"retry-after": "1.5"}, "1.5"),
        ({"retry-after": "0"}, "0"),
        ({"retry-after": "999999999"}, "86400"),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "Wed, 21 Oct 2026 07:28:00 GMT"),
        ({"retry-after-ms": "1500"}, "2"),
        ({"retry-after-ms": "1500", "retry-after": "3"}, "3"),
        ({"retry-after-ms": "9" * 12}, "86400"),
        ({"retry-after-ms": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 100}, None),
        ({"retry-after": "NaN"}, None),
        ({}, None),
    ],
)
def test_a_time_to_come_back_is_kept_in_bounds(headers: dict[str, str], wanted: str | None) -> None:
    assert retry_after_header(headers) == ({} if wanted is None else {"retry-after": wanted})
    for status in (429, 503, 529):
        assert failure(status, error(), headers=headers).headers.get("retry-after") == wanted
