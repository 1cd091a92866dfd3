"""Secrets taken out of what people and logs get to see."""

from collections.abc import Mapping, Sequence
import re
from typing import Any, Final, cast
from urllib.parse import unquote

from core.config.places import Value

MASK: Final = "********"
WORDS: Final = (
    "api_key|apikey|token|password|passwd|passphrase|secret|credential|authorization|access_key|accesskey|private_key"
)
SECRET: Final = re.compile(WORDS)
USERINFO: Final = re.compile(r"(?<=://)[^/?#\s]*@")
PARAMETER: Final = re.compile(
    r"[?&]([^?=&#\s]*+)="
)  # a name has no `?`: each place is the beginning of one name at most
VALUE: Final = re.compile(r"[^&#\s]++")


KEYS: Final = (
    r"\b(?:sk-|rk-|gsk_|hf_|nvapi-|xai-|pplx-|fw_|csk-|r8_|tgp_v1_|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|dapi|llambda_|ABSK|AKIA"
    r"|ASIA|AIza|ya29\.|eyJ)[\w.*-]{8,}"  # how the keys and tokens of vendors begin
    r"|\b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9+/]{32,}={0,2}"
    r"|(?i:(?<=bearer )|(?<=basic )|(?<=key: )|(?<=key=)|(?<=token: )|(?<=token=)|(?<=signature=)|(?<=credential=))"
    r"(?=[^\s,;'\"]{0,256}[0-9])[^\s,;'\"]{8,}"
)
"""What looks like a key, whosoever it is."""


def redact_keys(text: str) -> str:
    """The text, which is short, with what looks like a key masked."""
    return re.sub(KEYS, MASK, text)


def names_secret(key: str) -> bool:
    """Whether a key's name says that its value is secret, in snake, kebab or camel case."""
    return SECRET.search(key.lower().replace("-", "_")) is not None


def redact_text(text: str) -> str:
    """The text with the userinfo of URLs, and the values of query parameters that look secret, masked."""
    if "://" not in text and "=" not in text:
        return text
    return _mask_parameters(USERINFO.sub(f"{MASK}@", text))


def _mask_parameters(text: str) -> str:
    """In time that grows with the text alone: upstreams write what goes through here."""
    pieces: list[str] = []
    done = 0
    for name in PARAMETER.finditer(text):
        value = VALUE.match(text, name.end()) if name.start() >= done and names_secret(unquote(name[1])) else None
        if value is not None:
            pieces += text[done : name.end()], MASK
            done = value.end()
    return "".join([*pieces, text[done:]])


def redact(value: Value) -> Value:
    """A deep copy without secrets: what stands under a key that names one becomes a mask, unless it is empty.

    Numbers under `max_tokens` and other `...tokens` keys are counts and stay.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, Any]", value).items()
        return {key: _entry(str(key), item) for key, item in items}
    if isinstance(value, list | tuple):
        copies = [redact(entry) for entry in cast("Sequence[object]", value)]
        return tuple(copies) if isinstance(value, tuple) else copies
    return value


def _entry(key: str, value: Value) -> Value:
    if not names_secret(key) or _is_count(key, value):
        return redact(value)
    return redact(value) if value is None or value in ("", {}, [], ()) else MASK


def _is_count(key: str, value: object) -> bool:
    return key.lower().endswith("tokens") and isinstance(value, int | float)
