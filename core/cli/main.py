"""The `llambda` command."""

import argparse
from collections.abc import Sequence
import sys
from typing import Final

from core.apis.version import VERSION
from core.cli import build, configs, iam, keys, policies, serve
from core.config.problems import ConfigInvalid
from core.resolution.compliance import NotCompliant

EXAMPLES: Final = """\
examples:
  llambda serve starter                     serve a distribution on port 8321
  llambda serve run.yaml --port 9000 --env VLLM_URL=http://gpu:8000/v1
  llambda config validate run.yaml          every mistake at once, exit code 2
  llambda config show starter               what is in force, secrets redacted
  llambda keys create --name demo --roles admin
  llambda policy explain --user ada --action read --resource model::small
  llambda iam run.yaml --account 123456789012   what it needs of Bedrock in IAM
  llambda build --report                    the packages for AWS Lambda
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="llambda",
        description="A Llama Stack with no server: one OpenAI-compatible endpoint over remote providers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"llambda {VERSION}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    serve.add_to(commands)
    configs.add_to(commands)
    policies.add_to(commands)
    keys.add_to(commands)
    iam.add_to(commands)
    build.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 is success, 1 a failure, 2 a mistake in the arguments or in the run config."""
    try:
        options = parser().parse_args(arguments)
        code: int = options.run(options)
    except (ConfigInvalid, NotCompliant) as invalid:
        print(invalid, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
