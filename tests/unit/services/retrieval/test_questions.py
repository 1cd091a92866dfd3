"""The template of a query generator: what prints messages is understood, and nothing that could run."""

import pytest

from core.errors import InvalidRequest
from core.services.retrieval.questions import MOST_PROMPT, render, texts_of

MESSAGES = ["How long?", "{{ messages }}"]


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("Search: {{messages}}", "Search: ['How long?', '{{ messages }}']"),
        ("{{ messages[-1] }} {{ messages[0] }}{{ messages[7] }}", "{{ messages }} How long?"),
        ("{% for message in messages %}- {{ message }}\n{% endfor %}Query:", "- How long?\n- {{ messages }}\nQuery:"),
        ("a\n{%- for m in messages -%}\n{{m}};\n{%- endfor -%}\nb", "aHow long?;{{ messages }};b"),
        (
            "{% for m in messages %}.{% endfor %}{% for m in messages %}{{ m }}{% endfor %}",
            "..How long?{{ messages }}",
        ),
        ("plain {text}", "plain {text}"),
    ],
)
def test_a_template_prints_messages(template: str, prompt: str) -> None:
    assert render(template, MESSAGES) == prompt


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__ }}",
        "{{ 9 ** 9 }}",
        "{% for m in messages %}{% for n in messages %}{{ n }}{% endfor %}{% endfor %}",
        "{% if messages %}x{% endif %}",
        "{% for m in messages %}{{ messages }}{% endfor %}",
        "{# a #}",
        "{{ messages",
        "{{- messages -}}",
        "{% endfor %}",
        "{% for m in messages %}{{ m }}",
        "{% for m in messages %}{{ m[0] }}{% endfor %}",
    ],
)
def test_what_is_not_understood_is_refused(template: str) -> None:
    with pytest.raises(InvalidRequest, match="more in it than is understood"):
        render(template, MESSAGES)


@pytest.mark.parametrize(
    "template", ["{% for m in messages %}" + "{{ m }}" * 2000 + "{% endfor %}", "{{messages[0]}}" * 2000]
)
def test_a_prompt_without_an_end_is_refused_before_it_is_made(template: str) -> None:
    with pytest.raises(InvalidRequest, match="characters"):
        render(template, ["x" * (MOST_PROMPT // 1000)] * 1000)


def test_the_texts_of_a_content() -> None:
    image = {"type": "image", "image": {"data": "aGk="}}
    assert texts_of(["a", {"type": "text", "text": "b"}, image, ""], "content") == ["a", "b"]
    assert texts_of("a", "content") == ["a"]
    with pytest.raises(InvalidRequest, match=r"content\[1\] must be a string"):
        texts_of(["a", 1], "content")
