"""The arguments of `llambda keys`: what each may be, and which store they name."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
import re
from typing import Annotated, Final, cast

from pydantic import Field

from core.config import distributions, environment
from core.config.document import RegistryConfig
from core.config.load import Loaded, load
from core.config.places import Value, steps
from core.config.problems import ConfigInvalid, Problem
from core.config.records import DynamoStore, Record, SqliteStore

MOST_NAME: Final = 100
PERIOD: Final = re.compile(r"([1-9][0-9]{0,4})([dh])", re.ASCII)
TABLE: Final = re.compile(r"\S{3,1024}")  # a name or an ARN
SECTIONS: Final = ("metadata_store", "storage", "registry", "image_name", "distro_name", "conda_env", "name")


class Stored(Record):
    """What of a run config says where keys are, and how soon a revoked one is refused."""

    metadata_store: Annotated[SqliteStore | DynamoStore, Field(discriminator="type")]
    registry: RegistryConfig = Field(default_factory=RegistryConfig)


@dataclass(frozen=True, slots=True)
class Target:
    """`opens`: whether an auth provider of the run config, `source`, takes API keys; None if that is not known."""

    stored: Stored
    source: str = "the deployment's run config"
    opens: bool | None = None


def name(text: str) -> str:
    """Without blanks at its ends."""
    if not text.strip() or not text.isprintable() or len(text) > MOST_NAME:
        raise argparse.ArgumentTypeError(f"must be 1 to {MOST_NAME} printable characters, not all blank")
    return text.strip()


def roles(text: str) -> list[str]:
    """Each once."""
    names = text.split(",")
    if not all(one and one.isprintable() and " " not in one for one in names):
        raise argparse.ArgumentTypeError(f"`{text}` must be names without blanks, with commas between them: admin,dev")
    return list(dict.fromkeys(names))


def expiry(text: str) -> int:
    """Unix seconds."""
    now = datetime.now(UTC)
    period = PERIOD.fullmatch(text)
    if period is not None:
        return int((now + timedelta(**{"days" if period[2] == "d" else "hours": int(period[1])})).timestamp())
    try:
        then = datetime.combine(date.fromisoformat(text), time(tzinfo=UTC))
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is no time; write 30d, 12h or 2027-01-31") from None
    if then <= now:
        raise argparse.ArgumentTypeError(f"`{text}` is past")
    return int(then.timestamp())


def key_id(text: str) -> str:
    from core.auth.key_format import ID

    if not ID.fullmatch(text):  # it may be a whole key, which must not be shown
        raise argparse.ArgumentTypeError("must be 12 characters, as `llambda keys list` shows them: not the key itself")
    return text


def table(text: str) -> str:
    if not TABLE.fullmatch(text):
        raise argparse.ArgumentTypeError("must be the name or the ARN of a DynamoDB table")
    return text


def target(options: argparse.Namespace) -> Target:
    """What the options name; nothing is opened.

    Raises:
        ConfigInvalid: they or the run config do not say where keys are.
    """
    environment.set_variables(dict(options.env))
    if options.table is not None:
        return Target(Stored(metadata_store=DynamoStore(table=options.table, region=options.region or None)))
    if options.region is not None:
        raise ConfigInvalid("--region", [Problem("", "is for --table; a run config names its own region")])
    path = distributions.find(options.config)
    loaded = load(path, environment.environ())
    return Target(_stored(str(path), loaded), str(path), _opens(loaded.document))


def _stored(source: str, loaded: Loaded) -> Stored:
    """Mistakes in the run config that say nothing about its store do not matter.

    Raises:
        ConfigInvalid: the others do.
    """
    problems = [problem for problem in loaded.problems if not problem.path or steps(problem.path)[0] in SECTIONS]
    parts = {name: loaded.document[name] for name in Stored.model_fields if name in loaded.document}
    record, more = loaded.check(Stored, parts, "")
    if record is None or problems:
        raise ConfigInvalid(source, problems + more)
    return record


def _opens(document: Value) -> bool:
    for name in ("server", "auth", "providers"):
        document = _mapping(document).get(name)
    entries = cast("Sequence[Value]", document) if isinstance(document, list) else ()
    return any(_mapping(entry).get("type") == "api_key" for entry in entries)


def _mapping(value: Value) -> Mapping[str, Value]:
    return cast("Mapping[str, Value]", value) if isinstance(value, Mapping) else {}
