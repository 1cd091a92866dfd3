"""Where an old run config keeps its state, and who may call: what of both is served here."""

from collections.abc import Callable
import re
from typing import Any, Final

from core.auth.types import TYPES
from core.config.places import Value, to_list, to_mapping
from core.config.storage import SERVED
from core.platform.environment import environ

SQLITE: Final = ("sqlite", "dynamodb")
IN_HOME: Final = "`{}` is not served here; state is in SQLite, under ~/.llambda"
BESIDE: Final = "`{}` is not served here; it is kept beside the rest"
NO_BACKEND: Final = "no store uses it here"
OFF: Final = "{} is not set, so that the file lets anybody call; set it and convert again to keep this"
KEYS: Final = "auth provider `{}` is not served here: `api_key` is in its place (`llambda keys create` makes keys)"
NO_TENANTS: Final = "tenants are not served; they are switched off here"
SWITCH: Final = re.compile(r"\$\{env\.([A-Z0-9_]+):?\+[^}]*\}")
DISABLED: Final = re.compile(r"(?:\$\{env\.\w+:=?)?disabled\}?")

type LeaveOut = Callable[[str, str], None]


def prune_stores(document: dict[str, Any], leave_out: LeaveOut) -> None:
    """Without the stores, and then the backends, that are of no database here: passwords are in them."""
    kind = to_mapping(document.get("metadata_store")).get("type")
    if isinstance(kind, str) and kind not in SQLITE and "${env." not in kind:
        leave_out("metadata_store", IN_HOME.format(kind))
        del document["metadata_store"]
    storage = to_mapping(document.get("storage"))
    backends, stores = ({**to_mapping(storage.get(name))} for name in ("backends", "stores"))
    foreign = {name: backend for name, backend in backends.items() if _is_elsewhere(backend)}
    for name, reference in list(stores.items()):
        backend = to_mapping(foreign.get(str(to_mapping(reference).get("backend"))))
        if backend:
            message = IN_HOME if name == "metadata" else BESIDE
            leave_out(f"storage.stores.{name}", message.format(backend.get("type")))
            del stores[name]
    for name in foreign:
        leave_out(f"storage.backends.{name}", NO_BACKEND)
        del backends[name]
    if foreign:
        document["storage"] = {**storage, "backends": backends, "stores": stores}
    if foreign and not stores:
        del document["storage"]


def _is_elsewhere(backend: Value) -> bool:
    kind = to_mapping(backend).get("type")
    types = {name for row in SERVED.values() for name in row}
    return isinstance(kind, str) and kind not in types and "${env." not in kind


def prune_protection(server: dict[str, Any], leave_out: LeaveOut) -> None:
    """Without tenants that are switched off. An auth provider that is not here becomes one that lets fewer people in."""
    tenancy = to_mapping(server.get("tenancy"))
    mode = tenancy.get("mode")
    if isinstance(mode, str) and DISABLED.fullmatch(mode):
        leave_out("server.tenancy", NO_TENANTS)
        del server["tenancy"]
    auth: Any = server.get("auth")
    if not to_mapping(auth):
        return
    entry = to_mapping(auth.get("provider_config"))
    switch = SWITCH.fullmatch(entry["type"]) if isinstance(entry.get("type"), str) else None
    if switch is not None and not environ().get(switch[1]):
        leave_out("server.auth", OFF.format(switch[1]))
        del server["auth"]
        return
    _use_keys(auth, leave_out)


def _use_keys(auth: dict[str, Any], leave_out: LeaveOut) -> None:
    if "provider_type" in auth and _is_foreign(auth["provider_type"]):
        leave_out("server.auth.provider_type", KEYS.format(auth["provider_type"]))
        auth["provider_type"] = "api_key"
        auth.pop("config", None)
    if _is_foreign(kind := to_mapping(auth.get("provider_config")).get("type")):
        leave_out("server.auth.provider_config", KEYS.format(kind))
        auth["provider_config"] = {"type": "api_key"}
    for index, entry in enumerate(to_list(auth.get("providers"))):
        if _is_foreign(kind := to_mapping(entry).get("type") or to_mapping(entry).get("provider_type")):
            leave_out(f"server.auth.providers[{index}]", KEYS.format(kind))
            auth["providers"][index] = {"type": "api_key"}


def _is_foreign(kind: Value) -> bool:
    return isinstance(kind, str) and kind not in TYPES and "${env." not in kind
