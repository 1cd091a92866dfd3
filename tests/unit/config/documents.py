"""Run configs in memory, for the tests of this folder."""

from typing import Any

from core.config.load import Loaded, interpret


def loaded(environ: dict[str, str] | None = None, **document: Any) -> Loaded:
    return interpret({"image_name": "x"} | document, environ or {})


def provider(name: Any = "a", **config: Any) -> dict[str, Any]:
    return {"provider_id": name, "provider_type": "remote::vllm", "config": config}


def problems(environ: dict[str, str] | None = None, **document: Any) -> dict[str, str]:
    found = loaded(environ, **document)
    paths = [problem.path for problem in found.problems]
    assert len(set(paths)) == len(paths), "two problems for one path"
    assert (found.config is None) == bool(paths)
    return {problem.path: problem.message for problem in found.problems}
