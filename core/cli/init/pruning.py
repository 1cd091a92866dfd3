"""The part of a run config that this build serves, and why each of the other parts is left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import re
from typing import Any, Final, cast

from core.apis.index import configurable_names
from core.cli.init.deployment import prune_protection, prune_stores
from core.config.places import Value, join, take, to_list, to_mapping
from core.config.problems import Problem
from core.config.references import DEFAULT_PROVIDERS
from core.config.sections import AUTOMATIC_APIS, OLDER_APIS, RENAMED_APIS, ROUTED_APIS, SECTIONS, UNUSED, Section

SWITCH: Final = re.compile(r"\$\{env\.[A-Z0-9_]+:?\+([^}]*)\}")
EVERY: Final = "all"
NO_EVERY: Final = "`all` stands for every provider, which none is here; models that a provider lists are PROVIDER/NAME"
OLD_KEYS: Final = {  # of a run config, over the reference's versions, that say nothing here
    "built_at": "says when the reference built it",
    "docker_image": "containers are not built here",
    "telemetry": "telemetry is not served yet",
    "logging_config": "levels are in `logging.level`, or LLAMBDA_LOGGING",
    "eval_tasks": "API `eval` is not in this build",
    "memory_banks": "they are vector stores now, and are declared in `vector_stores`",
}
EMPTIED: Final = ("apis", "providers", "registered_resources", "metadata_store", "server", "vector_stores")
# Llama Stack 0.2 called these vendors through LiteLLM, which takes the vendor's name off; here names go out as they are.
PREFIXES: Final = {f"remote::{name}": f"{name}/" for name in ("openai", "anthropic", "gemini", "groq", "sambanova")}
WHOLE: Final = ("groq/compound",)  # names of the vendor's own that begin so


def bare(provider_id: object) -> str:
    """The id, also of a provider that a variable switches on: `vllm` of `${env.VLLM_URL:+vllm}`."""
    text = str(provider_id)
    switch = SWITCH.fullmatch(text)
    return switch[1] if switch else text


@dataclass(slots=True)
class Pruning:
    """`not_here`: which of the `raw` document's APIs and provider types are not in this build, and why, by path.

    `left_out` has a reason for each path; `origins` say where the entries of the new document stood, and
    `has_models` whether a provider of inference remains.
    """

    raw: Mapping[str, Value]
    not_here: Mapping[str, str]
    left_out: list[Problem] = field(default_factory=list[Problem])
    origins: dict[str, str] = field(default_factory=dict[str, str])
    has_models: bool = False
    _types: dict[str, str] = field(default_factory=dict[str, str])
    _ids: dict[tuple[str, str], Value] = field(default_factory=dict[tuple[str, str], Any])
    _removed_ids: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def document(self) -> dict[str, Value]:
        """What is served, in the order of the file; what is no list or mapping where one belongs stays as it is."""
        document = dict(self.raw)
        steps = {"apis": self._apis, "providers": self._providers}
        for key, step in steps.items():
            if document.get(key) is not None:
                document[key] = step(document[key])
        resources = document.get("registered_resources")
        if isinstance(resources, Mapping):
            sections = dict(cast("Mapping[str, Value]", resources))
            self._sections(sections, "registered_resources")
            document["registered_resources"] = sections
        self._sections(document, "")
        prune_stores(document, self._leave_out)
        self._drop_keys_without_effect(document)
        return {key: value for key, value in document.items() if key not in EMPTIED or value not in (None, [], {})}

    def _leave_out(self, path: str, reason: str) -> None:
        self.left_out.append(Problem(path, reason))

    def _apis(self, entries: Value) -> Value:
        apis: list[Value] = []
        for index, api in enumerate(to_list(entries)):
            path = f"apis[{index}]"
            name = RENAMED_APIS.get(api, api) if isinstance(api, str) else None
            is_here = name in configurable_names() or (name in OLDER_APIS and self._has_provider(str(name)))
            if name in ROUTED_APIS and not is_here:
                self._leave_out(path, self.not_here.get(path, f"API `{api}` is not in this build"))
            else:
                self.origins[f"apis[{len(apis)}]"] = path
                apis.append(api)
        return apis if isinstance(entries, list) else entries

    def _has_provider(self, api: str) -> bool:
        """Whether one that this build has is left of those of this API."""
        entries = to_list(to_mapping(self.raw.get("providers")).get(api))
        return any(f"providers.{api}[{index}].provider_type" not in self.not_here for index in range(len(entries)))

    def _providers(self, providers: Value) -> Value:
        if not isinstance(providers, Mapping):
            return providers
        usable: dict[str, Value] = {}
        for api, entries in cast("Mapping[str, Value]", providers).items():
            path = join("providers", api)
            served = (*configurable_names(), *AUTOMATIC_APIS, *OLDER_APIS)
            if api in served or api not in (*ROUTED_APIS, *RENAMED_APIS):
                usable[api] = list(self._entries(api, to_list(entries), path)) if isinstance(entries, list) else entries
            elif entries:
                ids = ", ".join(_ids(entries, "provider_id"))
                self._leave_out(path, f"API `{api}` is not in this build ({ids})")
        self.has_models = bool(usable.get("inference"))
        return {api: entries for api, entries in usable.items() if entries}

    def _entries(self, api: str, entries: Sequence[Value], path: str) -> Iterator[Value]:
        count = 0
        for index, entry in enumerate(entries):
            place = join(path, index)
            name = bare(to_mapping(entry).get("provider_id"))
            reason = self.not_here.get(f"{place}.provider_type")
            if reason is not None:
                self._removed_ids.add((api, name))
                self._leave_out(f"{place} ({name})", reason)
                continue
            self.origins[f"{path}[{count}]"] = place
            self._ids[api, name] = to_mapping(entry).get("provider_id")
            count += 1
            if api == "inference":
                self._types[name] = str(to_mapping(entry).get("provider_type"))
            yield entry

    def _sections(self, holder: dict[str, Value], path: str) -> None:
        """Take from `holder` the resources whose API or provider is not there."""
        for name, section in SECTIONS.items():
            entries = holder.get(name)
            if not isinstance(entries, list):
                continue
            place = join(path, name)
            if entries and section.api not in configurable_names():
                ids = ", ".join(_ids(entries, section.id_field))
                self._leave_out(place, f"API `{section.api}` is not in this build ({ids})")
            usable = (
                list(self._resources(to_list(entries), section, place)) if section.api in configurable_names() else []
            )
            if usable:
                holder[name] = usable
            else:
                del holder[name]

    def _resources(self, entries: Sequence[Value], section: Section, path: str) -> Iterator[Value]:
        places_by_name: dict[str, str] = {}
        count = 0
        for index, resource in enumerate(entries):
            place = join(path, index)
            name, provider_id = (to_mapping(resource).get(key) for key in (section.id_field, "provider_id"))
            if (section.api, bare(provider_id)) in self._removed_ids:
                self._leave_out(f"{place} ({name})", f"its provider `{bare(provider_id)}` is left out")
            elif provider_id == EVERY and (section.api, EVERY) not in self._ids:
                self._leave_out(f"{place} ({name})", NO_EVERY)
            elif isinstance(name, str) and name in places_by_name:
                self._leave_out(f"{place} ({name})", f"the name is already used by {places_by_name[name]}")
            else:
                places_by_name |= {name: place} if isinstance(name, str) else {}
                self.origins[f"{path}[{count}]"] = place
                count += 1
                entry = self._switch(resource, section.api)
                yield self._model(entry, place) if section.name == "models" else entry

    def _switch(self, entry: Value, api: str) -> Value:
        """Off where its provider is."""
        provider_id = to_mapping(entry).get("provider_id")
        id_text = self._ids.get((api, provider_id), provider_id) if isinstance(provider_id, str) else provider_id
        return entry if id_text == provider_id else {**to_mapping(entry), "provider_id": id_text}

    def _model(self, entry: Value, place: str) -> Value:
        """Without the name of the vendor before the model's."""
        values = to_mapping(entry)
        prefix = PREFIXES.get(self._types.get(bare(values.get("provider_id")), ""))
        name = values.get("provider_model_id") or values.get("model_id")
        if prefix is None or not isinstance(name, str) or not name.startswith(prefix) or name.startswith(WHOLE):
            return entry
        own = name.removeprefix(prefix)
        self._leave_out(f"{place}.provider_model_id", f"`{name}` becomes `{own}`, the vendor's own name for it")
        return {**values, "provider_model_id": own}

    def _drop_keys_without_effect(self, document: dict[str, Value]) -> None:
        server = dict(to_mapping(document.get("server")))
        prune_protection(server, self._leave_out)
        if isinstance(document.get("server"), Mapping):
            document["server"] = server
        for path, reason in {**UNUSED, **self._defaults_without_provider(document)}.items():
            value, rest = take(document, path)
            if value is not None:
                self._leave_out(path, reason)
                document.clear()
                document.update(rest)
        for key in [key for key in OLD_KEYS if key in document]:
            if document.pop(key) not in (None, [], {}):
                self._leave_out(key, OLD_KEYS[key])

    def _defaults_without_provider(self, document: dict[str, Value]) -> dict[str, str]:
        """Defaults of vector stores whose provider is left out, by path, with why."""
        return {
            f"vector_stores.{path.removesuffix('.provider_id')}": f"its provider `{bare(name)}` is left out"
            for path, api in DEFAULT_PROVIDERS.items()
            if (api, bare(name := take(document, f"vector_stores.{path}")[0])) in self._removed_ids
        }


def _ids(entries: Value, key: str) -> list[str]:
    return [bare(to_mapping(entry).get(key)) for entry in to_list(entries)]
