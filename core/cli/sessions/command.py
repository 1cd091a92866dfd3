"""`llambda sessions`: what is said with agents of a running stack, over HTTP."""

from typing import Final, Unpack

import click

from core.cli.agents import output
from core.cli.options import print_json
from core.cli.remote import StackOptions, open_client, stack_options
from core.cli.terminal import clean, clip_table

LISTING: Final = "llambda sessions list AGENT"
EXAMPLES: Final = """\
\b
Examples:
  llambda sessions create agent_4f1c --name notes
  llambda agents turn agent_4f1c "Hello." --session conv_4f1c
  llambda sessions list agent_4f1c
  llambda sessions show agent_4f1c conv_4f1c
  llambda sessions delete agent_4f1c conv_4f1c
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Begin, list, show and delete sessions with agents.

    A session is a conversation: `llambda conversations show` shows it too.
    """


@command.command(
    epilog="\b\nExamples:\n  llambda sessions create agent_4f1c\n  llambda sessions create agent_4f1c --name notes --json | jq -r .session_id\n"
)
@click.argument("agent", metavar="AGENT")
@click.option("--name", metavar="TEXT", default="session", show_default=True, help="What you call it.")
@stack_options
def create(agent: str, name: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Begin a session with an agent, and print its ID."""
    with open_client(**stack, listing="llambda agents list") as client:
        session = client.sessions.create(agent, name)
    print_json({"session_id": session}) if as_json else click.echo(clean(session))


@command.command(
    "list",
    epilog="\b\nExamples:\n  llambda sessions list agent_4f1c\n  llambda sessions list agent_4f1c --json | jq -r '.[].session_id'\n",
)
@click.argument("agent", metavar="AGENT")
@stack_options
def list_(agent: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your sessions with an agent, the oldest first."""
    with open_client(**stack, listing="llambda agents list") as client:
        sessions = list(client.sessions.list(agent))
    if as_json:
        print_json(sessions)
    elif not sessions:
        click.echo("no sessions")
    else:
        print("\n".join(clip_table(output.SESSIONS, map(output.session_row, sessions))))


@command.command(
    epilog="\b\nExamples:\n  llambda sessions show agent_4f1c conv_4f1c\n  llambda sessions show agent_4f1c conv_4f1c --json | jq .turns\n"
)
@click.argument("agent", metavar="AGENT")
@click.argument("session", metavar="ID")
@stack_options
def show(agent: str, session: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show a session: what was asked, what tools did, and what was answered."""
    with open_client(**stack, listing=LISTING) as client:
        found_session = client.sessions.get(agent, session)
    print_json(found_session) if as_json else print("\n".join(output.session_lines(found_session)))


@command.command(epilog="\b\nExamples:\n  llambda sessions delete agent_4f1c conv_4f1c conv_77ab\n")
@click.argument("agent", metavar="AGENT")
@click.argument("sessions", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(agent: str, sessions: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete sessions with an agent, and what was said in them."""
    with open_client(**stack, listing=LISTING) as client:
        for session in sessions:
            client.sessions.delete(agent, session)
            if not as_json:
                click.echo(f"deleted {session}")
    if as_json:
        print_json(list(sessions))
