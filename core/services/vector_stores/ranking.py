"""How a search ranks: by what it says, and by the run config where it says nothing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from core.apis.vector_io import SearchMode
from core.apis.vector_stores import RankingOptions
from core.config.vector_stores import ChunkRetrieval, VectorStoresConfig
from core.errors import InvalidRequest, shorten
from core.services.vector_stores.fusion import Fusion

type Fused = Literal["rrf", "weighted", "normalized"]
PLAIN: Final = ("none", "auto", "default-2024-11-15")
FUSED: Final[dict[str, Fused]] = {"rrf": "rrf", "weighted": "weighted", "normalized": "normalized"}
NEURAL: Final = "neural"
RANKERS: Final = ", ".join(f"`{name}`" for name in (*PLAIN, *FUSED, NEURAL))
UNSERVED: Final = ("classifier",)  # of OGX's
WEIGHED: Final = ("vector", "keyword", NEURAL)
MULTIPLIER: Final = 5
PATH: Final = "ranking_options"
NO_MODEL: Final = (
    "No model ranks what a search finds on this stack unless you name one: give a rerank model as `model`, or have it named at "
    "`vector_stores.default_reranker_model` of the run config."
)


@dataclass(frozen=True, slots=True)
class Reranker:
    """A rerank model by the name that the caller, or the run config, has for it, and the share of its scores in the results'.

    It gets `multiplier` times as many chunks as are asked for. `param` is the request's field that names it.
    """

    model: str
    share: float = 1.0
    multiplier: int = MULTIPLIER
    param: str = f"{PATH}.model"


@dataclass(frozen=True, slots=True)
class Ranking:
    """`fusion` is of a hybrid search; what has a lower score than `threshold`, after a model ranked it, is left out."""

    mode: SearchMode = "vector"
    fusion: Fusion = field(default_factory=Fusion)
    threshold: float = 0.0
    reranker: Reranker | None = None


def ranking_of(
    config: VectorStoresConfig, mode: SearchMode | None, options: RankingOptions | None, path: str = PATH
) -> Ranking:
    """The ranking of a search. A ranker that fuses, or weights, make it hybrid where it does not say its mode.

    A ranker of no name that is known may be a rerank model's. `path` is where the options are in the request.

    Raises:
        InvalidRequest: there is no such ranker, or its options are of another.
    """
    defaults = config.chunk_retrieval_params or ChunkRetrieval()
    options, share = _without_share(options or RankingOptions(), path)
    reranker = _reranker(config, options, share, path)
    fuses = options.ranker in FUSED or any(
        value is not None for value in (options.hybrid_search, options.alpha, options.impact_factor, options.weights)
    )
    return Ranking(
        mode or ("hybrid" if fuses else defaults.default_search_mode),
        _fusion(defaults, options, path),
        options.score_threshold or 0.0,
        reranker,
    )


def no_ranker(name: str, param: str) -> InvalidRequest:
    """Of a name that is neither a ranker's nor a rerank model's."""
    return InvalidRequest(
        f"There is no ranker `{shorten(name, 64)}`: there are {RANKERS}, and the rerank models that you may use.",
        param=param,
    )


def _without_share(options: RankingOptions, path: str) -> tuple[RankingOptions, float | None]:
    """The options without the weight `neural`, and its share of all; None where they have no such weight."""
    weights = options.weights or {}
    if NEURAL not in weights:
        return options, None
    rest = {name: weight for name, weight in weights.items() if name != NEURAL}
    _check_weights(rest, WEIGHED, f"{path}.weights")
    total = sum(weights.values())
    if not (weights[NEURAL] >= 0 and all(weight >= 0 for weight in rest.values()) and 0 < total < float("inf")):
        raise InvalidRequest(
            f"{', '.join(WEIGHED)} must be 0 or more, and one of them above 0.", param=f"{path}.weights"
        )
    fuses = rest.get("keyword", 0.0) > 0  # else there is but one ranking before the model's
    return options.model_copy(update={"weights": rest if fuses else None}), weights[NEURAL] / total


def _reranker(config: VectorStoresConfig, options: RankingOptions, share: float | None, path: str) -> Reranker | None:
    ranker, model, param = options.ranker, options.model, f"{path}.model"
    if ranker in UNSERVED or (ranker is not None and not ranker.strip()):
        raise no_ranker(ranker or "", f"{path}.ranker")
    if ranker is not None and ranker not in (*PLAIN, *FUSED, NEURAL):
        if model is not None:
            raise no_ranker(ranker, f"{path}.ranker")
        model, param = ranker, f"{path}.ranker"
    if ranker == "none" and (model is not None or share is not None):
        raise InvalidRequest("The ranker `none` has no model: leave one of them out.", param=param)
    if model is None and (ranker == NEURAL or share):
        default = config.default_reranker_model
        if default is None:
            raise InvalidRequest(NO_MODEL, param=param)
        model = default.name
    if model is None or share == 0:
        return None
    retrieval = config.chunk_retrieval_params or ChunkRetrieval()
    return Reranker(model, 1.0 if share is None else share, retrieval.chunk_multiplier, param)


def _fusion(defaults: ChunkRetrieval, options: RankingOptions, path: str) -> Fusion:
    name = FUSED.get(options.ranker or "")
    if name is None:
        weighted = options.alpha is not None or options.weights is not None
        name = "weighted" if weighted else "rrf" if options.impact_factor else defaults.default_reranker_strategy
    if name != "weighted" and options.alpha is not None:
        raise InvalidRequest("`alpha` is of the ranker `weighted`.", param=f"{path}.alpha")
    if name != "rrf" and options.impact_factor is not None:
        raise InvalidRequest("`impact_factor` is of the ranker `rrf`.", param=f"{path}.impact_factor")
    fusion = Fusion(ranker=name, impact=options.impact_factor or defaults.rrf_impact_factor)
    if name == "weighted":
        alpha = defaults.weighted_search_alpha if options.alpha is None else options.alpha
        fusion = replace(fusion, vector=alpha, keyword=1 - alpha)
    if options.weights is not None:
        fusion = _weigh(fusion, options.weights, ("vector", "keyword"), f"{path}.weights")
    if (hybrid := options.hybrid_search) is not None:
        weights = {"embedding_weight": hybrid.embedding_weight, "text_weight": hybrid.text_weight}
        fusion = _weigh(fusion, weights, ("embedding_weight", "text_weight"), f"{path}.hybrid_search")
    return fusion


def _weigh(fusion: Fusion, weights: Mapping[str, Any], names: tuple[str, str], path: str) -> Fusion:
    """With these weights of the vector's ranking and the words'."""
    _check_weights(weights, WEIGHED if set(names) < set(WEIGHED) else names, path)
    vector, keyword = (weights.get(name, 0.0) for name in names)
    if not (vector >= 0 and keyword >= 0 and 0 < vector + keyword < float("inf")):
        raise InvalidRequest(f"{' and '.join(names)} must be 0 or more, and one of them above 0.", param=path)
    return replace(fusion, vector=vector, keyword=keyword)


def _check_weights(weights: Mapping[str, Any], names: tuple[str, ...], path: str) -> None:
    others = sorted(name for name, weight in weights.items() if name not in names and weight)
    if others:
        raise InvalidRequest(
            f"Nothing has the weight `{shorten(others[0], 64)}`: there are {', '.join(names)}.", param=path
        )
