"""`langchain-openai`, as its users write programs with it: the class for OpenAI, with another base URL."""

from base64 import b64encode
from functools import partial
import json
import time
from typing import Any, Final

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import APIError, APIStatusError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError
import tiktoken

from tests.clients.scripts.sdks.program import (
    BUSY,
    CITIES,
    EMBEDDINGS,
    IMAGE,
    KEY,
    MODELS,
    PDF,
    PERSON,
    PNG,
    SPENT_KEY,
    SUMMARY,
    SYSTEM,
    TASK,
    TOKENS,
    URL,
    Person,
    can_be_forced,
    counts_calls,
    nonce,
    refusal,
    run,
    schema_of,
    sees,
    wait_until,
    weather,
)

TOOLS: Final[list[Any]] = [tool(weather)]


def llm(model: str, **more: Any) -> Any:
    return ChatOpenAI(model=model, base_url=URL, api_key=KEY, **more)


def asking(text: Any) -> list[Any]:
    return [SystemMessage(SYSTEM), HumanMessage(text)]


def chat(model: str) -> None:
    answer = llm(model, temperature=0.5, max_tokens=50).invoke(asking("Hi"))
    assert answer.text == "Be brief.|Hi"
    assert answer.response_metadata["finish_reason"] == "stop"
    assert tuple(answer.usage_metadata[name] for name in ("input_tokens", "output_tokens", "total_tokens")) == TOKENS


def stream_with_usage(model: str) -> None:
    pieces = list(llm(model, stream_usage=True).stream(asking("Hi")))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert len(pieces) > 3
    assert (whole.text, whole.usage_metadata["total_tokens"]) == ("Be brief.|Hi", TOKENS[-1])


def loop(model: str, **more: Any) -> tuple[list[Any], list[str]]:
    """The conversation until the model calls no more, and the cities that it asked about, in order."""
    messages, cities, bound = asking(TASK), list[str](), llm(model, **more).bind_tools(TOOLS)
    while True:
        messages.append(bound.invoke(messages))
        if not messages[-1].tool_calls:
            return messages, cities
        for call in messages[-1].tool_calls:
            cities.append(call["args"]["city"])
            messages.append(TOOLS[0].invoke(call))


def tools_in_a_loop(model: str) -> None:
    messages, cities = loop(model)
    assert (cities, messages[-1].text) == (CITIES, SUMMARY)


def streamed_tools_in_a_loop(model: str) -> None:
    messages, cities = loop(model, streaming=True)
    assert (cities, messages[-1].text) == (CITIES, SUMMARY)


def choices_of_tools(model: str) -> None:
    for choice in ("any", "required", "weather"):
        bound = llm(model).bind_tools(TOOLS, tool_choice=choice)
        if can_be_forced(model):
            assert [call["name"] for call in bound.invoke(asking("Hi")).tool_calls] == ["weather"], choice
        else:
            assert "tool_choice" in refusal(BadRequestError, partial(bound.invoke, asking("Hi"))).message
    assert not llm(model).bind_tools(TOOLS, tool_choice="none").invoke(asking(TASK)).tool_calls
    if counts_calls(model):
        assert len(llm(model).bind_tools(TOOLS, parallel_tool_calls=False).invoke(asking(TASK)).tool_calls) == 1


def a_history_is_summed_up_without_tools(model: str) -> None:
    messages, _ = loop(model)
    question = [*messages, HumanMessage("Sum up.")]
    assert llm(model).invoke(question).text == SUMMARY
    assert "".join(piece.text for piece in llm(model).stream(question)) == SUMMARY


def a_history_of_another_vendor_goes_on(model: str) -> None:
    """Its ids are long and have signs of their own, and one call's arguments were cut off."""
    ids = [f"fc_{'6' * 60}|call_{at}" for at in "ab"]
    call = {"name": "weather", "args": {"city": "Paris"}, "id": ids[0], "type": "tool_call"}
    cut = {"name": "weather", "args": '{"ci', "id": ids[1], "error": None, "type": "invalid_tool_call"}
    history = [
        HumanMessage("Hi"),
        AIMessage("", tool_calls=[call], invalid_tool_calls=[cut]),
        ToolMessage(weather("Paris"), tool_call_id=ids[0]),
        ToolMessage("arguments are no JSON", tool_call_id=ids[1]),
        HumanMessage("Sum up."),
    ]
    bound = llm(model).bind_tools(TOOLS, tool_choice="none")
    assert bound.invoke(history).text == "Summary: Paris: 20 degrees"


def structured(model: str, method: str) -> tuple[Any, list[Any]]:
    """What is asked, and of whom."""
    text = f"Who? Answer with JSON of this schema: {json.dumps(schema_of(Person))}" if method == "json_mode" else "Who?"
    return llm(model).with_structured_output(Person, method=method), asking(text)


def structured_output(model: str) -> None:
    for method in ("function_calling", "json_schema", "json_mode"):
        person, messages = structured(model, method)
        if method != "function_calling" or (can_be_forced(model) and counts_calls(model)):
            assert person.invoke(messages) == PERSON, method
        else:
            error = refusal(BadRequestError, partial(person.invoke, messages))
            assert ("parallel_tool_calls" if can_be_forced(model) else "tool_choice") in error.message, error


def streamed_structured_output(model: str) -> None:
    for method in ("function_calling", "json_schema"):
        person, messages = structured(model, method)
        if method != "function_calling" or (can_be_forced(model) and counts_calls(model)):
            assert list(person.stream(messages))[-1] == PERSON, method


def an_image(model: str) -> None:
    for part in (
        {"type": "image_url", "image_url": {"url": IMAGE}},
        {"type": "image", "base64": IMAGE.partition(",")[2], "mime_type": "image/png"},
    ):
        messages = asking([part, {"type": "text", "text": "Look"}])
        if sees(model):
            assert llm(model).invoke(messages).text == f"{len(PNG)} bytes"
        else:
            refusal(BadRequestError, partial(llm(model).invoke, messages))


def a_document(model: str) -> None:
    """By itself: there is no text beside it."""
    part = {"type": "file", "base64": b64encode(PDF).decode(), "mime_type": "application/pdf", "filename": "a b.pdf"}
    assert llm(model).invoke([HumanMessage([part])]).text == f"{len(PDF)} bytes"


def too_long_a_prompt(model: str) -> None:
    for ask in (llm(model).invoke, lambda messages: list(llm(model).stream(messages))):
        error = refusal(BadRequestError, partial(ask, asking("too long")))
        assert error.code == "context_length_exceeded", error


def a_throttled_model_is_asked_again(model: str) -> None:
    begin = time.monotonic()
    assert llm(model).invoke(asking(f"busy {nonce()}")).text.startswith("Be brief.|busy")
    assert time.monotonic() - begin > (1 if model.startswith("vllm") else 0.3)
    error = refusal(APIStatusError, lambda: llm(model, max_retries=0).invoke(asking(f"busy {nonce()}")))
    assert error.status_code in BUSY, error


def a_broken_stream_raises(model: str) -> None:
    for text in ("break", "cut"):
        refusal(APIError, partial(list, llm(model).stream(asking(text))))


def a_caller_who_leaves_ends_the_call(model: str) -> None:
    name = nonce()
    stream = llm(model).stream(asking(f"endless {name}"))
    assert next(stream) is not None
    stream.close()
    wait_until(lambda: llm(model).invoke(asking(f"was {name} ended?")).text == "yes")


def an_unknown_model() -> None:
    for name in ("nothing", "vllm/gone"):
        refusal(NotFoundError, partial(llm(name).invoke, "Hi"))


def embeddings() -> None:
    """It splits texts into tokens, whose vocabulary it would fetch: this one has bytes for tokens, and sends them as lists."""
    bytes_ = {bytes([byte]): byte for byte in range(256)}
    tiktoken.registry.ENCODINGS["cl100k_base"] = tiktoken.Encoding(
        "cl100k_base", pat_str=".", mergeable_ranks=bytes_, special_tokens={}
    )
    for model in EMBEDDINGS:
        plain = OpenAIEmbeddings(model=model, base_url=URL, api_key=KEY, check_embedding_ctx_length=False)
        assert plain.embed_documents(["ab", "c"]) == [[2, 195], [1, 99]]
    in_tokens = [OpenAIEmbeddings(model=model, base_url=URL, api_key=KEY) for model in EMBEDDINGS]
    assert in_tokens[0].embed_documents(["ab"])[0] != [0, 0]
    for embedder in in_tokens[1:]:
        error = refusal(BadRequestError, partial(embedder.embed_documents, ["ab"]))
        assert "check_embedding_ctx_length" in error.message, error


def a_wrong_key() -> None:
    refusal(AuthenticationError, lambda: ChatOpenAI(model=MODELS[0], base_url=URL, api_key="none").invoke("Hi"))


def a_spent_quota() -> None:
    poor = ChatOpenAI(model=MODELS[0], base_url=URL, api_key=SPENT_KEY, max_retries=0)
    poor.invoke("Hi")
    refusal(RateLimitError, lambda: poor.invoke("Hi"))


if __name__ == "__main__":
    run(
        (
            chat,
            stream_with_usage,
            tools_in_a_loop,
            streamed_tools_in_a_loop,
            choices_of_tools,
            a_history_is_summed_up_without_tools,
            a_history_of_another_vendor_goes_on,
            structured_output,
            streamed_structured_output,
            an_image,
            a_document,
            too_long_a_prompt,
            a_throttled_model_is_asked_again,
            a_broken_stream_raises,
            a_caller_who_leaves_ends_the_call,
        ),
        (an_unknown_model, embeddings, a_wrong_key, a_spent_quota),
    )
