"""The reference's names are there for who imports them, made one by one, and never in the place of an installed package."""

from enum import Enum
from importlib import import_module
from pathlib import Path
import subprocess
import sys
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.resolution.external.finder import install
from core.resolution.external.reference import names
from core.resolution.external.reference.records import plain, record
from core.resolution.external.reference.rows import ALIASES, BASES, ENUMS, FUNCTIONS, RECORDS, UNIONS
from tests.parts.stack import ROOT

install()
EVERY = sorted({*names.CODE, *ENUMS, *BASES, *UNIONS, *RECORDS, *ALIASES, *FUNCTIONS, "Api"})


def loads(code: str, *path: Path) -> set[str]:
    """The modules that a process has which has run `code`, with the folders of `path` on its path."""
    prefix = "".join(f"sys.path.insert(0, {str(folder)!r})\n" for folder in path)
    program = f"import sys\n{prefix}from core.resolution.external import finder\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("name", EVERY)
def test_every_name_can_be_imported_from_any_module(name: str) -> None:
    for module in (
        "llama_stack.apis.inference.inference",
        "llama_stack_api",
        "ogx_api.datatypes",
        "ogx.core.datatypes",
    ):
        assert getattr(import_module(module), name) is names.find(name)


def test_no_name_is_in_two_tables_and_every_row_is_of_one() -> None:
    every = [*names.CODE, *ENUMS, *BASES, *UNIONS, *RECORDS, *ALIASES, *FUNCTIONS]
    assert len(every) == len(set(every))
    fields = [word.partition("=")[0] for row in RECORDS.values() for word in row.split()]
    assert {field.partition(":")[2] for field in fields if ":" in field} <= set(EVERY)


def test_what_was_renamed_is_one_class() -> None:
    assert names.find("UserMessage") is names.find("OpenAIUserMessageParam")
    assert names.find("UserMessage") in get_args(names.find("Message"))


def test_enums_have_the_references_values() -> None:
    assert [level.value for level in names.find("ViolationLevel")] == ["info", "warn", "error"]
    assert names.find("HealthStatus").NOT_IMPLEMENTED.value == "Not Implemented"
    assert all(issubclass(names.find(name), Enum) for name in ENUMS)


@pytest.mark.parametrize("name", ["llama_stack.nothing", "ogx_api.Api", "llama_stack.apis.convert_this"])
def test_what_is_no_module_is_none(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module(name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "developer", "assistant", "tool", "function"]), "content": JSON},
    optional={"name": st.text(max_size=3), "tool_calls": JSON, "x": JSON},
)


@given(
    st.lists(MESSAGES, max_size=3),
    st.dictionaries(st.sampled_from(["top_k", "stop", "temperature", "seed", "self", "name", "model_dump"]), JSON),
)
def test_a_request_as_a_record_is_what_the_caller_sent(messages: list[dict[str, Any]], more: dict[str, Any]) -> None:
    body = {"model": "m", "messages": messages, **more}
    assert without_defaults(plain(record("OpenAIChatCompletionRequestWithExtraBody", **body)), body) == body


def without_defaults(value: Any, sent: Any) -> Any:
    """What a record has beside what was sent, as the `type` of a tool call, is not compared."""
    if isinstance(value, dict) and isinstance(sent, dict):
        return {name: without_defaults(item, sent[name]) for name, item in value.items() if name in sent}
    if isinstance(value, list) and isinstance(sent, list):
        return [without_defaults(*pair) for pair in zip(value, sent, strict=True)]
    return value


def test_nothing_is_made_before_it_is_asked_for() -> None:
    modules = loads("finder.install()")
    assert not {
        name for name in modules if name.startswith(("core.resolution.external.reference", "llama_stack", "ogx"))
    }
    assert "pydantic" not in modules
    modules = loads("finder.install()\nfrom llama_stack_api import Inference, ViolationLevel")
    assert "core.resolution.external.reference.records" not in modules
    assert "core.providers.openai" not in modules


@pytest.mark.parametrize("installed", ["llama_stack", "ogx_api"])
def test_an_installed_package_wins(tmp_path: Path, installed: str) -> None:
    (tmp_path / installed).mkdir()
    (tmp_path / installed / "__init__.py").write_text("Api = 'its own'")
    code = f"""
finder.install()
from {installed} import Api
assert Api == 'its own'
try:
    from {installed}.apis import inference
except ModuleNotFoundError:
    pass
else:
    raise AssertionError
from llama_stack_api import Api as other
assert other.inference.value == "inference"
"""
    assert "core.resolution.external.reference.names" in loads(code, tmp_path)
