"""Prompts: texts with variables, kept in versions, which a response may begin with.

Sources: Prompts of Llama Stack 0.7.3 and OGX 1.5.0; for what a request says of one, https://platform.openai.com/docs/api-reference/responses/create.
"""

from typing import Annotated, Final, Protocol

from pydantic import Field

from core.apis.answers.prompts import Prompt, PromptList
from core.frame.types import Query, Wire

MOST_TEXT: Final = 100_000
"""Characters of a prompt: a list of them has to be an answer of a function."""
MOST_VARIABLES: Final = 100
MOST_VERSIONS: Final = 1000

type Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=MOST_VARIABLES)]
type Version = Annotated[int, Field(ge=1)]


class NewPrompt(Wire):
    """`{{ name }}` in the text stands for a variable. Without `variables` they are those of the text."""

    prompt: Text
    variables: Names | None = None


class ChangedPrompt(NewPrompt):
    """What takes the place of `version`, which must be the newest."""

    version: Version
    set_as_default: bool = True


class DefaultVersion(Wire):
    version: Version


class PromptQuery(Query):
    """Without `version` it is the default one."""

    version: Version | None = None


class PromptsQuery(Query):
    """A page of the caller's own prompts, or of the versions of one; the reference gives all."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000


class Prompts(Protocol):
    """The caller's prompts. One that it may not read is NotFound, as one that is not there."""

    async def create(self, request: NewPrompt) -> Prompt:
        """Keep a new prompt, whose version 1 is its default."""
        ...

    async def index(self, *, query: PromptsQuery) -> PromptList:
        """The default versions, the newest prompt first."""
        ...

    async def get(self, prompt_id: str, *, query: PromptQuery) -> Prompt: ...

    async def update(self, request: ChangedPrompt, prompt_id: str) -> Prompt:
        """Keep the next version; of two that follow the same one, one is refused.

        Raises:
            InvalidRequest: `version` is not the newest.
        """
        ...

    async def delete(self, prompt_id: str) -> None:
        """Remove it with all its versions."""
        ...

    async def versions(self, prompt_id: str, *, query: PromptsQuery) -> PromptList:
        """Its versions, the oldest first; `after` is a number."""
        ...

    async def set_default_version(self, request: DefaultVersion, prompt_id: str) -> Prompt: ...
