"""`llambda keys`: API keys in a store, or of a running stack."""

from typing import TYPE_CHECKING, Any, Final

import click

from core.cli.keys import options as key_options
from core.cli.keys.places import place_options, remote_keys, store_of
from core.cli.options import print_json
from core.cli.terminal import clean, say, show

if TYPE_CHECKING:
    from core.apis.answers.keys import Key

EXAMPLES: Final = """\
\b
Examples:
  KEY=$(llambda keys create --name demo --roles admin,dev --expires 30d)
  llambda keys create --config run.yaml --name ci --models 'small,vllm/*'
  llambda keys update abcdefgh2345 --limit 'month money 5'
  llambda keys list --table my-stack-RegistryTable-1ABC --region eu-west-1
  llambda keys rotate abcdefgh2345 --overlap 7d
  llambda keys revoke abcdefgh2345 --url https://stack.example.com
"""
ID_HELP: Final = "As `llambda keys list` shows it: of llambda_ID_..., the ID."
NAMES: Final = ("name", "roles", "teams", "models", "limits", "expires")

id_argument: Final = click.argument("id_", metavar="ID", type=key_options.key_id, help=ID_HELP)
force_option: Final = click.option(
    "--force", is_flag=True, help="Also with roles and teams that no rule of the run config names."
)


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Create, list, change, rotate and revoke API keys."""


@command.command(epilog=EXAMPLES)
@click.option(
    "--name", metavar="NAME", required=True, type=key_options.name, help="Whose key it is, or what it is for."
)
@click.option(
    "--roles", metavar="A,B", type=key_options.roles, help="Roles of its bearer, for the access policy and quotas."
)
@click.option("--teams", metavar="A,B", type=key_options.roles, help="Teams of its bearer, for the access policy.")
@click.option(
    "--models",
    metavar="A,B",
    type=key_options.patterns,
    help="The models that it is for, as small,vllm/* (default: all).",
)
@click.option(
    "--limit",
    "limits",
    metavar="LIMIT",
    type=key_options.limit,
    multiple=True,
    help='What it may use in a window (UTC), as "month money 5" (USD) or "day requests 100 tokens 20000"; repeatable.',
)
@click.option(
    "--expires",
    metavar="WHEN",
    type=key_options.expiry,
    help="After 30d or 12h, or on 2027-01-31 at 0:00 UTC (default: never).",
)
@force_option
@place_options
def create(*, force: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of place_options, and NAMES
    """Create an API key.

    It is printed once, alone on the standard output. Only a salted hash of it is stored, in the run config's registry.
    A stack that runs on the run config's port is asked whether it uses that store.
    """
    from core.cli.keys.creating import create_in_store

    fields = _fields(options)
    if fields.get("models") == []:
        del fields["models"]
    with remote_keys(options) as keys:
        if keys is None:
            create_in_store(store_of(options), fields, force=force, as_json=as_json)
            return
        answer = keys.create(**fields, force=force)
    key: Any = {name: value for name, value in answer.items() if name != "key"}
    _print_secret(answer["key"], key, as_json=as_json, opens=True, store=options["url"])


@command.command("list", epilog=EXAMPLES)
@click.option("--all", "revoked", is_flag=True, help="With the revoked ones.")
@place_options
def list_keys(*, revoked: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of place_options
    """List the keys: what is known of each, not the key itself."""
    from core.cli.keys import local
    from core.cli.keys.shown import table, to_json, unusable

    with remote_keys(options) as keys:
        rows = local.list_keys(store_of(options), revoked=revoked) if keys is None else keys.list(revoked=revoked)
    if as_json:
        print_json([to_json(key) if isinstance(key, dict) else unusable(key[0]) for key in rows])
        return
    print(table(rows, local.now()))


@command.command(epilog=EXAMPLES)
@id_argument
@place_options
def get(id_: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of place_options
    """Show a key: what is known of it, not the key itself."""
    from core.cli.keys import local

    with remote_keys(options) as keys:
        key = local.get_key(store_of(options), id_) if keys is None else keys.get(id_)
    _print(key, as_json=as_json)


@command.command(epilog=EXAMPLES)
@id_argument
@click.option("--name", metavar="NAME", type=key_options.name, help="Another name.")
@click.option("--roles", metavar="A,B", type=key_options.roles_or_none, help="These roles; '' for none.")
@click.option("--teams", metavar="A,B", type=key_options.roles_or_none, help="These teams; '' for none.")
@click.option("--models", metavar="A,B", type=key_options.patterns, help="These models alone; '*' for all.")
@click.option(
    "--limit",
    "limits",
    metavar="LIMIT",
    type=key_options.limit_or_none,
    multiple=True,
    help="As with create: all its limits from now on; none for none.",
)
@click.option("--expires", metavar="WHEN", type=key_options.expiry_or_never, help="As with create, or never.")
@click.option(
    "--force",
    is_flag=True,
    help="Also with roles and teams that no rule of the run config names, and limits below what it has used.",
)
@place_options
def update(id_: str, *, force: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of place_options, and NAMES
    """Change what a key is for.

    Every function knows of it within registry.cache_seconds.
    """
    from core.cli.keys import local

    changes = _fields(options)
    if not changes:
        raise click.UsageError("name what is to change: --name, --roles, --teams, --models, --limit or --expires")
    if changes.get("models") == []:
        changes["models"] = None
    if changes.get("expires") == key_options.NEVER:
        changes["expires"] = None
    with remote_keys(options) as keys:
        if keys is None:
            key = local.update_key(store_of(options), id_, changes, force=force)
        else:
            key = keys.update(id_, **changes, force=force)
    _print(key, as_json=as_json)


@command.command(epilog=EXAMPLES)
@id_argument
@click.option(
    "--overlap",
    metavar="TIME",
    type=key_options.overlap,
    default="24h",
    show_default=True,
    help="For how long the secret of now passes too: 24h, 7d, 0; at most 30d.",
)
@click.option("--force", is_flag=True, help="Also within the overlap of a rotation before, which ends.")
@place_options
def rotate(id_: str, *, overlap: int, force: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of place_options
    """Give a key another secret, and print the key.

    Its id, roles, teams and models stay, and so does what it owns. The secret of now passes for a while, so that no call
    fails while clients change over.
    """
    from core.cli.keys import local
    from core.cli.keys.shown import moment

    with remote_keys(options) as keys:
        if keys is None:
            token, key = local.rotate_key(store_of(options), id_, overlap=overlap, force=force)
        else:
            answer = keys.rotate(id_, overlap=overlap, force=force)
            token, key = answer["key"], answer
    _print_secret(token, key, as_json=as_json)
    if not as_json:
        until = key["previous_until"]
        say(f"The secret before passes until {moment(until)}." if until else "The secret before passes no more.")


@command.command(epilog=EXAMPLES)
@id_argument
@place_options
def revoke(id_: str, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - of place_options
    """Revoke a key, for good. Its name stays, for what it has used."""
    from core.cli.keys import local

    with remote_keys(options) as keys:
        if keys is not None:
            keys.revoke(id_)
            print_json({"revoked": id_}) if as_json else show(f"Revoked {id_}.")
            return
        target = local.revoke_key(store_of(options), id_)
    seconds = target.settings.registry.cache_seconds
    if as_json:
        print_json({"revoked": id_, "refused_within_seconds": seconds})
        return
    unless = ", or as long as its run config says" if target.opens is None else ""
    within = f"{seconds:g} seconds (registry.cache_seconds{unless})"
    show(f"Revoked {id_}. Every function refuses it within {within}.")


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the key that were named; a body has rows in a list."""
    fields = {name: options[name] for name in NAMES if options[name] is not None}
    rows = [row for row in fields.pop("limits") if row]
    return fields | ({"limits": rows} if options["limits"] else {})


def _print(key: "Key", *, as_json: bool) -> None:
    from core.cli.keys.local import now
    from core.cli.keys.shown import facts, to_json

    print_json(to_json(key)) if as_json else print(facts(key, now()))


def _print_secret(token: str, key: "Key", *, as_json: bool, **more: Any) -> None:  # noqa: ANN401 - of the JSON alone
    from core.cli.keys.creating import ELSEWHERE
    from core.cli.keys.shown import to_json

    if as_json:
        print_json({"key": token, **more, **{name: value for name, value in to_json(key).items() if name != "key"}})
        return
    print(clean(token), flush=True)
    say(f"Key {clean(key['id'])} ({clean(key['name'])}).\n{ELSEWHERE}".rstrip("\n"))
