"""What AWS's own runtime tells a handler of its invocation, under the same names."""

from collections.abc import Mapping
import time

from core.runtime.invocations import Invocation


class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html, without what only mobile clients send."""

    client_context = None
    identity = None

    def __init__(self, invocation: Invocation, variables: Mapping[str, str]) -> None:
        """`variables` are the environment's."""
        self.aws_request_id = invocation.request_id
        self.invoked_function_arn = invocation.function_arn
        self.tenant_id = invocation.tenant_id
        self.function_name = variables.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = variables.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = variables.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variables.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self._deadline_ms = invocation.deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda kills the function; never less than 0."""
        return max(0, self._deadline_ms - time.time_ns() // 1_000_000)
