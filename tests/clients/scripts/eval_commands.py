"""The commands `datasets`, `scoring_functions` and `eval` of Llama Stack's own command line, as its 0.2.12 has them.

`benchmarks` it has none; `eval_tasks` calls what its client has not.
"""

import csv
import json
from pathlib import Path
import re
from tempfile import TemporaryDirectory
from typing import Any, Final

from click.testing import CliRunner
from llama_stack_client import LlamaStackClient
from llama_stack_client.lib.cli.llama_stack_client import llama_stack_client as command

from tests.clients.scripts.harness import run

MODEL: Final = "local/m"
ROWS: Final = [
    {"question": "Is Paris in France?", "answer": "Paris"},
    {"question": "Is Rome in Italy?", "answer": "Rome"},
    {"question": "Where is Oslo?", "answer": "Norway"},
]
WIDE: Final = {"COLUMNS": "400"}


def call(url: str, *words: str) -> str:
    """What it prints. Failures of a call it prints too, in a frame, and exits with 0."""
    result = CliRunner(env=WIDE).invoke(command, ["--endpoint", url, *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "Failed to" not in result.output, result.output
    return result.output


def csv_of(folder: str, rows: list[dict[str, Any]], name: str = "rows.csv") -> str:
    path = Path(folder) / name
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def a_dataset_of_a_file_is_registered_listed_and_unregistered(url: str) -> None:
    with TemporaryDirectory() as folder:
        path = csv_of(folder, ROWS)
        words = ["--dataset-id", "of-csv", "--purpose", "eval/question-answer", "--dataset-path", path]
        made = call(url, "datasets", "register", *words, "--metadata", '{"team": "a"}')
        assert "identifier: of-csv" in made, made
        assert "team: a" in made, made
    assert re.search(r"of-csv .*localfs.*eval/question-answer", call(url, "datasets", "list"))
    client = LlamaStackClient(base_url=url)
    assert client.datasets.iterrows("of-csv").data == ROWS
    assert "unregistered successfully" in call(url, "datasets", "unregister", "of-csv")
    assert "of-csv" not in call(url, "datasets", "list")


def a_file_of_json_lines_whose_type_it_does_not_know_is_read(url: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        words = ["--dataset-id", "of-lines", "--purpose", "eval/question-answer", "--dataset-path", str(path)]
        call(url, "datasets", "register", *words)
    client = LlamaStackClient(base_url=url)
    assert client.datasets.iterrows("of-lines", limit=-1).data == ROWS
    client.datasets.unregister("of-lines")


def a_large_file_is_read_in_by_a_job(url: str) -> None:
    """Its commands send the caller's keys of three vendors, empty where there are none."""
    rows = [{"question": f"{number}: {'x' * 2000}", "answer": str(number)} for number in range(1000)]
    with TemporaryDirectory() as folder:
        words = ["--dataset-id", "large", "--purpose", "eval/question-answer", "--dataset-path", csv_of(folder, rows)]
        call(url, "datasets", "register", *words)
    client = LlamaStackClient(base_url=url, max_retries=20)
    [last] = client.datasets.iterrows("large", start_index=999, limit=1).data
    assert last["answer"] == 999, last["answer"]  # a cell of CSV has a type
    client.datasets.unregister("large")


def scoring_functions_are_listed_and_registered(url: str) -> None:
    assert re.search(r"basic::equality .*basic.*scoring_function", call(url, "scoring_functions", "list"))
    params = {"type": "llm_as_judge", "judge_model": MODEL, "prompt_template": "Rate {generated_answer}."}
    words = ["--scoring-fn-id", "cli-judge", "--description", "Judges.", "--return-type", '{"type": "number"}']
    call(url, "scoring_functions", "register", *words, "--provider-id", "llm-as-judge", "--params", json.dumps(params))
    assert "cli-judge" in call(url, "scoring_functions", "list")


def a_file_is_scored(url: str) -> None:
    rows = [
        {"generated_answer": "Paris", "expected_answer": "Paris"},
        {"generated_answer": "It is Rome.", "expected_answer": "Rome"},
    ]
    with TemporaryDirectory() as folder:
        path = csv_of(folder, rows)
        words = ["basic::equality", "basic::subset_of", "--dataset-path", path, "--output-dir", folder]
        printed = call(url, "eval", "run-scoring", *words)
        assert "Results saved to" in printed, printed
        with Path(f"{path}_score_results.csv").open(newline="") as file:
            scores = [(row["basic::equality"], row["basic::subset_of"]) for row in csv.DictReader(file)]
    assert scores == [("{'score': 1.0}", "{'score': 1.0}"), ("{'score': 0.0}", "{'score': 1.0}")], scores


def a_benchmark_is_run(url: str) -> None:
    client = LlamaStackClient(base_url=url)
    source: Any = {"type": "rows", "rows": ROWS}
    client.datasets.register(dataset_id="for-cli", purpose="eval/question-answer", source=source)
    client.benchmarks.register(benchmark_id="for-cli", dataset_id="for-cli", scoring_functions=["basic::subset_of"])
    with TemporaryDirectory() as folder:
        call(url, "eval", "run-benchmark", "for-cli", "--model-id", MODEL, "--output-dir", folder)
        results = json.loads((Path(folder) / "for-cli_results.json").read_text())
        call(
            url, "eval", "run-benchmark", "for-cli", "--model-id", MODEL, "--output-dir", folder, "--num-examples", "1"
        )
        first = json.loads((Path(folder) / "for-cli_results.json").read_text())
    assert results["question"] == [row["question"] for row in ROWS]
    assert results["generated_answer"] == results["question"], results  # the model says what it is told
    *scores, accuracy = results["basic::subset_of"]
    assert scores == [{"score": 1.0}, {"score": 1.0}, {"score": 0.0}], scores
    assert accuracy == {"accuracy": 2 / 3, "num_correct": 2.0, "num_total": 3}, accuracy
    assert first["question"] == [ROWS[0]["question"]]


SCENARIOS: Final = (
    a_dataset_of_a_file_is_registered_listed_and_unregistered,
    a_file_of_json_lines_whose_type_it_does_not_know_is_read,
    a_large_file_is_read_in_by_a_job,
    scoring_functions_are_listed_and_registered,
    a_file_is_scored,
    a_benchmark_is_run,
)

if __name__ == "__main__":
    run(SCENARIOS)
