"""How a record of the log is written: one line, bounded, with the id of the request that it is of.

JSON on Lambda, text elsewhere. What libraries, warnings, threads and forgotten tasks have to say comes in the same form.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
import json
import logging
import sys
import threading
from traceback import walk_tb
from typing import Any, Final, cast, override

from core.frame.tracing import REQUEST_ID
from core.platform.log_records import OURS, to_line
from core.platform.outcome import Outcome

FACTS: Final = ("error_code", "provider", "model", "provider_model", "reason")
"""What a line of a failure may have of it, as attributes of the record."""
LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
"""Lambda's names, by which it filters, of those that are not logging's."""
AWS_HANDLERS: Final = "LambdaLogger"
"""How the names of its classes begin (https://github.com/aws/aws-lambda-python-runtime-interface-client)."""
MOST_MESSAGE: Final = 4000  # characters
MOST_FACT: Final = 600  # characters
MOST_ERROR: Final = 3000  # characters of what one says: all that is wrong with a run config
MOST_ERRORS: Final = 4  # of a chain of them
MOST_FRAMES: Final = 12  # of one, the innermost
FOLDERS: Final = 3  # of a file's path

log = logging.getLogger(__name__)


def read_record(record: logging.LogRecord) -> dict[str, str]:
    """`timestamp`, `level`, `logger`, `message`, and what there is of `request_id`, FACTS and `exception`."""
    fields = {
        "timestamp": _instant(record.created),
        "level": record.levelname,
        "logger": record.name,
        "message": _message(record),
        "request_id": _request_id(record),
        **_facts(record),
        "exception": _exception(record),
    }
    return {name: text for name, text in fields.items() if text}


def _request_id(record: logging.LogRecord) -> str:
    return vars(record).get("request_id") or REQUEST_ID.get()


def _facts(record: logging.LogRecord) -> dict[str, str]:
    attributes = vars(record)
    return {name: _line(fact, MOST_FACT) for name in FACTS if (fact := attributes.get(name))}


def _exception(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else "; from ".join(_errors(error))


class JsonFormatter(logging.Formatter):
    """As `read_record` has it, in Lambda's names of levels."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = read_record(record)
        return json.dumps(fields | {"level": LEVELS.get(record.levelname, record.levelname)}, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """The time, the level, the logger, the message, then what it does not say itself, and the request's id at the end."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        message = _message(record)
        line = f"{_instant(record.created)} {record.levelname} {record.name}: {message}"
        if facts := [f"{name}={fact}" for name, fact in _facts(record).items() if fact not in message]:
            line += f" ({', '.join(facts)})"
        if exception := _exception(record):
            line += f" | {exception}"
        return f"{line} {_request_id(record)}".rstrip()


class StdoutHandler(logging.Handler):
    """Lines on whatever is the standard output now, which Lambda hands on as they are."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        with (outcome := Outcome()):
            sys.stdout.write(f"{self.format(record)}\n")
            sys.stdout.flush()
        if outcome.error is not None and not isinstance(outcome.error, Exception):
            raise outcome.error


def log_as_json() -> None:
    """In the place of what AWS's runtime, or nobody, has set up; the level stays."""
    root = logging.getLogger()
    if not any(isinstance(handler.formatter, JsonFormatter) for handler in root.handlers):
        handler = StdoutHandler()
        handler.setFormatter(JsonFormatter())
        others = [other for other in root.handlers if not type(other).__name__.startswith(AWS_HANDLERS)]
        root.handlers[:] = [*others, handler]
    log_everything()


def log_everything() -> None:
    """What Python would print of warnings, and of errors that nobody catches, goes to the log."""
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread
    if not isinstance(sys.unraisablehook, _LogUnraisable):
        sys.unraisablehook = _LogUnraisable(sys.unraisablehook)


def log_in_context(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A loop's exception handler: what a task that nobody awaits raised is logged as of the request that began it."""
    source = next((context[name] for name in ("task", "future", "handle") if name in context), None)
    find = getattr(source, "get_context", None)
    token = REQUEST_ID.set(REQUEST_ID.get() if find is None else find().get(REQUEST_ID, ""))
    try:
        loop.default_exception_handler(context)
    finally:
        REQUEST_ID.reset(token)


def _log_thread(args: "threading.ExceptHookArgs") -> None:
    error = args.exc_value
    if error is not None and not isinstance(error, SystemExit):
        log.error("a thread failed", exc_info=error)


class _LogUnraisable:
    """Of what cannot raise, as `__del__`. An interrupt there is for whoever was told before: it must end the process."""

    def __init__(self, before: "Callable[[sys.UnraisableHookArgs], Any]") -> None:
        self._before = before

    def __call__(self, unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            self._before(unraisable)
            return
        log.error(
            "an error could not be raised: %s", unraisable.err_msg or "it was ignored", exc_info=unraisable.exc_value
        )


def _instant(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03}Z"


@lru_cache(maxsize=2)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).isoformat()[:-6]


def _message(record: logging.LogRecord) -> str:
    """Of what is not ours, without what looks like a key: nobody knows what libraries log."""
    text = _line(_text(record).strip(), MOST_MESSAGE)
    return text if record.name.partition(".")[0] in OURS else _redact(text)


def _text(record: logging.LogRecord) -> str:
    if record.msg.__class__ is str and not record.args:
        return record.msg
    with (outcome := Outcome()):
        outcome.answer = record.getMessage()
    return outcome.answer if isinstance(outcome.answer, str) else f"{record.msg!s:.500} (its values do not fit)"


def _line(text: object, most: int) -> str:
    """One line of at most so many characters."""
    whole = text if isinstance(text, str) else str(text)
    line = to_line(whole[:most])
    return line if len(line) <= most and len(whole) <= most else f"{line[: most - 1]}…"


def _redact(text: str) -> str:
    from core.config.redact import redact_keys, redact_text

    return redact_keys(redact_text(text))


def _errors(error: BaseException) -> Iterator[str]:
    """The error, then what it came from: what each says, and where it was raised, the innermost place first."""
    from core.routing.isolation import describe

    cause: BaseException | None = error
    for _ in range(MOST_ERRORS):
        if cause is None:
            return
        places = [f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}" for frame, line in _frames(cause)]
        at = f" (at {' < '.join(places)})" if places else ""
        yield to_line(f"{describe(cause, most=MOST_ERROR)}{_members(cause)}{at}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _frames(error: BaseException) -> list[Any]:
    return list(walk_tb(error.__traceback__))[: -MOST_FRAMES - 1 : -1]


def _members(error: BaseException) -> str:
    """Of a group."""
    from core.routing.isolation import describe

    if not isinstance(error, BaseExceptionGroup):
        return ""
    members = cast("BaseExceptionGroup[BaseException]", error).exceptions[:MOST_ERRORS]
    return f" [{'; '.join(map(describe, members))}]"


def _short(path: str) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-FOLDERS:])
