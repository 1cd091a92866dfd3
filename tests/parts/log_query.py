"""The query of docs/operations.md for all that was logged of one request."""

import re

from tests.parts.stack import ROOT


def asked_for() -> tuple[list[str], list[str]]:
    """The fields that it shows, and those that it looks for the id in."""
    document = (ROOT / "docs" / "operations.md").read_text("utf-8")
    match = re.search(r"^fields (.+)\n\| filter (.+?) \|", document, re.MULTILINE)
    assert match is not None
    return match[1].split(", "), re.findall(r'(\w+) = "ID"', match[2])
