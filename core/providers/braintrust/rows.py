"""The functions of autoevals that there are, a row each."""

from dataclasses import dataclass
from typing import Final

QUESTION: Final = "input_query"
EXPECTED: Final = "expected_answer"
ANSWER: Final = "generated_answer"
CONTEXT: Final = "context"


@dataclass(frozen=True, slots=True)
class Evaluator:
    """`name` is autoevals' class; it `asks` a model to judge, and `embeds` by another. `columns` are those without which it cannot be."""

    name: str
    description: str
    columns: tuple[str, ...]
    asks: bool = True
    embeds: bool = False


ROWS: Final = {
    "factuality": Evaluator(
        "Factuality", "How far an answer agrees in its facts with the expected one.", (QUESTION, EXPECTED, ANSWER)
    ),
    "answer-correctness": Evaluator(
        "AnswerCorrectness",
        "How far an answer is right, by its statements and by its likeness to the expected one.",
        (QUESTION, EXPECTED, ANSWER),
        embeds=True,
    ),
    "answer-relevancy": Evaluator(
        "AnswerRelevancy",
        "How far an answer is one to the question: questions that it would answer are compared with it.",
        (QUESTION, ANSWER, CONTEXT),
        embeds=True,
    ),
    "answer-similarity": Evaluator(
        "AnswerSimilarity",
        "How alike an answer and the expected one are, by their embeddings.",
        (EXPECTED, ANSWER),
        asks=False,
        embeds=True,
    ),
    "faithfulness": Evaluator(
        "Faithfulness", "Which part of an answer's statements the context bears out.", (QUESTION, ANSWER, CONTEXT)
    ),
    "context-entity-recall": Evaluator(
        "ContextEntityRecall",
        "Which part of what the expected answer names is in the context.",
        (EXPECTED, CONTEXT),
        embeds=True,
    ),
    "context-precision": Evaluator(
        "ContextPrecision", "Whether the context helps to the expected answer.", (QUESTION, EXPECTED, CONTEXT)
    ),
    "context-recall": Evaluator(
        "ContextRecall",
        "Which part of the expected answer the context bears out.",
        (QUESTION, EXPECTED, CONTEXT),
    ),
    "context-relevancy": Evaluator(
        "ContextRelevancy", "Which part of the context has to do with the question.", (QUESTION, CONTEXT)
    ),
}
"""By their names within the provider; `braintrust::` is before them in their ids."""
