"""How upstreams word an error, as data: whose mistake it is, whatever its status. Texts are matched without regard to case.

Each was read in a vendor's documentation, in a server's source or in an issue that quotes it; tests/unit/providers has them.
"""

from collections.abc import Iterable
import re
from typing import Final

ANY: Final = re.IGNORECASE | re.DOTALL
LENGTH: Final = r"(?:prompt|inputs?|messages|conversation)"
EXCEEDS: Final = r"(?:exceed|(?:longer|greater|larger|smaller) than|(?:more|less) than|must be <|too (?:large|long)|only supports|overflow)"
PLACE: Final = r"context[ _-]?(?:length|window|size|limit)"
TOO_LONG: Final = (
    # This model's maximum context length is 4096 tokens. exceeds the available context size. exceed context window of 4096
    re.compile(rf"max(?:imum|\.)? {PLACE}|{EXCEEDS}[^.]{{0,80}}{PLACE}", ANY),
    re.compile(rf"{PLACE}[^.]{{0,40}}{EXCEEDS}|context the overflows|tokens to keep from the initial prompt", ANY),
    # prompt is too long: 200251 tokens > 199999 maximum. Input is too long for requested model. Input prompt (5000 tokens) is
    re.compile(
        rf"\b{LENGTH}(?: \([^)]{{0,80}}\))?(?: is| are| was| were)? too (?:long|large (?:to process|for (?:the |this )?model))",
        ANY,
    ),
    re.compile(rf"\b{LENGTH} \([^)]{{0,80}}tokens\) (?:is|are) (?:longer|larger|too)", ANY),
    # The input token count (2) exceeds. number of input tokens 5 cannot exceed. `inputs` tokens + `max_new_tokens` must be <= 4096
    re.compile(rf"\b{LENGTH}\W{{1,3}}tokens?(?: count)?\b(?!\W{{1,3}}per)[^.]{{0,80}}{EXCEEDS}", ANY),
    re.compile(
        r"\binputs?`? must have less than|too many (?:input )?tokens\b|exceeded model token limit|token limit exceeded",
        ANY,
    ),
    re.compile(
        r"prompt contains [\d,]{1,12} tokens|input tokens exceeded|tokens exceed the configured|exceeds? [\d,]{1,12} token limit",
        ANY,
    ),
    # maximum prompt length is 131072 but. Prompt length (5000) exceeds maximum input length (4096). exceeds the max_model_len 4096
    re.compile(rf"\b{LENGTH} length\b[^.]{{0,60}}(?:{EXCEEDS}|should)", ANY),
    re.compile(
        rf"max(?:imum)? (?:{LENGTH}|model|sequence) (?:length|len|size)|max_(?:model|seq|input)_len|max_num_tokens", ANY
    ),
    # Please reduce the length of the messages or completion. Try using a shorter prompt. Zhipu's Chinese
    re.compile(rf"reduce (?:the |your )?(?:length of )?(?:the |your |either )?(?:{LENGTH}|one\b)", ANY),
    re.compile(r"shorter (?:prompt|input|or fewer inputs)|prompt\W{0,3}超长", ANY),
)
"""More tokens than the model, or the place that it has there, takes."""
RATES: Final = re.compile(r"\bper[ -]?(?:second|minute|min|hour|day)|\brate[ -]limit|\bquota\b|\btp[md]\b|\brpm\b", ANY)
"""What says of a bound on tokens that it is another one."""
SPENT: Final = re.compile(
    r"credit balance is too low|insufficient (?:account )?(?:balance|credit|funds|quota)|not enough (?:credit|balance)"
    r"|exceeded your current quota|(?:requires|need|purchase) more credits|out of credits|credits? (?:is|are|was|were) exhausted"
    r"|exceeded your (?:monthly )?(?:included )?(?:credit|spend)|reached your (?:specified )?(?:api )?usage limit|spend(?:ing)? limit|billing (?:hard )?limit|payment required",
    ANY,
)
MODELS: Final = r"(?<![/\w])(?:model|deployment|lora|adapter)s?(?![/\w])"
MODEL: Final = re.compile(rf"{MODELS}|function '", ANY)
NO_MODEL: Final = re.compile(
    rf"{MODELS}.{{0,200}}(?:not found|not exist|not supported for)|(?:unknown|no such|invalid) model\b", ANY
)
BAD_KEY: Final = re.compile(
    r"\b(?:incorrect|invalid|wrong|missing|no|expired) api[ _-]?key|\bapi[ _-]?key (?:is )?(?:not valid|invalid|expired|missing|not found)",
    ANY,
)
KINDS: Final = (
    r"(?:image|vision|multi-?modal|audio|video|tool|function|pdf|file|document|embedding|chat|completion|logprob)"
)
MISTAKES: Final = (
    re.compile(rf"\b{KINDS}[\w ]{{0,40}} (?:is|are|was|were) not (?:supported|enabled|allowed)", ANY),
    re.compile(
        r"\b(?:does not|doesn't|do not|don't|cannot|can't|not able to|unable to) "
        rf"(?:support|accept|process|handle|take|understand)[\w ]{{0,40}} {KINDS}",
        ANY,
    ),
    re.compile(r"\bnot an? (?:multi-?modal|vision|chat|completion|embedding|text)[\w -]{0,40} model", ANY),
    re.compile(
        r"at most \d{1,6} (?:image|audio|video)|required for image input|no endpoints found that support|requires --jinja",
        ANY,
    ),
    re.compile(
        r"(?:cannot identify|(?:failed|unable) to (?:load|decode|parse|open|process|fetch)|invalid|corrupt|corrupted|error (?:load|decod|process)ing) "
        r"(?:the |an? )?image",
        ANY,
    ),
    re.compile(r"roles must alternate|roles are supported|role (?:is )?not supported", ANY),
    re.compile(r"(?:parse|compile|unsupported) (?:json[ _]?schema|grammar)", ANY),
)
"""Of the caller, where a server fails at it with a 5xx, as vLLM, llama.cpp and Ollama do at what a model was not made for."""

TOO_LONG_CODES: Final = frozenset(
    {
        "contextlengthexceeded",
        "contextwindowexceeded",
        "contextlengtherror",
        "exceedcontextsizeerror",
        "inputtoolong",
        "maxcontextlengthexceeded",
        "modelmaxprompttokensexceeded",
        "prompttoolong",
        "tokenslimitreached",
    }
)
SPENT_CODES: Final = frozenset(
    {
        "accountbalanceinsufficient",
        "billinghardlimitreached",
        "billinglimitreached",
        "billingnotactive",
        "billingerror",
        "insufficientbalance",
        "insufficientcredits",
        "insufficientfunds",
        "insufficientquota",
        "paymentrequired",
    }
)
FILTER_CODES: Final = frozenset(
    {"contentfilter", "contentpolicyviolation", "contentpolicy", "moderationblocked", "responsibleaipolicyviolation"}
)
MODEL_CODES: Final = frozenset(
    {
        "deploymentnotfound",
        "endpointnotfound",
        "invalidmodel",
        "modelnotavailable",
        "modelnotfound",
        "modelnotsupported",
        "resourcedoesnotexist",
        "unknownmodel",
    }
)
STATUSES: Final = {
    "aborted": 409,
    "authenticationerror": 401,
    "badrequest": 400,
    "badrequesterror": 400,
    "deadlineexceeded": 504,
    "engineoverloaded": 503,
    "forbidden": 403,
    "internal": 500,
    "internalerror": 500,
    "internalservererror": 500,
    "invalidargument": 400,
    "invalidinputargument": 400,
    "invalidparametervalue": 400,
    "invalidrequest": 400,
    "invalidrequesterror": 400,
    "notfound": 404,
    "notfounderror": 404,
    "notsupportederror": 400,  # llama.cpp
    "overloaded": 429,  # TGI
    "overloadederror": 529,  # Anthropic
    "permissiondenied": 403,
    "permissionerror": 403,
    "ratelimit": 429,
    "ratelimiterror": 429,
    "ratelimitexceeded": 429,
    "requestlimitexceeded": 429,
    "requests": 429,  # OpenAI's types of what was exceeded
    "requesttoolarge": 413,
    "resourceexhausted": 429,
    "serveroverloaded": 503,
    "serviceunavailable": 503,
    "temporarilyunavailable": 503,
    "throttlingexception": 429,
    "timeout": 504,
    "timeouterror": 504,
    "tokens": 429,
    "toomanyrequests": 429,
    "unauthenticated": 401,
    "unauthorized": 401,
    "unavailable": 503,
    "unprocessableentity": 422,
    "validation": 422,  # TGI
}
"""By code or type, for an error that has no status: within an answer, or a stream that had begun. Without `_` and case."""
MISTAKEN: Final = ("invalid", "unsupported", "missing", "stringabove", "arrayabove")
"""How the codes begin of what is wrong in a request."""


ABOUT_KEYS: Final = ("apikey", "authent", "credential", "unauthor")
"""What is in the codes of what is wrong with a key."""


def status_of(names: Iterable[str]) -> int:
    """The status that a code or a type stands for; 0 where that is not known."""
    return next((status for name in names if (status := _status_of(name))), 0)


def _status_of(name: str) -> int:
    if name in STATUSES:
        return STATUSES[name]
    if any(part in name for part in ABOUT_KEYS):
        return 401
    return 400 if name.startswith(MISTAKEN) else 0


def says_too_long(message: str) -> bool:
    """Whether it says that there are more tokens than the model takes, rather than a rate, or an answer's bound alone."""
    return any(pattern.search(message) for pattern in TOO_LONG) and not RATES.search(message)


def says_bad_key(message: str) -> bool:
    return bool(BAD_KEY.search(message))


def says_spent(message: str) -> bool:
    return bool(SPENT.search(message))


def says_mistake(message: str) -> bool:
    return any(pattern.search(message) for pattern in MISTAKES)


def says_no_model(message: str) -> bool:
    return bool(NO_MODEL.search(message))


def is_about_model(message: str, name: str) -> bool:
    """Whether it speaks of a model, or of the one of this name."""
    before, found, after = message.partition(name)
    return bool(MODEL.search(message) or (found and not _is_word(before[-1:]) and not _is_word(after[:1])))


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"
