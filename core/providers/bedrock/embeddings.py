"""OpenAI's embeddings as the InvokeModel bodies of the Titan and Cohere families, and back. Pure.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html.
"""

from array import array
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
import sys
from typing import Any, Final, cast

from core.apis.embedding_options import NO_WORDS, Vocabulary, in_vendors_words
from core.apis.inference import EmbeddingsRequest
from core.errors import InvalidRequest, UpstreamFailed
from core.frame.types import JsonObject

type Vectors = list[list[float]]


@dataclass(frozen=True, slots=True)
class Family:
    """Models that share a body: how many texts it takes, how it is made, and what its answer holds.

    `multimodal` is whether those that take images too take texts the same way, `vocabulary` the family's words for the native
    options.
    """

    most_texts: int
    multimodal: bool
    vocabulary: Vocabulary
    body: Callable[[list[str], JsonObject], JsonObject]
    vectors: Callable[[JsonObject], Any]


def family_of(facts: JsonObject) -> Family | None:
    """Of a model, by what the control plane says of it; None for one that takes another body."""
    family = FAMILIES.get(str(facts.get("provider_name")))
    if family is None or (facts.get("input_modalities") != ["TEXT"] and not family.multimodal):
        return None
    return family


def to_invoke(family: Family, request: EmbeddingsRequest) -> list[JsonObject]:
    """The bodies to invoke the model with, in the input's order.

    Raises:
        InvalidRequest: the input is not text, or an option is not OpenAI's.
    """
    request = in_vendors_words(request, family.vocabulary, f"`{request.model}`")
    options = {name: value for name, value in (request.model_extra or {}).items() if value is not None}
    _check(options)
    texts = _texts(request.input)
    return [family.body(texts[at : at + family.most_texts], options) for at in range(0, len(texts), family.most_texts)]


def from_invoke(family: Family, answer: JsonObject) -> Vectors:
    """The vectors of one answer.

    Raises:
        UpstreamFailed: there are none.
    """
    match family.vectors(answer):
        case [*vectors] if vectors and all(_is_vector(vector) for vector in vectors):
            return cast("Vectors", vectors)
        case _:
            raise UpstreamFailed("The provider's answer has no embeddings.")


def embedding_list(request: EmbeddingsRequest, vectors: Vectors, tokens: int) -> JsonObject:
    """OpenAI's answer, in the encoding that was asked for; base64 is of little-endian 32-bit floats.

    Raises:
        UpstreamFailed: there is not a vector for each text.
    """
    if len(vectors) != (1 if isinstance(request.input, str) else len(request.input)):
        raise UpstreamFailed("The provider did not answer with an embedding for each text.")
    encoded = (request.model_extra or {}).get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if encoded else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _check(options: JsonObject) -> None:
    if options.get("encoding_format", "float") not in ("float", "base64"):
        raise InvalidRequest("encoding_format must be `float` or `base64`.", param="encoding_format")
    dimensions = options.get("dimensions", 1)
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1:
        raise InvalidRequest("dimensions must be a whole number above 0.", param="dimensions")


def _texts(source: str | list[Any]) -> list[str]:
    texts = [source] if isinstance(source, str) else source
    if any(isinstance(text, int | list) for text in texts):
        raise InvalidRequest(
            "Bedrock embeds text, and input is numbers of tokens: send the texts themselves "
            "(langchain-openai does so with check_embedding_ctx_length=False).",
            param="input",
        )
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise InvalidRequest(
            "Bedrock embeds text: input must be a text or a list of texts, none of them empty.", param="input"
        )
    return texts


def _titan_body(texts: list[str], options: JsonObject) -> JsonObject:
    # Titan's first generation refuses `dimensions`: it goes only when it was asked for.
    return {"inputText": texts[0]} | ({"dimensions": options["dimensions"]} if "dimensions" in options else {})


def _cohere_body(texts: list[str], options: JsonObject) -> JsonObject:
    purpose = {"texts": texts, "input_type": options.get("input_type", "search_document")}
    purpose |= {"truncate": options["truncate"]} if "truncate" in options else {}
    return purpose | ({"output_dimension": options["dimensions"]} if "dimensions" in options else {})


def _titan_vectors(answer: JsonObject) -> Any:  # noqa: ANN401 - whatever an upstream sent
    return [answer.get("embedding")]


def _cohere_vectors(answer: JsonObject) -> Any:  # noqa: ANN401 - whatever an upstream sent
    match answer.get("embeddings"):
        case {"float": vectors}:
            return vectors
        case vectors:
            return vectors


def _is_vector(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(cast("list[object]", value))
        and all(
            isinstance(number, int | float) and not isinstance(number, bool) for number in cast("list[object]", value)
        )
    )


def _base64(vector: list[float]) -> str:
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()


COHERE: Final[Vocabulary] = {
    "text_truncation": ("truncate", {"none": "NONE", "start": "START", "end": "END"}),
    "task_type": ("input_type", {"query": "search_query", "document": "search_document"}),
}
FAMILIES: Final = {
    "Amazon": Family(most_texts=1, multimodal=False, vocabulary=NO_WORDS, body=_titan_body, vectors=_titan_vectors),
    "Cohere": Family(most_texts=96, multimodal=True, vocabulary=COHERE, body=_cohere_body, vectors=_cohere_vectors),
}
"""By the `providerName` of ListFoundationModels."""
