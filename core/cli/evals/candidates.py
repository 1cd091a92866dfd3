"""What is evaluated, as the options of `llambda eval run` say it."""

from dataclasses import dataclass
import json
from typing import Any, Final, TypedDict

import click

from core.platform.json_values import is_object

GREEDY: Final = {"strategy": {"type": "greedy"}}


class Asked(TypedDict):
    """How the candidates are asked."""

    model: tuple[str, ...]
    agent: tuple[str, ...]
    system: str | None
    temperature: float | None
    max_tokens: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """`config` is the `eval_candidate` of a BenchmarkConfig."""

    name: str
    config: dict[str, Any]


def candidates_of(options: Asked) -> list[Candidate]:
    """Raises click.UsageError where there is none, ConfigInvalid for an agent's file without a mapping."""
    system = options["system"]
    message = {} if system is None else {"system_message": {"role": "system", "content": system}}
    sampling = _sampling(options)
    models = [
        Candidate(model, {"type": "model", "model": model, "sampling_params": sampling, **message})
        for model in options["model"]
    ]
    agents = [Candidate(path, {"type": "agent", "config": _agent(path)}) for path in options["agent"]]
    if not models and not agents:
        raise click.UsageError("Name what is evaluated with --model, or with --agent the file of an agent.")
    return [*models, *agents]


def read_params(text: str | None) -> dict[str, Any]:
    """Of scoring functions, by their ids; raises click.UsageError for what is none."""
    try:
        params: object = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        params = None
    if not is_object(params):
        raise click.UsageError(
            """--scoring-params is no JSON object, as {"llm-as-judge::base": {"judge_model": "m"}}."""
        )
    return params


def _sampling(options: Asked) -> dict[str, Any]:
    temperature, most = options["temperature"], options["max_tokens"]
    strategy = {"type": "top_p", "temperature": temperature, "top_p": 1.0}
    params: dict[str, Any] = {**GREEDY} if not temperature else {"strategy": strategy}
    return params if most is None else {**params, "max_tokens": most}


def _agent(path: str) -> dict[str, Any]:
    from core.cli.agents.config import read_config

    return read_config(
        {
            "file": path,
            "model": None,
            "instructions": None,
            "name": None,
            "tools": (),
            "stores": (),
            "input_shields": (),
            "output_shields": (),
            "max_rounds": None,
            "max_tokens": None,
        }
    )
