"""Decorators, errors and small functions that packages for the reference import."""

from collections.abc import Callable, Iterable, MutableMapping
from contextvars import ContextVar
import logging
from types import SimpleNamespace
from typing import Any, Final, cast, override

from core.platform.json_values import to_object
from core.resolution.external.reference.records import plain

PROVIDER_DATA: Final = ContextVar[SimpleNamespace | None]("PROVIDER_DATA", default=None)
"""What the caller of the call under way has brought for this provider."""
MAKING: Final = ContextVar("MAKING", default="")
"""The type of the provider that is being made."""
LOGGED: Final = frozenset({"exc_info", "stack_info", "stacklevel", "extra"})
"""Keywords of Python's own loggers."""
HealthResponse = dict[str, Any]


class ResourceNotFoundError(ValueError):
    def __init__(self, name: str = "", kind: str = "Resource", *_: object) -> None:
        super().__init__(f"{kind} '{name}' not found")


class ModelNotFoundError(ResourceNotFoundError):
    def __init__(self, name: str = "") -> None:
        super().__init__(name, "Model")


class UnsupportedModelError(ValueError):
    def __init__(self, name: str = "", models: Iterable[str] = ()) -> None:
        super().__init__(f"'{name}' model is not supported. Supported models are: {', '.join(models)}")


class ConflictError(ValueError):
    pass


class InvalidParameterError(ValueError):
    pass


class NeedsRequestProviderData:
    def get_request_provider_data(self) -> SimpleNamespace | None:
        """What the caller has brought, by the names of the validator; None if nothing."""
        return PROVIDER_DATA.get()


class _ModelIds(type):
    def __getattr__(cls, name: str) -> SimpleNamespace:
        if name.startswith("_"):
            raise AttributeError(name)
        return SimpleNamespace(name=name, value=name)


class CoreModelId(metaclass=_ModelIds):
    """Llama's models, each called by the name that the package uses."""


def json_schema_type(cls: Any = None, **_: object) -> Any:  # noqa: ANN401 - any class, with or without options
    """The class as it is: documents are made elsewhere."""
    return register_schema if cls is None else cls


def register_schema(schema_type: Any, name: str | None = None) -> Any:  # noqa: ANN401 - any type
    """The type as it is."""
    del name
    return schema_type


def webmethod[F: Callable[..., Any]](*_: object, **__: object) -> Callable[[F], F]:
    """The method as it is: routes are llambda's own."""
    return lambda method: method


class KeywordLogger(logging.LoggerAdapter[logging.Logger]):
    """Takes what is to be logged as keywords too, as packages for later versions give it."""

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        more = " ".join(f"{name}={value}" for name, value in kwargs.items() if name not in LOGGED)
        rest = {name: value for name, value in kwargs.items() if name in LOGGED}
        return f"{msg} {more.replace('%', '%%')}" if more else msg, rest


def get_logger(name: str, category: str = "", **_: object) -> KeywordLogger:
    """The module's logger, whose level LLAMBDA_LOGGING sets."""
    del category
    return KeywordLogger(logging.getLogger(name))


def generate_object_id(object_type: str, generator: Callable[[], str]) -> str:
    """What the package makes up."""
    del object_type
    return generator()


def sanitize_content_disposition_filename(filename: str) -> str:
    """Without what would end a header, or its quotes."""
    return "".join("_" if char in '"\\/;' or not char.isprintable() else char for char in filename)


def interleaved_content_as_str(content: Any, sep: str = " ") -> str:  # noqa: ANN401 - text, an item, or a list of them
    """The texts; `<image>` for an image."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        return sep.join(interleaved_content_as_str(item) for item in cast("list[object]", content))
    return str(to_object(plain(content)).get("text", "<image>"))


async def prepare_openai_completion_params(**params: object) -> dict[str, Any]:
    """As OpenAI's SDK takes them: without None, and JSON for records."""
    return {name: plain(value) for name, value in params.items() if value is not None}


def validate_embeddings_input_is_text(params: Any) -> None:  # noqa: ANN401 - a request
    """Raises ValueError for tokens."""
    texts = [params.input] if isinstance(params.input, str) else params.input
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"Model `{params.model}` takes texts, no tokens.")
