"""What a model says, and how it ends: texts, reasoning, refusals, schemas, functions of the caller."""

import json
from typing import Final

from tests.clients.scripts.harness import run
from tests.clients.scripts.responses.asking import MODEL, WEATHER, kinds, of_kind, openai, person, plain, streamed
from tests.parts.model_script import Call, Round, write_script

PNG: Final = "data:image/png;base64,iVBORw0KGgo="


def plain_text(url: str) -> None:
    final, events = streamed(url, input="Hi", instructions="Be brief.", metadata={"k": "v"}, temperature=0.5)
    assert final.output_text.endswith("user: Hi")
    assert "Be brief." in final.output_text
    assert (final.status, final.metadata, final.temperature, final.model) == ("completed", {"k": "v"}, 0.5, MODEL)
    assert final.usage.input_tokens == 20
    assert final.usage.output_tokens == len(of_kind(events, "response.output_text.delta"))
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens
    assert final.usage.input_tokens_details.cached_tokens == 10


def a_whole_response_is_what_a_stream_ends_with(url: str) -> None:
    script = write_script(Round("Hello", reasoning="Hm."))
    final, _ = streamed(url, input=script)
    whole = openai(url).responses.create(model=MODEL, input=script)
    differs = {"id", "created_at", "completed_at", "output"}
    assert whole.model_dump(exclude=differs) == final.model_dump(exclude=differs)
    assert [plain(item) | {"id": ""} for item in whole.output] == [plain(item) | {"id": ""} for item in final.output]


def reasoning(url: str) -> None:
    for field in ("reasoning_content", "reasoning"):
        said = Round("Yes.", reasoning="I think so.", reasoning_field=field)
        final, _ = streamed(url, said, reasoning={"effort": "low"})
        assert kinds(final) == ["reasoning", "message"]
        assert final.output[0].content[0].text == "I think so."
        assert final.output_text == "Yes."
        assert final.usage.output_tokens_details.reasoning_tokens == 3
        assert final.reasoning.effort == "low"


def summaries_of_reasoning(url: str) -> None:
    said = Round("Yes.", summaries=("First I look.", "Then I think."))
    final, events = streamed(url, said, reasoning={"effort": "low", "summary": "auto"})
    assert [part.text for part in final.output[0].summary] == ["First I look.", "Then I think."]
    parts = of_kind(events, "response.reasoning_summary_part.added", "response.reasoning_summary_part.done")
    assert [event.summary_index for event in parts] == [0, 0, 1, 1]
    assert final.output_text == "Yes."


def a_refusal(url: str) -> None:
    final, _ = streamed(url, Round(refusal="I will not do that."))
    [message] = final.output
    assert (message.content[0].type, message.content[0].refusal) == ("refusal", "I will not do that.")
    assert final.output_text == ""


def structured_output(url: str) -> None:
    kind = person()
    final, _ = streamed(url, input="Who?", text_format=kind)
    parsed = openai(url).responses.parse(model=MODEL, input="Who?", text_format=kind)
    assert final.output_parsed == parsed.output_parsed == kind(name="NAME", job="JOB")
    loose = openai(url).responses.create(model=MODEL, input="Who?", text={"format": {"type": "json_object"}})
    assert json.loads(loose.output_text) == {"said": "Who?"}


def log_probabilities(url: str) -> None:
    final, events = streamed(url, Round("Hello"), top_logprobs=2, include=["message.output_text.logprobs"])
    told = final.output[0].content[0].logprobs
    assert [(each.token, len(each.top_logprobs)) for each in told] == [("Hell", 2), ("o", 2)]
    assert of_kind(events, "response.output_text.delta")[0].logprobs[0].token == "Hell"


def images_and_files_as_input(url: str) -> None:
    client = openai(url)
    text = client.files.create(file=("note.txt", b"The sun is a star."), purpose="user_data")
    image = client.files.create(file=("dot.png", b"\x89PNG\r\n\x1a\n"), purpose="vision")
    content = [
        {"type": "input_text", "text": "See: "},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "file_id": image.id, "detail": "auto"},
        {"type": "input_file", "file_id": text.id},
    ]
    said = client.responses.create(model=MODEL, input=[{"role": "user", "content": content}]).output_text
    assert said.count("[image_url of ") == 2, said
    assert "The sun is a star." in said, said


def a_function_call(url: str) -> None:
    client = openai(url)
    asked, events = streamed(
        url, Round("Look.", (Call("weather", {"city": "Oslo"}),)), Round("{quote}"), tools=[WEATHER]
    )
    assert kinds(asked) == ["message", "function_call"]
    call = asked.output[1]
    assert (call.name, json.loads(call.arguments), call.status) == ("weather", {"city": "Oslo"}, "completed")
    assert len(of_kind(events, "response.function_call_arguments.delta")) > 1
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    told = client.responses.create(model=MODEL, input=[answer], previous_response_id=asked.id, tools=[WEATHER])
    assert told.output_text == "rain"
    assert told.previous_response_id == asked.id


def parallel_calls(url: str) -> None:
    cities = ("Oslo", "Rome", "Bern")
    calls = tuple(Call("weather", {"city": city}) for city in cities)
    for interleaved in (False, True):
        script = [
            {"role": "user", "content": write_script(Round(calls=calls, interleaved=interleaved), Round("{quote}"))}
        ]
        asked, _ = streamed(url, input=script, tools=[WEATHER], parallel_tool_calls=True, store=False)
        assert kinds(asked) == ["function_call"] * 3
        assert [json.loads(call.arguments)["city"] for call in asked.output] == list(cities)
        assert len({call.call_id for call in asked.output}) == 3
        answers = [
            {"type": "function_call_output", "call_id": call.call_id, "output": f"rain {at}"}
            for at, call in enumerate(asked.output)
        ]
        given = [call.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for call in asked.output]
        told, _ = streamed(url, input=[*script, *given, *answers], tools=[WEATHER], store=False)
        assert told.output_text == "rain 0; rain 1; rain 2"


def functions_are_parsed(url: str) -> None:
    from openai import pydantic_function_tool

    kind = person()
    described = pydantic_function_tool(kind, name="introduce")["function"]
    tool = {"type": "function", **described}
    final, _ = streamed(url, input="Please introduce yourself", tools=[tool], tool_choice="required")
    assert final.output[0].parsed_arguments in (kind(name="NAME", job="JOB"), {"name": "NAME", "job": "JOB"})


def a_custom_tool(url: str) -> None:
    tool = {"type": "custom", "name": "apply_patch", "description": "Applies a patch."}
    call = Call("apply_patch", {"input": "*** Begin Patch\n*** End Patch"})
    final, events = streamed(url, Round(calls=(call,)), tools=[tool])
    [item] = final.output
    assert (item.type, item.name, item.input) == ("custom_tool_call", "apply_patch", "*** Begin Patch\n*** End Patch")
    assert of_kind(events, "response.custom_tool_call_input.done")[0].input == item.input


SCENARIOS = (
    plain_text,
    a_whole_response_is_what_a_stream_ends_with,
    reasoning,
    summaries_of_reasoning,
    a_refusal,
    structured_output,
    log_probabilities,
    images_and_files_as_input,
    a_function_call,
    parallel_calls,
    functions_are_parsed,
    a_custom_tool,
)

if __name__ == "__main__":
    run(SCENARIOS)
