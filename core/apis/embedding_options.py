"""The options of an embedding that Llama Stack 0.2 has and OpenAI's wire has not, in a vendor's words. Pure."""

from collections.abc import Mapping
from typing import Final

from core.apis.inference import EmbeddingsRequest
from core.errors import InvalidRequest

DEFAULTS: Final = {"text_truncation": "none"}
"""What need not be said: a text that is too long is refused."""

type Vocabulary = Mapping[str, tuple[str, Mapping[str, str]]]
"""The vendor's field, and its values by Llama Stack's, by Llama Stack's field."""

NO_WORDS: Final[Vocabulary] = {}


def in_vendors_words(request: EmbeddingsRequest, vocabulary: Vocabulary, vendor: str) -> EmbeddingsRequest:
    """The request with its native options as the vendor's fields.

    Raises:
        InvalidRequest: the vendor has nothing like one of them; `vendor` is how the message names it.
    """
    if not request.native_options:
        return request
    options: dict[str, str] = {}
    for name, value in request.native_options.items():
        if name in vocabulary:
            field, values = vocabulary[name]
            options[field] = values[value]
        elif DEFAULTS.get(name) != value:
            raise InvalidRequest(
                f"{name}: {vendor} has nothing like it. Leave it out, or send a field of the vendor's own in its place.",
                param=name,
            )
    translated = request.model_copy(update=options)
    for name in request.native_options:
        (translated.model_extra or {}).pop(name, None)
    return translated
