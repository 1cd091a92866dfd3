"""One spelling for `server.auth`, `server.quota`, `server.idempotency` and `server.usage`.

| written                                             | becomes                                |
|-----------------------------------------------------|----------------------------------------|
| `auth.endpoint`                                     | a provider of type `custom`            |
| `auth.provider_type` and `auth.config`              | a provider                             |
| `auth.provider_config`, with `type` in it           | a provider                             |
| `auth.providers`, each in one of the last two ways  | the providers, without those whose type is null |
| `quota.kvstore.backend`, `idempotency.kvstore.backend` | that one of `storage.backends`      |

Source: the configurations of Llama Stack 0.2.2, 0.2.12, 0.2.15 and 0.7.3.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from core.config.draft import Draft
from core.config.places import Value, join
from core.config.sections import REFUSED
from core.config.storage import backed_store

AUTH: Final = "server.auth"
WITH_STORE: Final = ("quota", "idempotency", "usage")
SPELLINGS: Final = ("endpoint", "provider_type", "provider_config", "providers")
HINT: Final = "names no auth provider: give `provider_type` and `config`, or a list of `providers`"


def normalise_protection(draft: Draft) -> None:
    """Rewrite these sections of `draft.document` where they are mappings; validation reports all else."""
    section = draft.document.get("server")
    if not isinstance(section, Mapping):
        return
    server = dict(cast("Mapping[str, Value]", section))
    if isinstance(server.get("auth"), Mapping):
        server["auth"] = _auth(draft, cast("Mapping[str, Value]", server["auth"]))
    for name in WITH_STORE:
        if isinstance(server.get(name), Mapping):
            server[name] = _resolve_store(draft, cast("Mapping[str, Value]", server[name]), f"server.{name}.kvstore")
    draft.document["server"] = server


def _auth(draft: Draft, auth: Mapping[str, Value]) -> Value:
    spellings = [key for key in SPELLINGS if auth.get(key) is not None]
    if auth.get("route_policy"):
        draft.blame(f"{AUTH}.route_policy", REFUSED[f"{AUTH}.route_policy"])
    if not spellings:
        draft.blame(AUTH, HINT)
    for other in spellings[1:]:
        draft.blame(f"{AUTH}.{other}", f"is set here and at `{spellings[0]}`; keep one of them")
    rest = {key: value for key, value in auth.items() if key not in (*SPELLINGS, "config", "route_policy")}
    if "config" in auth and spellings[:1] != ["provider_type"]:
        rest["config"] = auth["config"]
    return {"providers": _providers(draft, auth, spellings[0]) if spellings else [], **rest}


def _providers(draft: Draft, auth: Mapping[str, Value], spelling: str) -> Value:
    if spelling == "endpoint":
        draft.origins[f"{AUTH}.providers[0].config.endpoint"] = f"{AUTH}.endpoint"
        return [{"type": "custom", "config": {"endpoint": auth["endpoint"]}}]
    if spelling == "provider_type":
        return [_entry(draft, {key: auth[key] for key in ("provider_type", "config") if key in auth}, AUTH, 0)]
    if spelling == "provider_config":
        return [_entry(draft, auth["provider_config"], f"{AUTH}.provider_config", 0)]
    if not isinstance(auth["providers"], list):
        return auth["providers"]
    providers: list[Value] = []
    for index, entry in enumerate(cast("Sequence[Value]", auth["providers"])):
        if not _is_off(entry):
            providers.append(_entry(draft, entry, f"{AUTH}.providers[{index}]", len(providers)))
    if not providers:
        draft.blame(f"{AUTH}.providers", "has no provider with a type: to serve without auth, remove `auth`")
    return providers


def _is_off(entry: Value) -> bool:
    """Whether its type is given, and null: how a variable that is not set leaves a provider out."""
    if not isinstance(entry, Mapping):
        return False
    types = [cast("Mapping[str, Value]", entry)[key] for key in ("type", "provider_type") if key in entry]
    return types == [None]


def _entry(draft: Draft, entry: Value, place: str, index: int) -> Value:
    """`{provider_type, config}`, or a config with `type` beside its own keys, as `{type, config}`."""
    path = f"{AUTH}.providers[{index}]"
    draft.origins[path] = place
    if not isinstance(entry, Mapping):
        return entry
    values = cast("Mapping[str, Value]", entry)
    if "provider_type" in values:
        draft.origins[f"{path}.type"] = join(place, "provider_type")
        rest = {key: value for key, value in values.items() if key not in ("provider_type", "config")}
        config = values.get("config")
        return {"type": values["provider_type"], "config": {} if config is None else config, **rest}
    draft.origins[f"{path}.config"] = place
    config = {key: value for key, value in values.items() if key != "type"}
    return {**({"type": values["type"]} if "type" in values else {}), "config": config}


def _resolve_store(draft: Draft, section: Mapping[str, Value], place: str) -> Value:
    kvstore = section.get("kvstore")
    if not isinstance(kvstore, Mapping) or "backend" not in kvstore:
        return section
    selection = backed_store(draft.source.get("storage"), cast("Mapping[str, Value]", kvstore), place)
    for problem in selection.problems:
        draft.blame(problem.path, problem.message)
    draft.origins.update(selection.origins)
    return {**section, "kvstore": selection.store} if selection.store is not None else section
