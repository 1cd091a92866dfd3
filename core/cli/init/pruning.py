"""The part of a run config that this build serves, and a reason for each part that it does not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import re
from typing import Any, Final, cast

from core.apis.index import routed
from core.config.places import Value, join
from core.config.problems import Problem
from core.config.sections import AUTOMATIC_APIS, RENAMED_APIS, ROUTED_APIS, SECTIONS, UNUSED, Section

SWITCHED: Final = re.compile(r"\$\{env\.[A-Z0-9_]+:?\+([^}]*)\}")
STORES: Final = ("sqlite", "dynamodb")
EMPTIED: Final = ("apis", "providers", "registered_resources", "metadata_store", "server")
# Llama Stack 0.2 called these vendors through LiteLLM, which takes the vendor's name off; here names go out as they are.
PREFIXES: Final = {f"remote::{name}": f"{name}/" for name in ("openai", "anthropic", "gemini", "groq", "sambanova")}
WHOLE: Final = ("groq/compound",)  # names of the vendor's own that begin so


def bare(provider_id: object) -> str:
    """The id, also of a provider that a variable switches on: `vllm` of `${env.VLLM_URL:+vllm}`."""
    text = str(provider_id)
    switched = SWITCHED.fullmatch(text)
    return switched[1] if switched else text


@dataclass(slots=True)
class Pruning:
    """`not_here`: which of the `raw` document's APIs and provider types are not in this build, and why, by path.

    `left_out` has a reason for each path; `origins` say where the entries of the new document stood, and
    `models_served` whether a provider of inference is left.
    """

    raw: Mapping[str, Value]
    not_here: Mapping[str, str]
    left_out: list[Problem] = field(default_factory=list[Problem])
    origins: dict[str, str] = field(default_factory=dict[str, str])
    models_served: bool = False
    _types: dict[str, str] = field(default_factory=dict[str, str])
    _gone: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def document(self) -> dict[str, Value]:
        """What is served, in the order of the file; what is no list or mapping where one belongs stays as it is."""
        kept = dict(self.raw)
        steps = {"apis": self._apis, "providers": self._providers, "metadata_store": self._store}
        for key, step in steps.items():
            if kept.get(key) is not None:
                kept[key] = step(kept[key])
        resources = kept.get("registered_resources")
        if isinstance(resources, Mapping):
            sections = dict(cast("Mapping[str, Value]", resources))
            self._sections(sections, "registered_resources")
            kept["registered_resources"] = sections
        self._sections(kept, "")
        self._unused(kept)
        return {key: value for key, value in kept.items() if key not in EMPTIED or value not in (None, [], {})}

    def _leave_out(self, path: str, reason: str) -> None:
        self.left_out.append(Problem(path, reason))

    def _apis(self, given: Value) -> Value:
        known = (*ROUTED_APIS, *RENAMED_APIS)
        kept: list[Value] = []
        for index, api in enumerate(_list(given)):
            path = f"apis[{index}]"
            if isinstance(api, str) and api in known and api not in routed():
                self._leave_out(path, self.not_here.get(path, f"API `{api}` is not in this build"))
            else:
                self.origins[f"apis[{len(kept)}]"] = path
                kept.append(api)
        return kept if isinstance(given, list) else given

    def _providers(self, given: Value) -> Value:
        if not isinstance(given, Mapping):
            return given
        kept: dict[str, Value] = {}
        for api, entries in cast("Mapping[str, Value]", given).items():
            path = join("providers", api)
            if api in routed() or api in AUTOMATIC_APIS or api not in (*ROUTED_APIS, *RENAMED_APIS):
                kept[api] = list(self._entries(api, _list(entries), path)) if isinstance(entries, list) else entries
            elif entries:
                ids = ", ".join(_ids(entries, "provider_id"))
                self._leave_out(path, f"API `{api}` is not in this build ({ids})")
        self.models_served = bool(kept.get("inference"))
        return {api: entries for api, entries in kept.items() if entries}

    def _entries(self, api: str, entries: Sequence[Value], path: str) -> Iterator[Value]:
        count = 0
        for index, entry in enumerate(entries):
            place = join(path, index)
            name = bare(_mapping(entry).get("provider_id"))
            reason = self.not_here.get(f"{place}.provider_type")
            if reason is not None:
                self._gone.add((api, name))
                self._leave_out(f"{place} ({name})", reason)
                continue
            self.origins[f"{path}[{count}]"] = place
            count += 1
            if api == "inference":
                self._types[name] = str(_mapping(entry).get("provider_type"))
            yield entry

    def _store(self, given: Value) -> Value:
        kind = _mapping(given).get("type")
        if not isinstance(kind, str) or kind in STORES or "${env." in kind:
            return given
        self._leave_out("metadata_store", f"`{kind}` is not served here; state is in SQLite, under ~/.llambda")
        return None

    def _sections(self, holder: dict[str, Value], path: str) -> None:
        """Take from `holder` the resources whose API or provider is not there."""
        for name, section in SECTIONS.items():
            given = holder.get(name)
            if not isinstance(given, list):
                continue
            place = join(path, name)
            if given and section.api not in routed():
                ids = ", ".join(_ids(given, section.id_field))
                self._leave_out(place, f"API `{section.api}` is not in this build ({ids})")
            kept = list(self._resources(_list(given), section, place)) if section.api in routed() else []
            if kept:
                holder[name] = kept
            else:
                del holder[name]

    def _resources(self, entries: Sequence[Value], section: Section, path: str) -> Iterator[Value]:
        taken: dict[str, str] = {}
        count = 0
        for index, entry in enumerate(entries):
            place = join(path, index)
            name, provider_id = (_mapping(entry).get(key) for key in (section.id_field, "provider_id"))
            if (section.api, bare(provider_id)) in self._gone:
                self._leave_out(f"{place} ({name})", f"its provider `{bare(provider_id)}` is left out")
            elif isinstance(name, str) and name in taken:
                self._leave_out(f"{place} ({name})", f"the name is taken already, by {taken[name]}")
            else:
                taken |= {name: place} if isinstance(name, str) else {}
                self.origins[f"{path}[{count}]"] = place
                count += 1
                yield self._model(cast("Mapping[str, Value]", entry), place) if section.name == "models" else entry

    def _model(self, entry: Value, place: str) -> Value:
        """Without the name of the vendor before the model's."""
        given = _mapping(entry)
        prefix = PREFIXES.get(self._types.get(bare(given.get("provider_id")), ""))
        name = given.get("provider_model_id") or given.get("model_id")
        if prefix is None or not isinstance(name, str) or not name.startswith(prefix) or name.startswith(WHOLE):
            return entry
        own = name.removeprefix(prefix)
        self._leave_out(
            f"{place}.provider_model_id", f"`{name}` becomes `{own}`, which is the vendor's own name for it"
        )
        return {**given, "provider_model_id": own}

    def _unused(self, kept: dict[str, Value]) -> None:
        server = dict(_mapping(kept.get("server")))
        for path, reason in UNUSED.items():
            holder, key = (server, path.removeprefix("server.")) if path.startswith("server.") else (kept, path)
            if holder.get(key) is not None and not (key in SECTIONS and isinstance(holder[key], list)):
                self._leave_out(path, reason)
                del holder[key]
        if isinstance(kept.get("server"), Mapping):
            kept["server"] = server


def _list(value: Value) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _mapping(value: Value) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _ids(entries: Value, key: str) -> list[str]:
    return [bare(_mapping(entry).get(key)) for entry in _list(entries)]
