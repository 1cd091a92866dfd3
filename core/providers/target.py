"""Where a remote provider is. Apart from the client that calls it, whose import costs a cold start."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """`timeout` bounds each wait for bytes, `connect_timeout` the connection, in seconds.

    `tls_verify` is False, True (the system's authorities) or the path of a CA bundle.
    """

    provider_id: str
    base_url: str
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float = 60.0
    connect_timeout: float = 5.0
    tls_verify: bool | str = True
