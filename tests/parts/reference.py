"""Packages as authors write them for Llama Stack and OGX: this stack is not named in them."""

from pathlib import Path
from typing import Any

from core.apis.index import manifest
from core.frame.dotted import load
from core.resolution.external.code import code_of
from core.resolution.external.packages import module_spec
from core.resolution.external.provider import make as make_external

OLD_INFERENCE = {
    "provider": """
from llama_stack.providers.datatypes import AdapterSpec, Api, ProviderSpec, remote_provider_spec

def get_provider_spec() -> ProviderSpec:
    return remote_provider_spec(
        api=Api.inference,
        adapter=AdapterSpec(
            adapter_type="parrot", pip_packages=["llama-stack>=0.2"],
            config_class="PACKAGE.config.ParrotConfig", module="PACKAGE",
        ),
    )
""",
    "config": """
from typing import Any, Dict
from llama_stack.schema_utils import json_schema_type
from pydantic import BaseModel, Field

@json_schema_type
class ParrotConfig(BaseModel):
    word: str = Field("hello", description="What it says")

    @classmethod
    def sample_run_config(cls, word: str = "${env.WORD:=hello}", **kwargs) -> Dict[str, Any]:
        return {"word": word}
""",
    "__init__": """
from .config import ParrotConfig

async def get_adapter_impl(config: ParrotConfig, _deps):
    from .parrot import ParrotInferenceAdapter

    impl = ParrotInferenceAdapter(config)
    await impl.initialize()
    return impl
""",
    "parrot": """
from typing import Any, AsyncIterator, Dict, List, Optional, Union
from llama_stack.apis.common.content_types import InterleavedContent, TextContentItem
from llama_stack.apis.inference import (
    ChatCompletionRequest, EmbeddingTaskType, Inference, LogProbConfig, Message, ResponseFormat, SamplingParams,
    TextTruncation, ToolChoice, ToolConfig, ToolDefinition, ToolPromptFormat,
)
from llama_stack.apis.inference.inference import (
    OpenAIChatCompletion, OpenAIChatCompletionChunk, OpenAIChoice, OpenAIChoiceDelta, OpenAIChunkChoice,
    OpenAIAssistantMessageParam, OpenAIMessageParam, OpenAIResponseFormatParam, OpenAIUserMessageParam,
)
from llama_stack.apis.models import Model, ModelType
from llama_stack.log import get_logger
from llama_stack.models.llama.sku_types import CoreModelId
from llama_stack.providers.datatypes import ModelsProtocolPrivate
from llama_stack.providers.utils.inference.model_registry import (
    ModelRegistryHelper, ProviderModelEntry, build_hf_repo_model_entry,
)
from llama_stack.providers.utils.inference.openai_compat import (
    convert_openai_chat_completion_stream, prepare_openai_completion_params,
)

logger = get_logger(name=__name__, category="inference")
ENTRIES = [
    build_hf_repo_model_entry("parrot:8b", CoreModelId.llama3_1_8b_instruct.value),
    ProviderModelEntry(
        provider_model_id="mini:latest", aliases=["mini"], model_type=ModelType.embedding,
        metadata={"embedding_dimension": 2},
    ),
]

class ParrotInferenceAdapter(Inference, ModelsProtocolPrivate):
    def __init__(self, config) -> None:
        self.register_helper = ModelRegistryHelper(ENTRIES)
        self.word = None
        self.config = config
        self.registered = []

    async def initialize(self) -> None:
        self.word = self.config.word

    async def shutdown(self) -> None:
        self.word = None

    async def register_model(self, model: Model) -> Model:
        self.registered.append(model.identifier)
        return await self.register_helper.register_model(model)

    async def unregister_model(self, model_id: str) -> None:
        pass

    async def list_models(self):
        return await self.register_helper.list_models()

    async def chat_completion(
        self, model_id: str, messages: List[Message], sampling_params: Optional[SamplingParams] = None,
        tool_choice: Optional[ToolChoice] = ToolChoice.auto, stream: Optional[bool] = False,
    ):
        return convert_openai_chat_completion_stream(None)

    async def openai_chat_completion(
        self,
        model: str,
        messages: List[OpenAIMessageParam],
        frequency_penalty: Optional[float] = None,
        max_completion_tokens: Optional[int] = None,
        max_tokens: Optional[int] = None,
        n: Optional[int] = None,
        response_format: Optional[OpenAIResponseFormatParam] = None,
        seed: Optional[int] = None,
        stream: Optional[bool] = None,
        stream_options: Optional[Dict[str, Any]] = None,
        temperature: Optional[float] = None,
        tools: Optional[List[Dict[str, Any]]] = None,
        user: Optional[str] = None,
    ) -> Union[OpenAIChatCompletion, AsyncIterator[OpenAIChatCompletionChunk]]:
        model_obj = await self.model_store.get_model(model)
        params = await prepare_openai_completion_params(
            model=model_obj.provider_resource_id, messages=messages, temperature=temperature, stream=stream
        )
        assert isinstance(messages[-1], OpenAIUserMessageParam) and params["messages"][-1]["role"] == "user"
        if messages[-1].content == "fail":
            raise ValueError("no such feather")
        if messages[-1].content == "unsupported":
            return await self.chat_completion(model, messages)
        said = f"{self.word}, {messages[-1].content}"
        if stream:
            return self._stream(params["model"], said)
        return OpenAIChatCompletion(
            id="c-1", created=7, model=params["model"],
            choices=[OpenAIChoice(
                message=OpenAIAssistantMessageParam(content=said), finish_reason="stop", index=0
            )],
        )

    async def _stream(self, model, said):
        for text in said.split():
            yield OpenAIChatCompletionChunk(
                id="c-1", created=7, model=model,
                choices=[OpenAIChunkChoice(delta=OpenAIChoiceDelta(content=text), finish_reason=None, index=0)],
            )
        yield OpenAIChatCompletionChunk(
            id="c-1", created=7, model=model,
            choices=[OpenAIChunkChoice(delta=OpenAIChoiceDelta(), finish_reason="stop", index=0)],
        )
""",
}

NEW_INFERENCE = {
    "provider": """
from ogx_api import Api, InlineProviderSpec, ProviderSpec, RemoteProviderSpec

def get_provider_spec() -> list[ProviderSpec]:
    return [
        RemoteProviderSpec(
            api=Api.inference, provider_type="remote::parrot", adapter_type="parrot", module="PACKAGE",
            config_class="PACKAGE.Config", provider_data_validator="PACKAGE.Data", pip_packages=[],
        ),
        InlineProviderSpec(
            api=Api.inference, provider_type="inline::parrot", module="PACKAGE", config_class="PACKAGE.Config",
        ),
        InlineProviderSpec(
            api=Api.vector_io, provider_type="inline::shelf", module="PACKAGE", config_class="PACKAGE.Config",
        ),
    ]
""",
    "__init__": """
from collections.abc import AsyncIterator
from ogx.log import get_logger
from ogx.core.access_control.datatypes import AccessRule
from ogx.core.request_headers import NeedsRequestProviderData
from ogx_api import (
    HealthResponse, HealthStatus, InferenceProvider, Model, ModelType, OpenAIAssistantMessageParam,
    OpenAIChatCompletion, OpenAIChatCompletionChunk, OpenAIChatCompletionRequestWithExtraBody,
    OpenAIChatCompletionUsage, OpenAIChoice, OpenAICompletionRequestWithExtraBody, OpenAIEmbeddingData,
    OpenAIEmbeddingsRequestWithExtraBody, OpenAIEmbeddingsResponse, OpenAIEmbeddingUsage, webmethod,
)
from pydantic import BaseModel, SecretStr

class Config(BaseModel):
    word: str = "hello"

class Data(BaseModel):
    feather: SecretStr | None = None

class Parrot(NeedsRequestProviderData, InferenceProvider):
    def __init__(self, config): self.config = config
    async def initialize(self): pass
    async def shutdown(self): pass
    async def should_refresh_models(self) -> bool: return True
    async def list_models(self) -> list[Model] | None:
        return [
            Model(identifier="p", provider_resource_id="p", provider_id=self.__provider_id__, model_type=ModelType.llm),
            Model(identifier="e", provider_resource_id="e", provider_id="x", model_type=ModelType.embedding,
                  metadata={"embedding_dimension": 2}),
        ]
    async def health(self) -> HealthResponse:
        return HealthResponse(status=HealthStatus.OK)
    async def openai_chat_completion(
        self, params: OpenAIChatCompletionRequestWithExtraBody
    ) -> OpenAIChatCompletion | AsyncIterator[OpenAIChatCompletionChunk]:
        data = self.get_request_provider_data()
        word = data.feather.get_secret_value() if data and data.feather else self.config.word
        said = f"{word}, {params.messages[-1].content}, {params.temperature}, {params.model_extra.get('top_k')}"
        if params.stream:
            return self._stream(params.model, said)
        return OpenAIChatCompletion(
            id="c", created=1, model=params.model,
            choices=[OpenAIChoice(index=0, finish_reason="stop", message=OpenAIAssistantMessageParam(content=said))],
            usage=OpenAIChatCompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
        )
    async def _stream(self, model, said):
        if "early" in said:
            raise NotImplementedError("not that early")
        for content, reason in ((said, None), ("", "stop")):
            yield OpenAIChatCompletionChunk.model_validate({
                "id": "c", "created": 1, "model": model, "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": reason}],
            })
    async def openai_embeddings(self, params: OpenAIEmbeddingsRequestWithExtraBody) -> OpenAIEmbeddingsResponse:
        return OpenAIEmbeddingsResponse(
            data=[OpenAIEmbeddingData(embedding=[0.5, 1.0], index=0)], model=params.model,
            usage=OpenAIEmbeddingUsage(prompt_tokens=1, total_tokens=1),
        )

async def get_adapter_impl(config: Config, _deps):
    return Parrot(config)

async def get_provider_impl(config: Config, deps, policy: list[AccessRule]):
    assert policy == []
    return Parrot(config)
""",
}

MIXIN = {
    "provider": """
from llama_stack.providers.datatypes import ProviderSpec, Api, RemoteProviderSpec

def get_provider_spec() -> ProviderSpec:
    return RemoteProviderSpec(
        api=Api.inference, provider_type="remote::parrot", adapter_type="parrot", pip_packages=[],
        config_class="PACKAGE.config.ParrotConfig", module="PACKAGE",
    )
""",
    "config": """
from typing import Any
from pydantic import Field, HttpUrl
from llama_stack.providers.utils.inference.model_registry import RemoteInferenceProviderConfig
from llama_stack_api import json_schema_type

@json_schema_type
class ParrotConfig(RemoteInferenceProviderConfig):
    base_url: HttpUrl | None = Field(default=HttpUrl("http://localhost:8080/v1"), description="Where it is")
""",
    "__init__": """
from .config import ParrotConfig

async def get_adapter_impl(config: ParrotConfig, _deps):
    from .adapter import ParrotAdapter

    return ParrotAdapter(config=config)
""",
    "adapter": """
from .config import ParrotConfig
from llama_stack.providers.utils.inference.openai_mixin import OpenAIMixin

class ParrotAdapter(OpenAIMixin):
    config: ParrotConfig

    def get_api_key(self) -> str | None:
        if self.config.auth_credential is None:
            return "NO KEY REQUIRED"
        return self.config.auth_credential.get_secret_value()

    def get_base_url(self) -> str:
        return str(self.config.base_url)
""",
}

OLD_SAFETY = {
    "provider": """
from llama_stack.providers.datatypes import Api, InlineProviderSpec

def get_provider_spec():
    return InlineProviderSpec(
        api=Api.safety, provider_type="inline::owl", pip_packages=[], config_class="PACKAGE.OwlConfig",
        module="PACKAGE", api_dependencies=[Api.inference],
    )
""",
    "__init__": """
from typing import Any, Dict, List, Optional
from llama_stack.apis.inference import CompletionMessage, Message, UserMessage
from llama_stack.apis.resource import ResourceType
from llama_stack.apis.safety import RunShieldResponse, Safety, SafetyViolation, ShieldStore, ViolationLevel
from llama_stack.apis.shields import ListShieldsResponse, Shield, Shields
from llama_stack.distribution.datatypes import Api
from llama_stack.providers.datatypes import ShieldsProtocolPrivate
from pydantic import BaseModel

class OwlConfig(BaseModel):
    model: str = "x/p"

class Owl(Safety, ShieldsProtocolPrivate):
    shield_store: ShieldStore
    def __init__(self, config, deps):
        self.config = config
        self.inference_api = deps[Api.inference]
    async def initialize(self) -> None: pass
    async def shutdown(self) -> None: pass
    async def register_shield(self, shield: Shield) -> None:
        assert shield.type == ResourceType.shield.value
        if shield.provider_resource_id == "unknown":
            raise ValueError(f"Unsupported shield {shield.identifier}")
    async def run_shield(
        self, shield_id: str, messages: List[Message], params: Optional[Dict[str, Any]] = None
    ) -> RunShieldResponse:
        shield = await self.shield_store.get_shield(shield_id)
        text = messages[-1].content
        if "pass" in text:
            return RunShieldResponse()
        if "report" in text:
            return RunShieldResponse(violation=SafetyViolation(
                violation_level=ViolationLevel.INFO, user_message="fine", metadata={"status": "pass"}
            ))
        if "silent" in text:
            return None
        answer = await self.inference_api.openai_chat_completion(
            model=self.config.model, messages=[UserMessage(content=f"judge {text}")], stream=False
        )
        return RunShieldResponse(violation=SafetyViolation(
            violation_level=ViolationLevel.ERROR, user_message=answer.choices[0].message.content,
            metadata={"violation_type": "S1", "shield": shield.provider_resource_id,
                      "user": isinstance(messages[-1], UserMessage), "n": len(messages)},
        ))

async def get_provider_impl(config: OwlConfig, deps: Dict[Api, Any]) -> Owl:
    impl = Owl(config, deps)
    await impl.initialize()
    return impl
""",
}

NEW_SAFETY = {
    "provider": """
from llama_stack_api.datatypes import Api, RemoteProviderSpec

def get_provider_spec():
    return RemoteProviderSpec(
        api=Api.safety, provider_type="remote::owl", adapter_type="owl", config_class="PACKAGE.Config", module="PACKAGE",
    )
""",
    "__init__": """
try:
    from llama_stack_api.inference import OpenAIUserMessageParam, SystemMessage, UserMessage
    from llama_stack_api.safety import (
        ModerationObject, RunModerationRequest, RunShieldRequest, RunShieldResponse, Safety, SafetyViolation, ViolationLevel,
    )
    from llama_stack_api.shields import GetShieldRequest, Shield
except ModuleNotFoundError:
    from not_there import nothing
from pydantic import BaseModel

class Config(BaseModel):
    word: str = "bad"

class Owl(Safety):
    def __init__(self, config): self.config = config
    async def register_shield(self, shield: Shield) -> None: pass
    async def unregister_shield(self, identifier: str) -> None: pass
    async def run_moderation(self, request: RunModerationRequest) -> ModerationObject: raise NotImplementedError
    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
        shield = await self.shield_store.get_shield(GetShieldRequest(identifier=request.shield_id))
        bad = any(self.config.word in message.content for message in request.messages if message.role == "user")
        return RunShieldResponse(
            violation=SafetyViolation(violation_level=ViolationLevel.ERROR, user_message=f"{shield.params}") if bad else None
        )

async def get_adapter_impl(config, _deps): return Owl(config)
""",
}


def install(folder: Path, name: str, package: dict[str, str]) -> None:
    """Put the package where `folder`, which is on the path, has it."""
    (folder / name).mkdir()
    for module, code in package.items():
        (folder / name / f"{module}.py").write_text(code.replace("PACKAGE", name))


async def make(name: str, provider_type: str, api: str, **config: object) -> Any:
    """The provider of an installed package, made as a stack makes it, with an inference that is asked for nothing."""
    spec = module_spec(name, api, provider_type)
    code = code_of(spec)
    protocol: type = load(manifest(api).provider or "")
    return await make_external("x", spec, code, code.config(**config), {"inference": object()}, protocol)
