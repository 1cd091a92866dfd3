"""The questions of `llambda init`, a row each: flag, prompt, default, and which answers are valid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import re
from typing import Final

from core.cli.init.document import LLAMA_GUARD, REMOTES
from core.config.redact import redact_text

type AnswerTexts = Mapping[str, str]
type Complaint = Callable[[str], str]

GUARDRAIL: Final = re.compile(r"[^\s:]+(?::[^\s:]+)*:(?:[1-9][0-9]{0,7}|DRAFT)")
LARGEST_QUOTA: Final = 1_000_000_000_000


def _fine(_: str) -> str:
    return ""


def _url(answer: str) -> str:
    if not re.match(r"https?://[^/\s]+", answer) and "${env." not in answer:
        return "must be a URL that begins with http:// or https://"
    if redact_text(answer) != answer:
        return "contains a secret; leave it out, and set the variable that the run config names"
    return ""


def _quota(answer: str) -> str:
    if answer.isascii() and answer.isdecimal() and int(answer) <= LARGEST_QUOTA:
        return ""
    return f"must be a whole number from 0 (no quota) to {LARGEST_QUOTA}"


def _guardrail(answer: str) -> str:
    guard = answer.startswith(LLAMA_GUARD) and len(answer) > len(LLAMA_GUARD)
    if answer == "none" or guard or (GUARDRAIL.fullmatch(answer) and not answer.startswith(LLAMA_GUARD)):
        return ""
    return "must be none, ID:VERSION of a Bedrock guardrail (the version is a number or DRAFT), or llama-guard:MODEL"


def _always(_: AnswerTexts) -> bool:
    return True


def _when(flag: str, *answers: str) -> Callable[[AnswerTexts], bool]:
    return lambda given: given.get(flag) in answers


def _declares(answers: AnswerTexts) -> bool:
    return bool(answers.get("model"))


@dataclass(frozen=True, slots=True)
class Question:
    """`default` is None where there is none: some answer is needed. `complaint` says what is wrong with one, or ""."""

    name: str
    prompt: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    applies: Callable[[AnswerTexts], bool] = _always
    complaint: Complaint = _fine

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"

    def wrong(self, answer: str) -> str:
        """What is wrong with an answer, or ""."""
        if any(not character.isprintable() for character in answer):
            return "has a character that cannot be printed"
        if self.choices and answer not in self.choices:
            return f"must be one of {', '.join(self.choices)}"
        if not answer and self.default != "":
            return "must not be empty"
        return self.complaint(answer)


QUESTIONS: Final = (
    Question("inference", "What serves the models", "local", tuple(REMOTES)),
    Question("url", "Its base URL", "http://127.0.0.1:8400/v1", applies=_when("inference", "local"), complaint=_url),
    Question("url", "Its base URL", "http://localhost:8000/v1", applies=_when("inference", "vllm"), complaint=_url),
    Question("url", "Its base URL", applies=_when("inference", "openai-compatible"), complaint=_url),
    Question("region", "The region of Bedrock (if empty: that of AWS_REGION)", "", applies=_when("inference", "bedrock")),
    Question("model", "A model to declare under its own name (may be empty)", ""),
    Question("state", "Where registered resources and keys are kept", "sqlite", ("sqlite", "dynamodb")),
    Question("db_path", "The SQLite file", "./registry.db", applies=_when("state", "sqlite")),
    Question("table", "The DynamoDB table", "${env.REGISTRY_TABLE}", applies=_when("state", "dynamodb")),
    Question("auth", "Who may call: anybody, holders of API keys, users of a Cognito pool", "none", ("none", "api-keys", "cognito")),
    Question("user_pool", "The id of the Cognito user pool", applies=_when("auth", "cognito")),
    Question("client_ids", "App clients of the pool that may call, separated by commas", applies=_when("auth", "cognito")),
    Question("quota", "Requests per client and day (0 for no quota)", "0", complaint=_quota),
    Question("guardrail", "A guardrail: none, ID:VERSION of a Bedrock guardrail, or llama-guard:MODEL", "none", (), _declares, _guardrail),
)  # fmt: skip
HELP: Final = {
    "inference": "What serves the models.",
    "url": "The base URL of the model server; not for Bedrock.",
    "region": "The region of Bedrock; if empty, that of AWS_REGION.",
    "model": "A model to declare under its own name; if empty, only those that the provider lists.",
    "state": "Where registered resources and keys are kept.",
    "db_path": "The SQLite file.",
    "table": "The DynamoDB table, or a variable that names it.",
    "auth": "Who may call.",
    "user_pool": "The id of a Cognito user pool.",
    "client_ids": "App clients of the pool that may call, separated by commas.",
    "quota": "Requests per client and day; 0 for no quota.",
    "guardrail": "none, ID:VERSION of a Bedrock guardrail, or llama-guard:MODEL.",
}
