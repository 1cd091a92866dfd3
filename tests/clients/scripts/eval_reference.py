"""What Llama Stack 0.2.12's own tests of datasets, scoring and evaluation assert, over its client: `tests/integration/{datasets,scoring,eval}` there."""

from base64 import b64encode
import csv
from io import StringIO
from typing import Any, Final
from uuid import uuid4

from llama_stack_client import LlamaStackClient

from tests.clients.scripts.harness import run

MODEL: Final = "local/m"
BASIC: Final = "basic::equality"
COLUMNS: Final = ("input_query", "generated_answer", "expected_answer", "chat_completion_input")
QUESTIONS: Final = {
    "What is the capital of France?": ("London", "Paris"),
    "Who is the CEO of Meta?": ("Mark Zuckerberg", "Mark Zuckerberg"),
    "What is the largest planet in our solar system?": ("Jupiter", "Jupiter"),
    "What is the smallest country in the world?": ("China", "Vatican City"),
    "What is the currency of Japan?": ("Yen", "Yen"),
}


def table() -> list[dict[str, str]]:
    return [
        dict(zip(COLUMNS, (asked, *answers, f'[{{"role": "user", "content": "{asked}"}}]'), strict=True))
        for asked, answers in QUESTIONS.items()
    ]


def data_url() -> str:
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(table())
    return f"data:text/csv;base64,{b64encode(text.getvalue().encode()).decode()}"


def client_of(url: str) -> LlamaStackClient:
    return LlamaStackClient(base_url=url)


def register_dataset(client: LlamaStackClient, dataset_id: str = "test_dataset") -> None:
    source: Any = {"type": "uri", "uri": data_url()}
    client.datasets.register(
        purpose="eval/messages-answer", source=source, dataset_id=dataset_id, metadata={"provider_id": "localfs"}
    )


def test_register_and_iterrows(url: str) -> None:
    client = client_of(url)
    message = {"messages": [{"role": "user", "content": "Hello, world!"}], "answer": "Hello, world!"}
    sources: tuple[Any, ...] = (
        {"type": "rows", "rows": [message | {"n": number} for number in range(6)]},
        {"type": "uri", "uri": data_url()},
    )
    for source in sources:
        dataset = client.datasets.register(purpose="eval/messages-answer", source=source)
        assert dataset.identifier is not None
        assert dataset.provider_id == "localfs"
        assert len(client.datasets.iterrows(dataset.identifier, limit=5).data) == 5
        assert dataset.identifier in [each.identifier for each in client.datasets.list()]
        client.datasets.unregister(dataset.identifier)
        assert dataset.identifier not in [each.identifier for each in client.datasets.list()]


def test_scoring_functions_list(url: str) -> None:
    response = client_of(url).scoring_functions.list()
    assert isinstance(response, list)
    assert {BASIC, "llm-as-judge::base", "llm-as-judge::405b-simpleqa"} <= {each.identifier for each in response}
    function = client_of(url).scoring_functions.retrieve(scoring_fn_id=BASIC)
    assert function is not None
    assert function.identifier == BASIC


def test_scoring_functions_register(url: str) -> None:
    client, name = client_of(url), f"llm-as-judge-scoring-fn-{uuid4()}"
    [provider] = [
        each for each in client.providers.list() if each.api == "scoring" and each.provider_id == "llm-as-judge"
    ]
    params: Any = {
        "type": "llm_as_judge",
        "judge_model": MODEL,
        "prompt_template": "Output a number between 0 to 10. Your answer must match the format \\n Number: <answer>",
        "judge_score_regexes": [r"Number: (\d+)"],
        "aggregation_functions": ["categorical_count"],
    }
    client.scoring_functions.register(
        scoring_fn_id=name,
        provider_id=provider.provider_id,
        description="sample scoring function with LLM-as-judge",
        return_type={"type": "string"},
        params=params,
    )
    assert name in [each.identifier for each in client.scoring_functions.list()]


def test_scoring_score(url: str) -> None:
    client = client_of(url)
    rows = client.datasets.iterrows(_test_dataset(client), limit=2).data
    response = client.scoring.score(input_rows=rows, scoring_functions={BASIC: None})
    assert list(response.results) == [BASIC]
    assert len(response.results[BASIC].score_rows) == len(rows)
    batch = client.scoring.score_batch(
        dataset_id="test_dataset", save_results_dataset=False, scoring_functions={BASIC: None}
    )
    assert list(batch.results) == [BASIC]
    assert len(batch.results[BASIC].score_rows) == 5


def test_scoring_score_with_params_llm_as_judge(url: str) -> None:
    client, function = client_of(url), "llm-as-judge::base"
    rows = client.datasets.iterrows(_test_dataset(client), limit=2).data
    params: Any = {
        "type": "llm_as_judge",
        "judge_model": MODEL,
        "prompt_template": "Output a number response in the following format: Score: <number>, where <number> is 7. Score: 7",
        "judge_score_regexes": [r"Score: (\d+)"],
        "aggregation_functions": ["categorical_count"],
    }
    response = client.scoring.score(input_rows=rows, scoring_functions={function: params})
    assert len(response.results[function].score_rows) == len(rows)
    batch = client.scoring.score_batch(
        dataset_id="test_dataset", save_results_dataset=False, scoring_functions={function: params}
    )
    assert len(batch.results[function].score_rows) == 5


def test_scoring_score_with_aggregation_functions(url: str) -> None:
    client = client_of(url)
    rows = client.datasets.iterrows(_test_dataset(client)).data
    aggregations = [["accuracy"], ["median", "categorical_count"], ["average"], []]
    for names in aggregations:
        params: Any = {"type": "basic", "aggregation_functions": names}
        results = client.scoring.score(input_rows=rows, scoring_functions={BASIC: params}).results[BASIC]
        assert len(results.score_rows) == len(rows)
        assert set(results.aggregated_results) == {*names}


def test_evaluate_rows(url: str) -> None:
    client = client_of(url)
    rows = client.datasets.iterrows(_test_dataset(client), limit=3).data
    assert len(rows) == 3
    name = _new_benchmark(client)
    response = client.eval.evaluate_rows(
        benchmark_id=name, input_rows=rows, scoring_functions=[BASIC], benchmark_config=_config()
    )
    assert len(response.generations) == 3
    assert BASIC in response.scores


def test_evaluate_benchmark(url: str) -> None:
    client = client_of(url)
    _test_dataset(client)
    name = _new_benchmark(client)
    job = client.eval.run_eval(benchmark_id=name, benchmark_config=_config())
    assert job.job_id == "0"
    status = client.eval.jobs.status(job_id=job.job_id, benchmark_id=name)
    assert status is not None
    assert status.status == "completed"
    response = client.eval.jobs.retrieve(job_id=job.job_id, benchmark_id=name)
    assert len(response.generations) == 5
    assert BASIC in response.scores


def _test_dataset(client: LlamaStackClient) -> str:
    if "test_dataset" not in [each.identifier for each in client.datasets.list()]:
        register_dataset(client)
    return "test_dataset"


def _new_benchmark(client: LlamaStackClient) -> str:
    name = str(uuid4())
    client.benchmarks.register(benchmark_id=name, dataset_id="test_dataset", scoring_functions=[BASIC])
    assert name in [each.identifier for each in client.benchmarks.list()]
    return name


def _config() -> Any:
    return {"eval_candidate": {"type": "model", "model": MODEL, "sampling_params": {"temperature": 0.0}}}


SCENARIOS: Final = (
    test_register_and_iterrows,
    test_scoring_functions_list,
    test_scoring_functions_register,
    test_scoring_score,
    test_scoring_score_with_params_llm_as_judge,
    test_scoring_score_with_aggregation_functions,
    test_evaluate_rows,
    test_evaluate_benchmark,
)

if __name__ == "__main__":
    run(SCENARIOS)
