"""Which store the options of `llambda usage` name, and what the run config beside it says of usage."""

from dataclasses import dataclass
from typing import Final

from core.cli.keys.target import SECTIONS
from core.cli.options import Pairs, load_config
from core.config.places import Value, steps, to_mapping
from core.config.problems import ConfigInvalid, Problem
from core.config.records import Database, DynamoStore, Record
from core.config.usage import UsageConfig
from core.platform import environment

NOWHERE: Final = "no usage is counted: name a store at `server.usage.kvstore`, or configure `server.quota`"


class UsageSettings(Record):
    """The parts of a run config that say where usage is counted, and where the names of keys are."""

    kvstore: Database
    metadata_store: Database | None = None


@dataclass(frozen=True, slots=True)
class UsagePlace:
    """`retention_days` are those that usage is kept for."""

    settings: UsageSettings
    retention_days: int


def place_of(config: str, env: Pairs, table: str | None, region: str | None) -> UsagePlace:
    """The store that the options name; nothing is opened.

    Raises:
        ConfigInvalid: they or the run config do not say where usage is counted.
    """
    if table is not None:
        environment.set_variables(dict(env))
        longest = UsageConfig.model_fields["retention_days"].default  # what a run config elsewhere says is not known
        return UsagePlace(UsageSettings(kvstore=DynamoStore(table=table, region=region or None)), longest)
    if region is not None:
        raise ConfigInvalid("--region", [Problem("", "is for --table; a run config names its own region")])
    path, loaded = load_config(config, env)
    server = to_mapping(loaded.document.get("server"))
    store: Value = to_mapping(server.get("quota")).get("kvstore") or to_mapping(server.get("usage")).get("kvstore")
    if not store:
        raise ConfigInvalid(str(path), [Problem("server", NOWHERE)])
    parts = {"kvstore": store, "metadata_store": loaded.document.get("metadata_store")}
    settings, problems = loaded.check(UsageSettings, parts, "")
    usage, more = loaded.check(UsageConfig, to_mapping(server.get("usage")), "server.usage")
    problems = [*problems, *more, *(one for one in loaded.problems if _matters(one))]
    if settings is None or usage is None or problems:
        raise ConfigInvalid(str(path), problems)
    return UsagePlace(settings, usage.retention_days)


def _matters(problem: Problem) -> bool:
    """Mistakes elsewhere in the run config do not."""
    return not problem.path or steps(problem.path)[0] in SECTIONS
