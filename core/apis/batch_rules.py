"""What a new batch must be like; refused in the words that the reference's own tests look for."""

from typing import Final

from core.apis.batches import ENDPOINTS, WINDOW, NewBatch
from core.apis.response_rules import check_metadata
from core.errors import InvalidRequest, shorten
from core.frame.types import JsonObject
from core.platform.json_values import is_object

MOST_SHOWN: Final = 60
LINE_FIELDS: Final = ("custom_id", "method", "url", "body")
FORM: Final = '{"body": {"model": "..", "messages": [{"role": "user", "content": "{{question}}"}]}}.'


def check_batch(request: NewBatch) -> None:
    """Raises InvalidRequest."""
    _check_input(request)
    if request.endpoint not in ENDPOINTS:
        raise _invalid("endpoint", request.endpoint, ENDPOINTS)
    if request.completion_window != WINDOW:
        raise _invalid("completion_window", request.completion_window, (WINDOW,))
    if request.metadata is not None:
        check_metadata(request.metadata, "metadata")


def _check_input(request: NewBatch) -> None:
    """One of the two, and what belongs to it alone."""
    if request.input_dataset_id is None:
        if request.input_file_id is None:
            message = "Field required: give `input_file_id`, or `input_dataset_id` with a `template`."
            raise InvalidRequest(message, param="input_file_id")
        for name in ("template", "output_dataset_id"):
            if getattr(request, name) is not None:
                raise InvalidRequest(f"`{name}` goes with `input_dataset_id`, not with a file.", param=name)
        return
    if request.input_file_id is not None:
        message = "`input_file_id` and `input_dataset_id` exclude each other: send one of them."
        raise InvalidRequest(message, param="input_dataset_id")
    if request.template is None:
        message = "`template` is missing: the line that each row fills, as " + FORM
        raise InvalidRequest(message, param="template")
    _check_template(request.template)


def _check_template(template: JsonObject) -> None:
    if unknown := next((name for name in template if name not in LINE_FIELDS), None):
        message = f"`template` has a field `{shorten(unknown, MOST_SHOWN)}`, and a line is {FORM}"
        raise InvalidRequest(message, param="template")
    if not is_object(template.get("body")):
        raise InvalidRequest(f"`template.body` must be an object: the template is a line, as {FORM}", param="template")


def _invalid(name: str, value: str, supported: tuple[str, ...]) -> InvalidRequest:
    message = (
        f"Invalid {name}: {shorten(value, MOST_SHOWN)}. Supported values: {', '.join(supported)}. "
        f"Code: invalid_value. Param: {name}"
    )
    return InvalidRequest(message, param=name).quote(code="invalid_value")
