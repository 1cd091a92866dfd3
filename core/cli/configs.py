"""`llambda config validate` and `llambda config show`."""

import argparse

from core.cli.options import Commands, add_config, add_env, load_checked


def add_to(commands: Commands) -> None:
    """The `config` command with its two subcommands."""
    config = commands.add_parser("config", help="validate or show a run config")
    actions = config.add_subparsers(metavar="ACTION", required=True)
    for name, run, text in (
        ("validate", _validate, "report every mistake in a run config, and exit with 2 if there is one"),
        ("show", _show, "print the run config that is in force: substituted, secrets redacted"),
    ):
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        add_config(action)
        add_env(action)
        action.set_defaults(run=run)


def _validate(options: argparse.Namespace) -> int:
    path, config = load_checked(options)
    providers = sum(len(entries) for entries in config.providers.values())
    resources = sum(len(entries) for entries in config.resources.values())
    print(f"{path}: valid ({_count(providers, 'provider')}, {_count(resources, 'resource')})")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _show(options: argparse.Namespace) -> int:
    import yaml

    from core.config.redact import redact

    _, config = load_checked(options)
    print(yaml.safe_dump(redact(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True), end="")
    return 0
