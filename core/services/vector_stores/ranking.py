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
RANKERS: Final = ", ".join(f"`{name}`" for name in (*PLAIN, *FUSED))


@dataclass(frozen=True, slots=True)
class Ranking:
    """`fusion` is of a hybrid search; what has a lower score than `threshold` is left out."""

    mode: SearchMode = "vector"
    fusion: Fusion = field(default_factory=Fusion)
    threshold: float = 0.0


def ranking_of(config: VectorStoresConfig, mode: SearchMode | None, options: RankingOptions | None) -> Ranking:
    """The ranking of a search. A ranker that fuses, or weights, make it hybrid where it does not say its mode.

    Raises:
        InvalidRequest: there is no such ranker, or its options are of another.
    """
    defaults = config.chunk_retrieval_params or ChunkRetrieval()
    options = options or RankingOptions()
    _check_ranker(options)
    fuses = options.ranker in FUSED or any(
        value is not None for value in (options.hybrid_search, options.alpha, options.impact_factor, options.weights)
    )
    return Ranking(
        mode or ("hybrid" if fuses else defaults.default_search_mode),
        _fusion(defaults, options),
        options.score_threshold or 0.0,
    )


def _check_ranker(options: RankingOptions) -> None:
    if options.ranker is not None and options.ranker not in (*PLAIN, *FUSED):
        raise InvalidRequest(
            f"There is no ranker `{shorten(options.ranker, 64)}`: there are {RANKERS}.", param="ranking_options.ranker"
        )
    if options.model is not None:
        raise InvalidRequest(
            f"No model ranks what a search found here. The rankers are {RANKERS}.", param="ranking_options.model"
        )


def _fusion(defaults: ChunkRetrieval, options: RankingOptions) -> Fusion:
    name = FUSED.get(options.ranker or "")
    if name is None:
        weighted = options.alpha is not None or options.weights is not None
        name = "weighted" if weighted else "rrf" if options.impact_factor else defaults.default_reranker_strategy
    if name != "weighted" and options.alpha is not None:
        raise InvalidRequest("`alpha` is of the ranker `weighted`.", param="ranking_options.alpha")
    if name != "rrf" and options.impact_factor is not None:
        raise InvalidRequest("`impact_factor` is of the ranker `rrf`.", param="ranking_options.impact_factor")
    fusion = Fusion(ranker=name, impact=options.impact_factor or defaults.rrf_impact_factor)
    if name == "weighted":
        alpha = defaults.weighted_search_alpha if options.alpha is None else options.alpha
        fusion = replace(fusion, vector=alpha, keyword=1 - alpha)
    if options.weights is not None:
        fusion = _weigh(fusion, options.weights, ("vector", "keyword"), "weights")
    if (hybrid := options.hybrid_search) is not None:
        weights = {"embedding_weight": hybrid.embedding_weight, "text_weight": hybrid.text_weight}
        fusion = _weigh(fusion, weights, ("embedding_weight", "text_weight"), "hybrid_search")
    return fusion


def _weigh(fusion: Fusion, weights: Mapping[str, Any], names: tuple[str, str], param: str) -> Fusion:
    """With these weights of the vector's ranking and the words'."""
    path = f"ranking_options.{param}"
    others = sorted(name for name, weight in weights.items() if name not in names and weight)
    if others:
        raise InvalidRequest(
            f"Nothing has the weight `{shorten(others[0], 64)}`: there are {', '.join(names)}.", param=path
        )
    vector, keyword = (weights.get(name, 0.0) for name in names)
    if not (vector >= 0 and keyword >= 0 and 0 < vector + keyword < float("inf")):
        raise InvalidRequest(f"{' and '.join(names)} must be 0 or more, and one of them above 0.", param=path)
    return replace(fusion, vector=vector, keyword=keyword)
