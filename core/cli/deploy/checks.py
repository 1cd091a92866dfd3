"""What `llambda deploy` is options for, checked before anything slow is done: every mistake at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
import re
from shlex import quote
from typing import Any, Final, cast

import click

from core.cli.deploy import sam as deploy_sam
from core.cli.deploy import template as deploy_template
from core.cli.deploy.stack import REVIEWED, DeployedStack, Described
from core.cli.deploy.template import Template, Values
from core.cli.options import Pairs, unread_variables
from core.config import distributions
from core.config.document import RunConfig
from core.config.problems import ConfigInvalid, Problem
from core.config.redact import names_secret
from core.platform import environment

NO_CHECKOUT: Final = "llambda deploy works in a checkout alone: the installed package has no template.yaml"
NO_CREDENTIALS: Final = "no AWS credentials were found; set AWS_PROFILE, or sign in (`aws sso login`, `aws configure`)"
NO_REGION: Final = "name one, or set AWS_REGION"
NO_SAM: Final = "neither uv nor sam was found; `{}` installs uv"
NO_TERMINAL: Final = "there is no terminal to ask on; --yes deploys without asking, --dry-run shows the changes alone"
OPEN: Final = (
    "is missing, so that anybody on the internet may call; write {providers: [{type: api_key}]}, or use --open"
)
KEEP_OUT: Final = "it is a secret: name it UPSTREAM_API_KEY, which --param UpstreamApiKeySecretArn=... sets"
RUN_CONFIG: Final = "RunConfig"  # the parameter
MEANT: Final = "; did you mean"
UNSET: Final = re.compile(r"environment variable (\w+) is (?:not set|empty)")
OF_LAMBDA: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")  # Lambda itself sets these
BROKEN: Final = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """As it is written on the command line.

    `unasked`: it would have to ask, and there is nobody; `to_all`: it may be open to the whole internet.
    """

    config: str
    stack: str
    region: str | None
    params: tuple[str, ...]
    env: Pairs
    unasked: bool
    to_all: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be deployed; `chosen` are the parameters that change, `values` all of them, `before` the stack's now."""

    checkout: Path
    sam: list[str]
    path: Path
    config: RunConfig
    template: Template
    stack: DeployedStack
    before: Described | None
    chosen: dict[str, str]
    values: dict[str, str]

    def build(self) -> None:
        """Make the functions' packages, in .aws-sam of the checkout.

        Raises:
            SamFailed: it says why.
        """
        variables = {"LLAMBDA_BUILD_CONFIG": str(self.path.resolve())}
        variables["LLAMBDA_BUILD_ARCHITECTURE"] = self.values["Architecture"]
        deploy_sam.run(self.sam, ["build"], self.checkout, variables)

    def propose(self) -> None:
        """Upload the packages and have a change set made; nothing is changed yet.

        Raises:
            SamFailed: it says why.
        """
        target = ["--stack-name", self.stack.name, "--region", self.stack.region]
        how = ["--no-execute-changeset", "--no-confirm-changeset", "--no-fail-on-empty-changeset"]
        pairs = [f"{name}={value or '""'}" for name, value in self.chosen.items()]
        overrides = ["--parameter-overrides", *pairs] if pairs else []
        deploy_sam.run(self.sam, ["deploy", *target, *how, *overrides], self.checkout, {})


def make_plan(options: DeployOptions) -> Plan:
    """Look at everything that can be looked at without building.

    Raises:
        ConfigInvalid: with every mistake.
        AwsFailed: AWS did not say what the stack is now.
        click.ClickException: there is no checkout, or the stack cannot be deployed to now.
    """
    checkout = _checkout()
    template = deploy_template.read(checkout / "template.yaml")
    stack = DeployedStack(options.stack, options.region or environment.environ().get("AWS_REGION"))
    sam = deploy_sam.find(checkout)
    chosen, problems = parameters(options, template)
    problems += [*template.problems(chosen), *_surroundings(options, stack, sam)]
    before = None if _unaskable(problems) else _deployable(stack)
    values = _values(template, chosen, before)
    valid = {name: value for name, value in chosen.items() if name in template.parameters}
    if not problems:
        problems += Values(template, values, stack.region).problems()
    try:
        path = distributions.find(options.config)
    except ConfigInvalid as missing:
        faults = [Problem(options.config, problem.message) for problem in missing.problems]
        raise ConfigInvalid("llambda deploy", problems + faults) from missing
    problems = _with_unread(problems, path, options.env, template)
    wrong = {problem.path for problem in problems}  # they are reported once, and not again of what they set
    likely = values | {name: value for name, value in template.defaults().items() if name in wrong}
    config, faults = _run_config(path, Values(template, likely, stack.region or "us-east-1"), options)
    if problems or faults or config is None or sam is None:
        raise ConfigInvalid("llambda deploy", problems + faults)
    return Plan(checkout, sam, path, config, template, stack, before, valid, values)


def _with_unread(problems: list[Problem], path: Path, env: Pairs, template: Template) -> list[Problem]:
    """And what the run config does not read. What the template says of a variable stays, unless another name was meant."""
    faulty = {problem.path for problem in problems}
    unread = [
        Problem(f"--env {problem.path}", problem.message)
        for problem in unread_variables(path, env)
        if f"--env {problem.path}" not in faulty
        or (MEANT in problem.message and problem.path not in template.variables)
    ]
    places = {problem.path for problem in unread}
    return [problem for problem in problems if problem.path not in places] + unread


def _checkout() -> Path:
    try:
        from infra import uv
    except ModuleNotFoundError as missing:
        raise click.ClickException(NO_CHECKOUT) from missing
    if not (uv.ROOT / "template.yaml").is_file():
        raise click.ClickException(NO_CHECKOUT)
    return uv.ROOT


def parameters(options: DeployOptions, template: Template) -> tuple[dict[str, str], list[Problem]]:
    """The run config's name, the parameters of `--param`, and of `--env` where the template passes one on as it is."""
    chosen = {RUN_CONFIG: name_of(options.config)} if RUN_CONFIG in template.parameters else {}
    problems: list[Problem] = []
    for pair in (pair for text in options.params for pair in text.split()):
        name, equals, value = pair.partition("=")
        if not equals:
            problems.append(Problem("--param", f"`{name}` has no `=`; write KEY=VALUE, without blanks"))
        else:
            chosen[name] = value
    for variable, value in options.env:
        name = template.passed_on(variable)
        if name:
            chosen[name] = value
        else:
            problems.append(Problem(f"--env {variable}", _not_passed_on(variable, template)))
    return chosen, problems


def name_of(config: str) -> str:
    """The run config's name, as the template's parameter takes it."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", Path(config).stem)[:128] or "unnamed"


def _not_passed_on(variable: str, template: Template) -> str:
    if variable not in template.variables:
        do = KEEP_OUT if names_secret(variable) else "write its value into your run config"
        return f"template.yaml sets no such variable in the functions; {do}"
    names = template.parameters_of(variable)
    if not names:
        return "template.yaml sets it by itself; leave it out"
    return f"template.yaml makes it of a parameter; use {' or '.join(f'--param {name}=...' for name in names)}"


def _surroundings(options: DeployOptions, stack: DeployedStack, sam: list[str] | None) -> Iterator[Problem]:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,127}", options.stack):
        yield Problem("--stack-name", "must be letters, digits and hyphens, a letter first, at most 128")
    if not stack.region:
        yield Problem("--region", NO_REGION)
    elif not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", stack.region, re.ASCII):
        yield Problem("--region", f"`{stack.region}` is no region; write it as us-east-1")
    if not stack.has_credentials:
        yield Problem("credentials", NO_CREDENTIALS)
    if sam is None:
        from infra.uv import setup_command

        yield Problem("sam", NO_SAM.format(setup_command()))
    if options.unasked:
        yield Problem("--yes", NO_TERMINAL)


def _unaskable(problems: list[Problem]) -> bool:
    return any(problem.path in {"--stack-name", "--region", "credentials"} for problem in problems)


def _deployable(stack: DeployedStack) -> Described | None:
    """The stack; None if it is still to be made."""
    before = stack.describe()
    if before is None or before.status in {REVIEWED, "DELETE_COMPLETE"}:
        return None
    which = f"--stack-name {quote(stack.name)} --region {quote(stack.region)}"
    if before.status in BROKEN:
        message = f"Stack {stack.name} is in {before.status} and takes no changes. Delete it, and deploy again:"
        raise click.ClickException(f"{message}\n  aws cloudformation delete-stack {which}")
    if before.status.endswith("_IN_PROGRESS"):
        message = f"Stack {stack.name} is being changed ({before.status}). When that has ended, deploy again:"
        raise click.ClickException(f"{message}\n  aws cloudformation describe-stack-events {which} --max-items 5")
    return before


def _values(template: Template, chosen: Mapping[str, str], before: Described | None) -> dict[str, str]:
    """What is not given stays as it is in the stack; in a new one it is as the template has it."""
    current = {} if before is None else before.parameters
    values = {**template.defaults(), **current, **chosen}
    return {name: value for name, value in values.items() if name in template.parameters}


def _run_config(path: Path, values: Values, options: DeployOptions) -> tuple[RunConfig | None, list[Problem]]:
    """The run config as the functions will read it, with none of this machine's variables."""
    from core.config.load import load
    from core.resolution.check import check
    from core.resolution.deployment import unshared_stores

    variables = {**dict.fromkeys(OF_LAMBDA, "-"), "AWS_REGION": values.region, **values.variables()}
    loaded = load(path, variables)
    problems = [_explain(problem, values.template) for problem in loaded.problems + check(loaded, "lambda")]
    problems += unshared_stores(loaded)
    if not options.to_all and _at(loaded.document, "server.auth") is None:
        problems.append(Problem("server.auth", OPEN))
    return loaded.config, [
        Problem(f"{path.name}: {problem.path}".removesuffix(": "), problem.message) for problem in problems
    ]


def _explain(problem: Problem, template: Template) -> Problem:
    """A variable that the functions will not have is set by a parameter, or not at all."""
    missing = UNSET.search(problem.message)
    if missing is None:
        return problem
    variable, names = missing[1], template.parameters_of(missing[1])
    if names:
        how = f"needs {variable}; use {' or '.join(f'--param {name}=...' for name in names)}"
    else:
        do = KEEP_OUT if names_secret(variable) else "write its value into your run config"
        how = f"needs {variable}, which template.yaml does not set; {do}"
    return Problem(problem.path, how)


def _at(document: object, place: str) -> object:
    for name in place.split("."):
        document = cast("dict[str, Any]", document).get(name) if isinstance(document, dict) else None
    return document
