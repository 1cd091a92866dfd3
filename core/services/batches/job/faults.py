"""What may be wrong with an input file, in the words of the wire: codes are OpenAI's, but where it has none."""

from collections.abc import Sequence
from typing import Final

from core.apis.answers.batches import BatchFault
from core.errors import ApiError, LimitReached, shorten
from core.services.batches.job.endpoints import NAMES, Endpoint, Types
from core.services.jobs.kind import JobFailed

MOST_SHOWN: Final = 64  # bytes of what a caller wrote
MOST_FAULTS: Final = 1000
MOST_BYTES: Final = 200_000
"""Of the faults as JSON: a job's result has a bound."""
FORM: Final = '{"custom_id": "..", "method": "POST", "url": "..", "body": {..}}'
DEEP: Final = "recursion limit exceeded"


class Faults:
    """Those that were found, in the order of the lines, as far as they are listed; `is_full` when no more are."""

    def __init__(self) -> None:
        self.listed: list[BatchFault] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self.listed)

    @property
    def is_full(self) -> bool:
        """Whether reading on is of no use."""
        return len(self.listed) >= MOST_FAULTS or self._bytes >= MOST_BYTES

    def add(self, *faults: BatchFault) -> None:
        for fault in faults:
            if not self.is_full:
                self.listed.append(fault)
                # Not ASCII is escaped in what is stored.
                self._bytes += 6 * len(fault["message"]) if not fault["message"].isascii() else len(fault["message"])
                self._bytes += 100


def failure_of(found: Sequence[BatchFault], code: str = "invalid_input") -> JobFailed:
    """What ends the job."""
    more = "" if len(found) == 1 else f" There are {len(found)} faults."
    return JobFailed(f"{code}: {found[0]['message']}{more}", {"errors": list(found)})


def _fault(code: str, line: int | None, message: str, param: str | None = None) -> BatchFault:
    return {"code": code, "line": line, "message": message, "param": param}


def _quote(text: str) -> str:
    return f"`{shorten(text, MOST_SHOWN)}`"


def no_file(file_id: str) -> BatchFault:
    message = f"Cannot find file {_quote(file_id)}. Upload the input with the purpose `batch`, and name its id."
    return _fault("invalid_request", None, message, "input_file_id")


def unusable_file(reason: str) -> BatchFault:
    return _fault("invalid_request", None, reason, "input_file_id")


def no_slot(limit: LimitReached) -> BatchFault:
    return _fault(limit.code, None, limit.message)


def wrong_purpose(file_id: str, purpose: str) -> BatchFault:
    message = f"The file {_quote(file_id)} has the purpose `{purpose}`. Upload it with the purpose `batch`."
    return _fault("invalid_request", None, message, "input_file_id")


def file_too_large(size: int, most: int) -> BatchFault:
    message = f"The input file has {size} bytes, and a batch at most {most}. Split it, and make a batch of each part."
    return _fault("file_too_large", None, message, "input_file_id")


def empty_file() -> BatchFault:
    return _fault("empty_file", None, "The input file has no request. Write one in each line.", "input_file_id")


def no_dataset(dataset_id: str) -> BatchFault:
    message = f"Cannot find dataset {_quote(dataset_id)}. Register it, and name its id."
    return _fault("invalid_request", None, message, "input_dataset_id")


def no_datasets() -> BatchFault:
    message = "This stack does not serve datasets. Upload the lines as a file, or ask its operator for `datasetio`."
    return _fault("invalid_request", None, message, "input_dataset_id")


def unusable_dataset(reason: str) -> BatchFault:
    return _fault("invalid_request", None, reason, "input_dataset_id")


def empty_dataset() -> BatchFault:
    return _fault("empty_file", None, "The dataset has no rows. Each makes a line.", "input_dataset_id")


def dataset_exists(dataset_id: str) -> BatchFault:
    message = f"There is a dataset {_quote(dataset_id)} already. Name another one for the output, or delete it."
    return _fault("dataset_exists", None, message, "output_dataset_id")


def unkept_dataset(failure: ApiError) -> BatchFault:
    message = f"The answers are in the output file alone, and in no dataset: {shorten(failure.message, 300)}"
    return _fault(failure.code, None, message, "output_dataset_id")


def dataset_too_large(most: int) -> BatchFault:
    message = f"The lines of the dataset have more than {most} bytes, the most of one batch. Split it, or shorten the template."
    return _fault("file_too_large", None, message, "input_dataset_id")


def too_many_rows(count: int, most: int) -> BatchFault:
    message = f"The dataset has {count} rows, and a batch at most {most}. Split it."
    return _fault("too_many_requests", None, message, "input_dataset_id")


def no_column(line: int, name: str) -> BatchFault:
    message = f"The row has no column {_quote(name)}, which the template names."
    return _fault("missing_column", line, message, "template")


def not_served(endpoint: str) -> BatchFault:
    message = f"This stack does not serve {endpoint}. Use another endpoint, or ask its operator."
    return _fault("invalid_request", None, message, "endpoint")


def too_many_lines(line: int, most: int) -> BatchFault:
    message = f"The input file has more than {most} requests, the most of one batch. Split it."
    return _fault("too_many_requests", line, message)


def too_long(line: int, size: int, most: int) -> BatchFault:
    message = f"The line has {size} bytes, and one may have {most}. Refer to what is large by a URL or a file's id."
    return _fault("line_too_large", line, message)


def not_json(line: int, reason: str) -> BatchFault:
    reason = "it is nested too deeply" if reason.startswith(DEEP) else shorten(reason, 2 * MOST_SHOWN)
    return _fault("invalid_json_line", line, f"The line is not valid JSON: {reason}.")


def no_object(line: int) -> BatchFault:
    return _fault("invalid_request", line, f"The line is no JSON object: it must be {FORM}.")


def missing(line: int, name: str) -> BatchFault:
    message = f"Missing required parameter: `{name}`. A line is {FORM}."
    return _fault("missing_required_parameter", line, message, name)


def wrong_type(line: int, name: str, kind: str) -> BatchFault:
    return _fault("invalid_request", line, f"`{name}` must be {kind}.", name)


def wrong_method(line: int, method: str) -> BatchFault:
    return _fault("invalid_request", line, f"`method` is {_quote(method)}, and must be `POST`.", "method")


def wrong_url(line: int, url: str, endpoint: Endpoint) -> BatchFault:
    message = f"The url {_quote(url)} does not match the endpoint of the batch, `{endpoint.path}`."
    return _fault("invalid_url", line, message, "url")


def duplicate(line: int, custom_id: str) -> BatchFault:
    message = f"The custom_id {_quote(custom_id)} is that of an earlier line. Give each line its own."
    return _fault("duplicate_custom_id", line, message, "custom_id")


def streams(line: int) -> BatchFault:
    message = "Streaming is not supported in a batch. Leave `stream` out."
    return _fault("streaming_unsupported", line, message, "body.stream")


def in_background(line: int) -> BatchFault:
    message = "A line of a batch is in the background already. Leave `background` out."
    return _fault("invalid_request", line, message, "body.background")


def incomplete(line: int, name: str, endpoint: Endpoint) -> BatchFault:
    message = f"`body.{name}` is missing: {endpoint.path} needs it."
    return _fault("invalid_request", line, message, f"body.{name}")


def wrong_field(line: int, name: str, types: Types) -> BatchFault:
    return _fault("invalid_request", line, f"`body.{name}` must be {NAMES[types]}.", f"body.{name}")


def no_model(line: int, model: str) -> BatchFault:
    message = f"The model {_quote(model)} does not exist, or is not supported for you."
    return _fault("model_not_found", line, message, "body.model")


def not_native(line: int, model: str, reason: str) -> BatchFault:
    reason = reason.rstrip(".")
    message = f"The model {_quote(model)} runs batches at its provider alone (`batch: native`): {shorten(reason, 300)}."
    return _fault("invalid_request", line, message, "body")


def too_few(model: str, rows: int, least: int) -> BatchFault:
    message = (
        f"The model {_quote(model)} runs batches at its provider alone (`batch: native`), which takes no fewer than {least} "
        f"lines: the file has {rows} for it. Add lines, or ask the operator for `batch: auto`."
    )
    return _fault("invalid_request", None, message, "body.model")
