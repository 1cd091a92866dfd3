"""Prompts as a client gets them."""

from typing import TypedDict


class Prompt(TypedDict):
    """One version of a prompt."""

    prompt_id: str
    prompt: str
    version: int
    variables: list[str]
    is_default: bool


class PromptList(TypedDict):
    """`has_more` is no field of the reference, whose lists have no pages."""

    data: list[Prompt]
    has_more: bool


type Nothing = None
"""The answer to a deletion, as in the reference: null."""
