"""The config of an agent that a command is given: a file, and options over it."""

import json
from typing import TYPE_CHECKING, Any, TypedDict

import click

from core.platform.json_values import is_object

if TYPE_CHECKING:
    from core.frame.types import JsonObject

RETRIEVAL = "builtin::rag/knowledge_search"


class Described(TypedDict):
    """What an agent is described with; None and () leave it to the file."""

    file: str | None
    model: str | None
    instructions: str | None
    name: str | None
    tools: tuple["str | JsonObject", ...]
    stores: tuple[str, ...]
    input_shields: tuple[str, ...]
    output_shields: tuple[str, ...]
    max_rounds: int | None
    max_tokens: int | None


def read_group(text: str) -> "str | JsonObject":
    """A name, or NAME={...} with arguments of which the model is not told."""
    name, brace, rest = text.partition("={")
    if not brace:
        return text
    try:
        args: object = json.loads(f"{{{rest}")
    except (ValueError, RecursionError):
        args = None
    if not name or not is_object(args):
        raise click.BadParameter(f"""`{text}` is no GROUP and no GROUP={{"name": "value"}}""")
    return {"name": name, "args": args}


def read_config(described: Described) -> "JsonObject":
    """As `POST /v1/agents` takes it, with a model only where one is named.

    Raises:
        ConfigInvalid: the file has no mapping.
    """
    config = _file(described["file"]) if described["file"] else {}
    options: dict[str, Any] = {
        "model": described["model"],
        "instructions": described["instructions"],
        "name": described["name"],
        "input_shields": [*described["input_shields"]],
        "output_shields": [*described["output_shields"]],
        "max_infer_iters": described["max_rounds"],
    }
    config |= {name: value for name, value in options.items() if value}
    groups = [*described["tools"]]
    if described["stores"]:
        groups.append({"name": RETRIEVAL, "args": {"vector_db_ids": [*described["stores"]]}})
    if groups:
        config["toolgroups"] = [*(config.get("toolgroups") or ()), *groups]
    if described["max_tokens"]:
        config["sampling_params"] = {**(config.get("sampling_params") or {}), "max_tokens": described["max_tokens"]}
    config.setdefault("instructions", "You are a helpful assistant.")
    return config


def _file(path: str) -> "JsonObject":
    from core.cli.configurations.file import read

    config = read(path)
    inner = config.get("agent_config")
    return inner if is_object(inner) else config
