"""`llambda agents`: agents of a running stack, and turns with them, over HTTP."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Required, Unpack

import click

from core.cli.agents import config, output, turns
from core.cli.options import print_json
from core.cli.remote import OwnKeys, StackOptions, first_model, open_client, provider_data_option, stack_options
from core.cli.terminal import clean, clip_table, say

if TYPE_CHECKING:
    from core.client.api import Client
    from core.frame.types import JsonObject

FAILED: Final = 1
LISTING: Final = "llambda agents list"
EXAMPLES: Final = """\
\b
Examples:
  llambda agents create --instructions "Answer briefly." --store vs_4f1c
  llambda agents turn agent_4f1c "When do files expire?"
  llambda agents list
  llambda agents show agent_4f1c
  llambda agents delete agent_4f1c
"""
CREATE: Final = """\
\b
Examples:
  llambda agents create --model small --instructions "Answer briefly."
  llambda agents create --store vs_4f1c --tool mcp::everything
  llambda agents create --tool 'builtin::websearch={"max_results": 3}'
  llambda agents create --file agent.yaml --name helper
  AGENT=$(llambda agents create --file agent.yaml)
"""
TURN: Final = """\
\b
Examples:
  llambda agents turn agent_4f1c "When do files expire?"
  llambda agents turn agent_4f1c "And then?" --session conv_4f1c
  llambda agents turn agent_4f1c "Sum this up." --document notes.md
  llambda agents turn agent_4f1c --session conv_4f1c --resume resp_4f1c \\
    --answer call_1=sunny
\b
Exit codes:
  0  it is answered, or awaits what functions of yours answer
  1  it failed, or the stack cannot be asked
  2  the stack says that the request is wrong
"""


class Asked(OwnKeys):
    """What a turn is asked for with."""

    agent: Required[str]
    text: str | None
    session: str | None
    documents: tuple[str, ...]
    resume: str | None
    answers: tuple[tuple[str, str], ...]


def split_answer(text: str) -> tuple[str, str]:
    call, equals, answer = text.partition("=")
    if not equals or not call:
        raise click.BadParameter(f"`{text}` is no CALL=TEXT")
    return call, answer


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Make agents of a running stack, and talk with them.

    An agent is a model with its instructions, tools and shields; what is said
    with it is in sessions (`llambda sessions`).
    """


@command.command(epilog=CREATE)
@click.option("--file", metavar="PATH", help="Its config, in YAML or JSON; - reads it. Options are over it.")
@click.option("--model", metavar="ID", help="The model; without it the first of the stack.")
@click.option("--instructions", metavar="TEXT", help="How it is to answer.")
@click.option("--name", metavar="TEXT", help="What you call it.")
@click.option(
    "--tool",
    "tools",
    metavar="GROUP",
    multiple=True,
    type=config.read_group,
    help="A tool group, or GROUP/TOOL, or either with =JSON: arguments that the model is not told (repeatable).",
)
@click.option("--store", "stores", metavar="ID", multiple=True, help="Search this vector store (repeatable).")
@click.option(
    "--input-shield", "input_shields", metavar="ID", multiple=True, help="Judges what it is told (repeatable)."
)
@click.option("--output-shield", "output_shields", metavar="ID", multiple=True, help="Judges its answers (repeatable).")
@click.option("--max-rounds", metavar="N", type=click.IntRange(1), help="Ask the model at most N times in a turn.")
@click.option("--max-tokens", metavar="N", type=click.IntRange(1), help="At most N tokens of an answer.")
@stack_options
def create(url: str, api_key: str | None, *, as_json: bool, **described: Unpack[config.Described]) -> None:
    """Make an agent, and print its ID."""
    agent_config = config.read_config(described)
    with open_client(url, api_key) as client:
        agent_config.setdefault("model", None)
        agent_config["model"] = agent_config["model"] or first_model(client)
        agent = client.agents.create(agent_config)
    print_json({"agent_id": agent}) if as_json else click.echo(clean(agent))


@command.command(
    "list",
    epilog="\b\nExamples:\n  llambda agents list\n  llambda agents list --json | jq -r '.[].agent_id'\n",
)
@stack_options
def list_(*, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """List your agents, the oldest first."""
    with open_client(**stack) as client:
        agents = list(client.agents.list())
    if as_json:
        print_json(agents)
    elif not agents:
        click.echo("no agents")
    else:
        print("\n".join(clip_table(output.AGENTS, map(output.agent_row, agents))))


@command.command(
    epilog="\b\nExamples:\n  llambda agents show agent_4f1c\n  llambda agents show agent_4f1c --json | jq .agent_config > agent.json\n"
)
@click.argument("agent", metavar="ID")
@stack_options
def show(agent: str, *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Show an agent: its model, tools, shields and instructions."""
    with open_client(**stack, listing=LISTING) as client:
        found_agent = client.agents.get(agent)
    print_json(found_agent) if as_json else print("\n".join(output.agent_lines(found_agent)))


@command.command(epilog="\b\nExamples:\n  llambda agents delete agent_4f1c agent_77ab\n")
@click.argument("agents", metavar="ID...", nargs=-1, required=True)
@stack_options
def delete(agents: tuple[str, ...], *, as_json: bool, **stack: Unpack[StackOptions]) -> None:
    """Delete agents, with their sessions."""
    with open_client(**stack, listing=LISTING) as client:
        for agent in agents:
            client.agents.delete(agent)
            if not as_json:
                click.echo(f"deleted {agent}")
    if as_json:
        print_json(list(agents))


@command.command(epilog=TURN)
@click.argument("agent", metavar="AGENT")
@click.argument("text", metavar="[TEXT]", required=False)
@click.option("--session", metavar="ID", help="Go on in this session; without it a new one begins.")
@click.option(
    "--document",
    "documents",
    metavar="PLACE",
    multiple=True,
    help="Tell it this text too: a file, or a URL that the stack fetches (repeatable).",
)
@click.option("--resume", metavar="ID", help="Go on with this turn, which awaits what functions of yours answer.")
@click.option(
    "--answer",
    "answers",
    metavar="CALL=TEXT",
    multiple=True,
    type=split_answer,
    help="With --resume: what a function answered (repeatable).",
)
@provider_data_option
@stack_options
def turn(*, as_json: bool, **asked: Unpack[Asked]) -> int:
    """Ask an agent, and print its answer as it comes.

    TEXT is what is asked; - reads it. The answer is on the standard output, what
    tools and shields do on the standard error, with the session to go on in.
    """
    _check(asked)
    body = {} if asked["resume"] else turns.body_of(asked["text"] or "", asked["documents"])
    agent, session = asked["agent"], asked["session"]
    listing = f"llambda sessions list {agent}" if session else LISTING
    with open_client(asked["url"], asked.get("api_key"), asked["provider_data"], listing=listing) as client:
        if session is None:
            session = client.sessions.create(agent, turns.name_of(asked["text"] or ""))
            say(clean(f"note: the session is {session}"))
        try:
            done = turns.show_turn(_events(client, asked, session, body), hidden=as_json)
        except KeyboardInterrupt:
            say(clean(f"note: it may go on; `llambda sessions show {agent} {session}` shows what is kept"))
            raise
    if done:
        print_json(done) if as_json else turns.say_what_follows(done, agent, session)
    return 0 if done else FAILED


def _events(client: "Client", asked: Asked, session: str, body: "JsonObject") -> "Iterator[JsonObject]":
    agent, resumed = asked["agent"], asked["resume"]
    if not resumed:
        return client.sessions.stream_turn(agent, session, body)
    answers = turns.answers_of(client, agent, session, resumed, asked["answers"])
    return client.sessions.stream_resumed_turn(agent, session, resumed, answers)


def _check(asked: Asked) -> None:
    if not asked["resume"]:
        if asked["answers"]:
            raise click.UsageError("--answer goes with --resume: which turn is it for?")
        if not asked["text"]:
            raise click.UsageError("Give the TEXT that is asked, or - to read it.")
    elif asked["text"] or asked["documents"]:
        raise click.UsageError("--resume goes on with what was asked: it takes no TEXT and no --document.")
    elif not asked["session"] or not asked["answers"]:
        raise click.UsageError(
            "--resume wants the --session of the turn, and an --answer for each call that it awaits."
        )
