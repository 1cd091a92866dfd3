"""A right, as a row of the table has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Right:
    """Actions on a resource of template.yaml, on the ARNs in a parameter of it, on `arns` with {partition} and {account}, or else on `*`.

    `{}` in `resource` is the function; where the resource's ARN is not its attribute `Arn`, it is named behind a dot. `below` are
    what follows the ARN: `/*` is on what is in a bucket, and not on itself. `condition` is the template's: without it the statement is left out. `through` is
    the parameter with the inference profiles by which alone the ARNs may be called. `keys` are patterns of the partition keys of
    a table's items, one of which every key of a call must match; () for all of them. `via` are the services
    for whose calls alone the role's KMS keys, any of them, may be used: what it may have decrypted is what it may call these for.
    `by_service`: for Lambda itself, which acts as the role, and not for the function's code. A role is passed to the service `to` alone.
    """

    sid: str
    actions: tuple[str, ...]
    resource: str = ""
    parameter: str = ""
    condition: str = ""
    through: str = ""
    below: tuple[str, ...] = ("",)
    keys: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    by_service: bool = False
    to: str = ""
    arns: tuple[str, ...] = ()
