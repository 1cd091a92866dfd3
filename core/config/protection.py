"""One spelling for `server.auth`, `server.quota` and `server.idempotency`.

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
STORED: Final = ("quota", "idempotency")
SPELLINGS: Final = ("endpoint", "provider_type", "provider_config", "providers")
HINT: Final = "names no auth provider: give `provider_type` and `config`, or a list of `providers`"


def protection(draft: Draft) -> None:
    """Rewrite these sections of `draft.document`, as far as they have the shape for it."""
    given = draft.document.get("server")
    if not isinstance(given, Mapping):
        return
    server = dict(cast("Mapping[str, Value]", given))
    if isinstance(server.get("auth"), Mapping):
        server["auth"] = _auth(draft, cast("Mapping[str, Value]", server["auth"]))
    for name in STORED:
        if isinstance(server.get(name), Mapping):
            server[name] = _stored(draft, cast("Mapping[str, Value]", server[name]), f"server.{name}.kvstore")
    draft.document["server"] = server


def _auth(draft: Draft, auth: Mapping[str, Value]) -> Value:
    used = [key for key in SPELLINGS if auth.get(key) is not None]
    if auth.get("route_policy"):
        draft.blame(f"{AUTH}.route_policy", REFUSED[f"{AUTH}.route_policy"])
    if not used:
        draft.blame(AUTH, HINT)
    for other in used[1:]:
        draft.blame(f"{AUTH}.{other}", f"is given here and at `{used[0]}`; give one of them")
    rest = {key: value for key, value in auth.items() if key not in (*SPELLINGS, "config", "route_policy")}
    if "config" in auth and used[:1] != ["provider_type"]:
        rest["config"] = auth["config"]
    return {"providers": _providers(draft, auth, used[0]) if used else [], **rest}


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
    kept: list[Value] = []
    for index, entry in enumerate(cast("Sequence[Value]", auth["providers"])):
        if not _dropped(entry):
            kept.append(_entry(draft, entry, f"{AUTH}.providers[{index}]", len(kept)))
    if not kept:
        draft.blame(f"{AUTH}.providers", "has no provider with a type: to serve without auth, remove `auth`")
    return kept


def _dropped(entry: Value) -> bool:
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
    written = cast("Mapping[str, Value]", entry)
    if "provider_type" in written:
        draft.origins[f"{path}.type"] = join(place, "provider_type")
        rest = {key: value for key, value in written.items() if key not in ("provider_type", "config")}
        config = written.get("config")
        return {"type": written["provider_type"], "config": {} if config is None else config, **rest}
    draft.origins[f"{path}.config"] = place
    config = {key: value for key, value in written.items() if key != "type"}
    return {**({"type": written["type"]} if "type" in written else {}), "config": config}


def _stored(draft: Draft, section: Mapping[str, Value], place: str) -> Value:
    kvstore = section.get("kvstore")
    if not isinstance(kvstore, Mapping) or "backend" not in kvstore:
        return section
    found = backed_store(draft.source.get("storage"), cast("Mapping[str, Value]", kvstore), place)
    for problem in found.problems:
        draft.blame(problem.path, problem.message)
    draft.origins.update(found.origins)
    return {**section, "kvstore": found.store} if found.store is not None else section
