"""A search: what arguments and a tool group's args say of it, and what a vendor is asked. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
import re
from typing import Any, Final

from core.errors import InvalidRequest
from core.frame.types import JsonObject
from core.platform.json_values import is_list, to_object
from core.providers.web_search.results import clean_text
from core.providers.web_search.rows import TERMS, Row
from core.providers.web_search.tools import MOST_DOMAINS, MOST_QUERY, SIZES

DOMAIN: Final = re.compile(r"(?=.{1,253}\Z)(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_](?:[\w-]{0,61}[^\W_])?")
"""A name of at least two labels, in any script: it is put into the words of a search, where a space would begin another term."""
COUNTRY: Final = re.compile(r"[A-Za-z]{2}")


@dataclass(frozen=True, slots=True)
class Search:
    """`count` is how many results are wanted, 0 for as many as the config says; `country` two capitals, "" for none."""

    query: str
    domains: tuple[str, ...] = ()
    count: int = 0
    country: str = ""


def read_search(arguments: JsonObject, args: Mapping[str, Any]) -> Search:
    """What `arguments` ask for. `args` of a tool group are what holds where they say nothing, and its domains bound theirs.

    Raises InvalidRequest for what is none of a search.
    """
    query = arguments.get("query")
    words = clean_text(query).strip() if isinstance(query, str) else ""
    if not words or len(words) > MOST_QUERY:
        raise _invalid("query", f"must be a text of 1 to {MOST_QUERY} characters")
    bounds, domains = _domains(args), _domains(arguments)
    if bounds and domains:
        domains = tuple(domain for domain in domains if any(_is_within(domain, bound) for bound in bounds))
        if not domains:
            raise _invalid("allowed_domains", f"must be among those of the tool group: {', '.join(bounds)}")
    return Search(words, domains or bounds, _count(arguments) or _count(args), _country(arguments) or _country(args))


def check_args(args: Mapping[str, Any]) -> None:
    """Raise InvalidRequest for args of a tool group that no search could go by."""
    for read in (_domains, _count, _country):
        read(args)


def to_parameters(row: Row, search: Search, choices: Mapping[str, str]) -> JsonObject:
    """What the vendor is asked, in its words; `choices` are the config's."""
    words = search.query
    if search.domains and row.domains == TERMS:
        terms = " OR ".join(TERMS + domain for domain in search.domains)
        words = f"{words} ({terms})"
    options: dict[str, Any] = {
        row.count: search.count,
        "" if row.domains == TERMS else row.domains: list(search.domains),
        row.country: search.country.lower() if row.country == "gl" else search.country,  # as Google has them
    }
    return {
        **row.parameters,
        **choices,
        row.query: words,
        **{name: value for name, value in options.items() if name and value},
    }


def _domains(values: Mapping[str, Any]) -> tuple[str, ...]:
    names = values.get("allowed_domains")
    if names is None:
        return ()
    if not is_list(names) or len(names) > MOST_DOMAINS:
        raise _invalid("allowed_domains", f"must be a list of at most {MOST_DOMAINS} domains")
    domains = [item.lower() if isinstance(item, str) else "" for item in names]
    if not all(DOMAIN.fullmatch(domain) for domain in domains):
        raise _invalid("allowed_domains", "must be names of domains, as example.com: no https://, no path")
    return tuple(dict.fromkeys(domains))


def _is_within(domain: str, bound: str) -> bool:
    return domain == bound or domain.endswith(f".{bound}")


def _count(values: Mapping[str, Any]) -> int:
    size = values.get("search_context_size")
    if size is None:
        return 0
    if not isinstance(size, str) or size not in SIZES:
        raise _invalid("search_context_size", f"must be one of {', '.join(SIZES)}")
    return SIZES[size]


def _country(values: Mapping[str, Any]) -> str:
    country = to_object(values.get("user_location")).get("country")
    if not country:
        return ""
    if not isinstance(country, str) or not COUNTRY.fullmatch(country):
        raise _invalid("user_location.country", "must be two letters of ISO 3166, as US")
    return country.upper()


def _invalid(name: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"`{name}` of a search {problem}.", param=name)
