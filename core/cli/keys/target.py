"""Which store the options of `llambda keys` name, and what the run config beside it says of keys."""

from dataclasses import dataclass
from pathlib import Path
from shlex import join, quote
from typing import Annotated, Final, TypedDict

from pydantic import Field

from core.cli.options import Pairs, load_config
from core.config.document import RegistryConfig
from core.config.load import Loaded
from core.config.places import Value, steps, to_list, to_mapping
from core.config.problems import ConfigInvalid, Problem
from core.config.records import DynamoStore, Record, SqliteStore
from core.config.redact import names_secret
from core.config.security import QuotaConfig
from core.platform import environment
from core.platform.commands import path_word

SECTIONS: Final = ("metadata_store", "storage", "registry", "image_name", "distro_name", "conda_env", "name")


class StoreOptions(TypedDict):
    """The options that every action has."""

    config: str
    env: Pairs
    table: str | None
    region: str | None


class KeySettings(Record):
    """The parts of a run config that say where keys are, and how soon a revoked one is refused."""

    metadata_store: Annotated[SqliteStore | DynamoStore, Field(discriminator="type")]
    registry: RegistryConfig = Field(default_factory=RegistryConfig)


@dataclass(frozen=True, slots=True)
class KeyStore:
    """`opens`: whether an auth provider of the run config, `source`, takes API keys; None if that is not known.

    `document` is the run config, None where there is only a table; `options` are those that lead to the store again.
    `counters` are where the quota counts what keys use, and `shards` over how many accounts each: 0 without a quota, None where that is not known.
    """

    settings: KeySettings
    options: str
    source: str = "the deployment's run config"
    opens: bool | None = None
    document: Value = None
    counters: SqliteStore | DynamoStore | None = None
    shards: int | None = None

    @property
    def place(self) -> str:
        """Where the keys are, to be read by people."""
        match self.settings.metadata_store:
            case SqliteStore(db_path=path):
                return f"the SQLite file {Path(path).resolve()}"
            case DynamoStore(table=table, region=region):
                return f"the DynamoDB table {table}{f' in {region}' if region else ''}"


def target_of(options: StoreOptions) -> KeyStore:
    """The store that the options name; nothing is opened.

    Raises:
        ConfigInvalid: they or the run config do not say where keys are.
    """
    if options["table"] is not None:
        environment.set_variables(dict(options["env"]))
        store = DynamoStore(table=options["table"], region=options["region"] or None)
        region = ["--region", options["region"]] if options["region"] else []
        return KeyStore(KeySettings(metadata_store=store), join(["--table", options["table"], *region]))
    if options["region"] is not None:
        raise ConfigInvalid("--region", [Problem("", "is for --table; a run config names its own region")])
    path, loaded = load_config(options["config"], options["env"])
    pairs = [f"--env {quote(f'{name}={value}')}" for name, value in options["env"] if not names_secret(name)]
    words = " ".join([f"--config {path_word(options['config'])}", *pairs])
    counters, shards = _counters(loaded)
    opens = _opens(loaded.document)
    return KeyStore(_settings(str(path), loaded), words, str(path), opens, loaded.document, counters, shards)


def _settings(source: str, loaded: Loaded) -> KeySettings:
    """Mistakes elsewhere in the run config do not matter: keys can be revoked all the same.

    Raises:
        ConfigInvalid: these settings have mistakes.
    """
    problems = [problem for problem in loaded.problems if not problem.path or steps(problem.path)[0] in SECTIONS]
    parts = {name: loaded.document[name] for name in KeySettings.model_fields if name in loaded.document}
    record, more = loaded.check(KeySettings, parts, "")
    if record is None or problems:
        raise ConfigInvalid(source, problems + more)
    return record


def _counters(loaded: Loaded) -> tuple[SqliteStore | DynamoStore | None, int | None]:
    """Where the quota counts, and its shards; nothing is known where its part of the run config is wrong."""
    quota = to_mapping(loaded.document.get("server")).get("quota")
    if not quota:
        return None, 0
    record, problems = loaded.check(QuotaConfig, quota, "server.quota")
    return (None, None) if record is None or problems else (record.kvstore, record.shards)


def _opens(document: Value) -> bool:
    for name in ("server", "auth", "providers"):
        document = to_mapping(document).get(name)
    return any(to_mapping(entry).get("type") == "api_key" for entry in to_list(document))
