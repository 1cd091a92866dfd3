"""`llambda vector-stores copy`: a vector store moves to another provider or embedding model, in a job of the stack."""

import re
from typing import TYPE_CHECKING, Final, Unpack

import click

from core.cli.jobs.waiting import wait_for
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.vector_stores import output

if TYPE_CHECKING:
    from core.apis.answers.jobs import JobView
    from core.client.api import Client

MISSING: Final = 404
ID: Final = r"vs_[0-9a-f-]{36}"
EPILOG: Final = """\
\b
Examples:
  llambda vector-stores copy handbook handbook-s3 --provider vectors
  llambda vector-stores copy handbook handbook-2 --model all-minilm
  llambda vector-stores copy vs_4f1c vs_77aa --no-wait
\b
The same command again goes on with what is not there yet, and with what has
been added since. What is in TO already is neither copied nor embedded again.
\b
Exit codes:
  0  all that was in FROM is in TO
  1  some of it is not: the reasons are listed
"""


class Target(StackOptions):
    """Where the new store is, and its model; and whether the command waits."""

    provider: str | None
    model: str | None
    wait: bool


@click.command("copy", epilog=EPILOG)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--provider", metavar="ID", help="Where the new store is kept; else where FROM is.")
@click.option("--model", metavar="ID", help="Embed the texts again by this model; else FROM's, with its vectors.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the job has ended.")
@stack_options
def command(source: str, target: str, *, as_json: bool, **options: Unpack[Target]) -> int:
    """Copy a vector store to another provider or model.

    FROM stays as it is. TO is an id or a name: a store that is empty, or that a copy of FROM has begun to fill; where there is none, it is
    made. The texts are embedded again where the model is another one, else the vectors are copied.
    """
    with open_client(options["url"], options.get("api_key")) as client:
        from_id = client.vector_stores.find(source)["id"]
        to_id = _find(client, target)
        view = client.vector_stores.copy(
            from_id,
            vector_store_id=to_id,
            name=None if to_id else target,
            provider_id=options["provider"],
            embedding_model=options["model"],
        )
        if options["wait"]:
            view = wait_for(client, view["id"])
    _print(view, as_json=as_json)
    return _code(view)


def _find(client: "Client", store: str) -> str | None:
    """The id of the store with this id or name, None where there is none."""
    from core.client.failures import ApiFailed

    try:
        return client.vector_stores.find(store)["id"]
    except ApiFailed as failure:
        if failure.status != MISSING or re.fullmatch(ID, store):  # a mistyped id is no name
            raise
        return None


def _print(view: "JobView", *, as_json: bool) -> None:
    print_json(view) if as_json else click.echo("\n".join(output.copy_lines(view)))


def _code(view: "JobView") -> int:
    """0 also of a job that has not ended."""
    return int(view["ended_at"] is not None and (view["status"] != "completed" or view["progress"]["failed"] > 0))
