"""The config of a search engine: one model per row, made when the row is configured."""

from functools import cache
from typing import Annotated, Any, ClassVar, Final, Literal, override

from pydantic import Field, SecretStr, create_model

from core.config.answer_limits import MIB, AnswerLimits, Limits
from core.config.urls import UpstreamUrl
from core.config.user_fields import USER
from core.providers.http.keyed import KeyedConfig
from core.providers.http.remote import Patience
from core.providers.web_search.rows import ROWS, Row

RESULTS: Final = 3  # of a search that says nothing of it, as in the reference


class Settings(KeyedConfig):
    """What every row has; each adds its vendor's `url` and how many results there are, under its own name of it.

    `url` is not a user's to set: it is where the operator's key goes. `timeout` is in seconds without a byte, and of the whole where it is more than `limits.max_seconds`. What a result may hold is bounded
    whatever the `limits` are.
    """

    row: ClassVar[Row]

    api_key: Annotated[SecretStr | None, USER] = None
    timeout: Annotated[Patience, USER] = 30.0
    connect_timeout: Annotated[Patience, USER] = 10.0
    limits: Limits = AnswerLimits.model_construct(max_bytes=4 * MIB, max_seconds=30.0)

    @property
    @override
    def key(self) -> SecretStr | None:
        return self.api_key

    @property
    def results(self) -> int:
        """How many there are where a search does not say."""
        return int(vars(self)[self.row.size]) if self.row.size else RESULTS

    @property
    def choices(self) -> dict[str, str]:
        """What the vendor is told with every search."""
        return {name: vars(self)[name] for name in self.row.choices}


@cache
def config_of(provider_type: str) -> type[Settings]:
    """The Config of a provider type that is a row of the table."""
    row = ROWS[provider_type]
    fields: dict[str, Any] = {"url": (UpstreamUrl, row.url)}
    if row.size:
        fields[row.size] = (Annotated[int, Field(ge=1), USER], RESULTS)
    for name, values in row.choices.items():
        fields[name] = (Annotated[Literal[*values], USER], values[0])
    config = create_model("Config", __base__=Settings, __module__=__name__, **fields)
    config.row = row
    return config
