"""Prompts of one caller: kept, listed, read, changed and deleted."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
import re
from typing import Final

from core.apis.answers.prompts import Prompt, PromptList
from core.apis.prompts import (
    MOST_VERSIONS,
    ChangedPrompt,
    DefaultVersion,
    NewPrompt,
    PromptQuery,
    PromptsQuery,
)
from core.errors import InvalidRequest, NotFound
from core.routing.guard import Item
from core.services.prompts.collection import PAGE, PromptCollection
from core.services.prompts.records import PROMPT, VERSION, PromptRecord, Version, show, show_default, version_id
from core.services.prompts.template import check_variables

NUMBER: Final = re.compile("[0-9]{1,6}")  # a longer one is none: versions have six digits in their ids
MOST_ANSWER: Final = 2_000_000  # bytes of the texts of a list: an answer of Lambda has 6 MiB, as JSON


class PromptsRouter:
    """Answers `core.apis.prompts.Prompts`."""

    def __init__(self, prompts: PromptCollection) -> None:
        self._prompts = prompts

    async def create(self, request: NewPrompt) -> Prompt:
        variables = check_variables(request.prompt, request.variables)
        return show_default(await self._prompts.create(request.prompt, variables))

    async def index(self, *, query: PromptsQuery) -> PromptList:
        return await _first(self._own(query.after), query.limit)

    async def get(self, prompt_id: str, *, query: PromptQuery) -> Prompt:
        document, record = await self._prompts.get(prompt_id)
        if query.version is None:
            return show_default(document)
        return show(prompt_id, await self._prompts.version(prompt_id, record, query.version), record)

    async def update(self, request: ChangedPrompt, prompt_id: str) -> Prompt:
        if request.version >= MOST_VERSIONS:
            raise InvalidRequest(
                f"version: a prompt has {MOST_VERSIONS} versions at most. Make a new one of its text.", param="version"
            )
        variables = check_variables(request.prompt, request.variables)
        version = Version(request.version + 1, request.prompt, variables)
        record = await self._prompts.append(prompt_id, version, as_default=request.set_as_default)
        return show(prompt_id, version, record)

    async def delete(self, prompt_id: str) -> None:
        document, _ = await self._prompts.get(prompt_id)
        self._prompts.guard.require("delete", Item(PROMPT, prompt_id, document.owner))
        if not await self._prompts.delete(document):
            raise NotFound(f"There is no prompt `{prompt_id}`.", param="prompt_id")

    async def versions(self, prompt_id: str, *, query: PromptsQuery) -> PromptList:
        _, record = await self._prompts.get(prompt_id)
        after = query.after or "0"
        if not NUMBER.fullmatch(after):
            raise InvalidRequest("after: it is the number of a version.", param="after")
        return await _first(self._versions(prompt_id, record, int(after)), query.limit)

    async def set_default_version(self, request: DefaultVersion, prompt_id: str) -> Prompt:
        _, record = await self._prompts.get(prompt_id)
        version = await self._prompts.version(prompt_id, record, request.version)
        return show(prompt_id, version, await self._prompts.set_default(prompt_id, version))

    async def _own(self, after: str | None) -> AsyncGenerator[Prompt]:
        more = True
        while more:
            page = await self._prompts.documents.page(self._prompts.owner, order="desc", after=after, limit=PAGE)
            for document in page.documents:
                yield show_default(document)
                after = document.id
            more = page.has_more

    async def _versions(self, prompt_id: str, record: PromptRecord, after: int) -> AsyncGenerator[Prompt]:
        """What is behind the newest in the store is from a change that was not finished."""
        newest, begin = record.newest.version, after
        more = begin < newest - 1
        while more:
            place = version_id(prompt_id, after) if after else None
            page = await self._prompts.store.page(VERSION, prompt_id, after=place, limit=PAGE)
            for version in (Version.read(document.body) for document in page.documents):
                if version.version < newest:
                    yield show(prompt_id, version, record)
                after = version.version
            more = page.has_more
        if begin < newest:
            yield show(prompt_id, record.newest, record)


async def _first(prompts: AsyncGenerator[Prompt], limit: int) -> PromptList:
    """As many of them as were asked for and are an answer's size."""
    data, size = list[Prompt](), 0
    async with aclosing(prompts):
        async for prompt in prompts:
            size += len(prompt["prompt"].encode())
            if len(data) == limit or (data and size > MOST_ANSWER):
                return {"data": data, "has_more": True}
            data.append(prompt)
    return {"data": data, "has_more": False}
