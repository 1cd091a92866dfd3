"""How upstreams word an error, as data: whose mistake it is, whatever its status. Texts are matched without regard to case.

Each was read in a vendor's documentation, in a server's source or in an issue that quotes it; tests/unit/providers has them.
"""

from collections.abc import Iterable
from functools import cache
import re
from typing import Final

LENGTH: Final = r"(?:prompts?|inputs?|messages|conversation)"
EXCEEDS: Final = r"(?:exceed\w*|longer than|greater than|larger than|more than|less than|must be <|too large|too long|only supports|overflow\w*)"
TOO_LONG: Final = (
    # This model's maximum context length is 4096 tokens. exceeds the available context size. exceed context window of 4096
    r"max(?:imum|\.)? context (?:length|window|size)",
    rf"{EXCEEDS}[^.]{{0,80}}context[ _-]?(?:length|window|size|limit)",
    rf"context[ _-]?(?:length|window|size|limit)[^.]{{0,40}}{EXCEEDS}",
    r"context the overflows|tokens to keep from the initial prompt",
    # prompt is too long: 200251 tokens > 199999 maximum. Input is too long for requested model. Input prompt (5000 tokens) is
    rf"\b{LENGTH}(?: \([^)]*\))? (?:(?:is|are|was|were) )?(?:too long|too large (?:to process|for (?:the |this )?model))",
    rf"\b{LENGTH} \([^)]*tokens\) (?:is|are) (?:longer|larger|too)",
    # The input token count (2) exceeds. number of input tokens 5 cannot exceed. `inputs` tokens + `max_new_tokens` must be <= 4096
    rf"\b{LENGTH}\W{{1,3}}tokens?(?: count)?\b(?!\W+per)[^.]{{0,80}}{EXCEEDS}",
    r"`?inputs`? must have less than \d+ tokens|too many (?:input )?tokens\b|exceeded model token limit|token limit exceeded",
    r"prompt contains [\d,]+ tokens|input tokens exceeded|tokens exceed the configured limit|exceeds? [\d,]+ token limit",
    # maximum prompt length is 131072 but. Prompt length (5000) exceeds maximum input length (4096). exceeds the max_model_len 4096
    rf"\b{LENGTH} length\b[^.]{{0,60}}(?:{EXCEEDS}|should not|should be)",
    rf"max(?:imum)? (?:{LENGTH}|model|sequence) (?:length|len|size)|max_(?:model|seq|input)_(?:len|length)|max_num_tokens",
    # Please reduce the length of the messages or completion. Try using a shorter prompt
    rf"reduce (?:the |your )?(?:length of )?(?:the |your |either )*(?:{LENGTH}|one\b)|shorter (?:prompt|input|or fewer inputs)",
    r"prompt\W{0,3}超长",  # Zhipu's
)
"""More tokens than the model, or the place that it has there, takes."""
RATES: Final = r"\bper[ -]?(?:second|minute|min|hour|day)|\brate[ -]limit|\bquota\b|\btp[md]\b|\brpm\b"
"""What says of a bound on tokens that it is another one."""
SPENT: Final = (
    r"credit balance is too low|insufficient (?:account )?(?:balance|credits?|funds|quota)|not enough (?:credits?|balance)",
    r"exceeded your current quota|(?:requires|need|purchase) more credits|out of credits|credits? (?:is|are|was|were) exhausted",
    r"exceeded your (?:monthly )?(?:included )?(?:credits|spend\w*)|spend(?:ing)? limit|billing (?:hard )?limit|payment required",
)
MODEL: Final = r"(?<![/\w])(?:models?|deployments?|lora|adapters?|function '[^']*')(?![/\w])"
NO_MODEL: Final = (
    rf"{MODEL}.{{0,200}}(?:not found|not exist|unknown|not supported for)|(?:unknown|no such|invalid) model\b"
)
KINDS: Final = r"(?:images?|vision|multi-?modal\w*|audio|videos?|tools?|functions?|tool_choice|pdfs?|files?|documents?)"
UNABLE: Final = r"(?:does not|doesn't|do not|don't|cannot|can't|not able to|unable to)"
MISTAKES: Final = (
    rf"\b{KINDS}(?: \w+){{0,3}} (?:is|are|was|were) not (?:supported|enabled|available|allowed)",
    rf"\b{UNABLE} (?:support|accept|process|handle|take|understand)\w*(?: \w+){{0,3}} {KINDS}\b",
    r"\bnot an? (?:multi-?modal|vision|chat|completion|embedding|text)\w*(?:[- ]\w+)? model",
    r"at most \d+ (?:image|audio|video)|required for image input|no endpoints found that support|requires --jinja",
    r"(?:cannot identify|(?:failed|unable) to (?:load|decode|parse|open|process|fetch)|invalid|corrupt\w*) (?:the |an? )?image",
    r"roles must alternate|roles are supported|role (?:is )?not supported|(?:parse|compile|unsupported) (?:json[ _]?schema|grammar)",
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
    "invalidapikey": 401,
    "invalidargument": 400,
    "invalidinputargument": 400,
    "invalidparametervalue": 400,
    "invalidrequest": 400,
    "invalidrequesterror": 400,
    "notfound": 404,
    "notfounderror": 404,
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


def status_of(names: Iterable[str]) -> int:
    """The status that a code or a type stands for; 0 where that is not known."""
    for name in names:
        if status := STATUSES.get(name, 400 if name.startswith(MISTAKEN) else 0):
            return status
    return 0


@cache
def _pattern(*texts: str) -> re.Pattern[str]:
    return re.compile("|".join(texts), re.IGNORECASE | re.DOTALL)


def says_too_long(message: str) -> bool:
    """Whether it says that there are more tokens than the model takes, rather than a rate, or an answer's bound alone."""
    return bool(_pattern(*TOO_LONG).search(message)) and not _pattern(RATES).search(message)


def says_spent(message: str) -> bool:
    return bool(_pattern(*SPENT).search(message))


def says_mistake(message: str) -> bool:
    return bool(_pattern(*MISTAKES).search(message))


def says_no_model(message: str) -> bool:
    return bool(_pattern(NO_MODEL).search(message))


def is_about_model(message: str, name: str) -> bool:
    """Whether it speaks of a model, or of the one of this name."""
    named = rf"(?<!\w){re.escape(name)}(?!\w)"
    return bool(_pattern(MODEL).search(message) or (name and re.search(named, message)))
