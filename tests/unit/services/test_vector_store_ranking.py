"""How a search ranks: what a request says, else the run config, else by vectors; and which options make it hybrid."""

from typing import Any

import pytest

from core.apis.vector_stores import RankingOptions
from core.config.vector_stores import VectorStoresConfig
from core.errors import InvalidRequest
from core.services.vector_stores.fusion import Fusion
from core.services.vector_stores.ranking import Ranking, Reranker, ranking_of

PLAIN = VectorStoresConfig()
OTHERWISE = VectorStoresConfig.model_validate(
    {
        "chunk_retrieval_params": {
            "default_search_mode": "keyword",
            "default_reranker_strategy": "weighted",
            "weighted_search_alpha": 0.25,
            "rrf_impact_factor": 10.0,
        }
    }
)


@pytest.mark.parametrize(
    ("config", "options", "ranking"),
    [
        (PLAIN, None, Ranking()),
        (PLAIN, {"ranker": "auto", "score_threshold": 0.3}, Ranking(threshold=0.3)),
        (PLAIN, {"ranker": "rrf"}, Ranking("hybrid")),
        (PLAIN, {"impact_factor": 5}, Ranking("hybrid", Fusion(impact=5))),
        (PLAIN, {"alpha": 0.25}, Ranking("hybrid", Fusion("weighted", vector=0.25, keyword=0.75))),
        (PLAIN, {"ranker": "normalized"}, Ranking("hybrid", Fusion("normalized"))),
        (PLAIN, {"weights": {"vector": 3}}, Ranking("hybrid", Fusion("weighted", vector=3, keyword=0))),
        (PLAIN, {"weights": {"keyword": 1}}, Ranking("hybrid", Fusion("weighted", vector=0, keyword=1))),
        (
            PLAIN,
            {"hybrid_search": {"embedding_weight": 2, "text_weight": 0}},
            Ranking("hybrid", Fusion(vector=2, keyword=0)),
        ),
        (OTHERWISE, None, Ranking("keyword", Fusion("weighted", impact=10, vector=0.25, keyword=0.75))),
        (OTHERWISE, {"ranker": "weighted", "alpha": 1}, Ranking("hybrid", Fusion("weighted", 10, 1, 0))),
        (OTHERWISE, {"ranker": "rrf"}, Ranking("hybrid", Fusion(impact=10))),
        (OTHERWISE, {"impact_factor": 5}, Ranking("hybrid", Fusion(impact=5))),
    ],
)
def test_a_request_comes_before_the_run_config(
    config: VectorStoresConfig, options: dict[str, Any] | None, ranking: Ranking
) -> None:
    assert ranking_of(config, None, None if options is None else RankingOptions.model_validate(options)) == ranking


def test_a_mode_stays_as_it_is_said_whatever_ranks() -> None:
    assert ranking_of(OTHERWISE, "vector", RankingOptions(ranker="rrf")).mode == "vector"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"ranker": "rrf", "alpha": 0.5}, "alpha"),
        ({"ranker": "weighted", "impact_factor": 5}, "impact_factor"),
        ({"weights": {"vector": 0, "keyword": 0}}, "weights"),
        ({"weights": {"vector": -1, "keyword": 2}}, "weights"),
        ({"weights": {"vector": float("inf")}}, "weights"),
        ({"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}, "hybrid_search"),
    ],
)
def test_options_of_another_ranker_and_weights_that_weigh_nothing_are_refused(
    options: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ranking_of(PLAIN, None, RankingOptions.model_validate(options))
    assert refusal.value.param == f"ranking_options.{param}"


NAMED = VectorStoresConfig.model_validate(
    {
        "default_reranker_model": {"provider_id": "p", "model_id": "r"},
        "chunk_retrieval_params": {"chunk_multiplier": 7},
    }
)
MODEL, RANKER = "ranking_options.model", "ranking_options.ranker"


@pytest.mark.parametrize(
    ("config", "options", "ranking"),
    [
        (PLAIN, {"model": "m"}, Ranking(reranker=Reranker("m", 1.0, 5, MODEL))),
        (PLAIN, {"model": "m", "ranker": "neural"}, Ranking(reranker=Reranker("m", 1.0, 5, MODEL))),
        (PLAIN, {"ranker": "p/m"}, Ranking(reranker=Reranker("p/m", 1.0, 5, RANKER))),
        (PLAIN, {"model": "m", "ranker": "rrf"}, Ranking("hybrid", reranker=Reranker("m"))),
        (NAMED, {"ranker": "neural"}, Ranking(reranker=Reranker("p/r", 1.0, 7, MODEL))),
        (NAMED, {"ranker": "auto"}, Ranking()),
        (NAMED, {"model": "m"}, Ranking(reranker=Reranker("m", 1.0, 7, MODEL))),
        (NAMED, {"weights": {"neural": 2}}, Ranking(reranker=Reranker("p/r", 1.0, 7, MODEL))),
        (PLAIN, {"model": "m", "weights": {"vector": 1, "neural": 3}}, Ranking(reranker=Reranker("m", 0.75))),
        (PLAIN, {"model": "m", "weights": {"vector": 1, "neural": 0}}, Ranking()),
        (
            PLAIN,
            {"model": "m", "weights": {"vector": 1, "keyword": 2, "neural": 1}},
            Ranking("hybrid", Fusion("weighted", vector=1, keyword=2), reranker=Reranker("m", 0.25)),
        ),
        (
            PLAIN,
            {"model": "m", "weights": {"vector": 1, "keyword": 2}},
            Ranking("hybrid", Fusion("weighted", vector=1, keyword=2), reranker=Reranker("m")),
        ),
    ],
)
def test_a_model_ranks_with_its_share_of_the_weights(
    config: VectorStoresConfig, options: dict[str, Any], ranking: Ranking
) -> None:
    assert ranking_of(config, None, RankingOptions.model_validate(options)) == ranking


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"ranker": "neural"}, "model"),
        ({"weights": {"neural": 1}}, "model"),
        ({"ranker": "none", "model": "m"}, "model"),
        ({"ranker": "none", "weights": {"neural": 1}}, "model"),
        *(({"ranker": name, **model}, "ranker") for name in ("classifier", "", " ") for model in ({}, {"model": "m"})),
        ({"ranker": "other", "model": "m"}, "ranker"),
        ({"model": "m", "weights": {"neural": -1, "vector": 2}}, "weights"),
        ({"model": "m", "weights": {"neural": 1, "vector": -0.5}}, "weights"),
        ({"model": "m", "weights": {"neural": 0}}, "weights"),
        ({"model": "m", "weights": {"neural": float("inf")}}, "weights"),
        ({"model": "m", "weights": {"neural": float("nan")}}, "weights"),
        ({"model": "m", "weights": {"neural": 1, "luck": 1}}, "weights"),
    ],
)
def test_a_model_that_cannot_rank_so_is_refused_at_its_field(options: dict[str, Any], param: str) -> None:
    for path in ("ranking_options", "params.ranker"):
        with pytest.raises(InvalidRequest) as refusal:
            ranking_of(PLAIN, None, RankingOptions.model_validate(options), path)
        assert refusal.value.param == f"{path}.{param}"
