"""`llambda init`: a run config out of a few answers, or out of one of Llama Stack."""

from collections.abc import Callable, Mapping
from pathlib import Path
import sys
import textwrap
from typing import Any, Final

import click

from core.cli.init.document import Answers, document, required_variables
from core.cli.init.questions import HELP, QUESTIONS, AnswerTexts, Question
from core.cli.output_file import force_option, out_option, write
from core.cli.terminal import show
from core.config.problems import ConfigInvalid
from core.platform.commands import path_word, program

EPILOG: Final = """\b
Examples:
  llambda init
  llambda init --yes --inference vllm --url http://gpu:8000/v1 --model llama3
  llambda init --yes --inference bedrock --region us-east-1 --auth api-keys
  llambda init --from old/run.yaml --out run.yaml
"""


def _question_options[F: Callable[..., Any]](function: F) -> F:
    """An option for each question."""
    for name in reversed(HELP):
        rows = [question for question in QUESTIONS if question.name == name]
        kind = click.Choice(rows[0].choices) if rows[0].choices else None
        function = click.option(rows[0].flag, name, type=kind, help=HELP[name])(function)
    return function


@click.command(epilog=EPILOG)
@_question_options
@click.option("--from", "source", type=click.Path(path_type=Path), help="Convert a run config of Llama Stack.")
@out_option
@click.option("--yes", is_flag=True, help="Take the default of every question whose flag is not given.")
@force_option
def command(*, source: Path | None, out: Path, yes: bool, force: bool, **flags: str | None) -> None:
    """Write a run config: from your answers to a few questions, or from a run config of Llama Stack.

    A question whose flag is given is not asked. Keys and passwords are never asked for and never written: the run config
    names the variables that hold them.
    """
    texts = {name: answer for name, answer in flags.items() if answer is not None}
    if source is not None:
        _take_over(source, out, texts, force=force)
        return
    answers = _answers(texts, yes=yes)
    text = document(answers)
    _check(text, out)
    write(out, text, force=force)
    show(f"Wrote {out}.")
    _say("Set before serving it:", required_variables(text))
    _say_next(answers, path_word(out))


def _answers(flags: Mapping[str, str], *, yes: bool) -> Answers:
    """Every answer: from a flag, asked for at a terminal, or with `yes` the default."""
    answers = dict(flags)
    terminal = sys.stdin.isatty() and not yes
    missing: list[str] = []
    for question in QUESTIONS:
        if not question.applies(answers):
            continue
        if question.name in answers:
            _check_answer(question, answers[question.name])
        elif terminal:
            answers[question.name] = _ask(question)
        elif yes and question.default is not None:
            answers[question.name] = question.default
        else:
            missing.append(question.flag)
    if missing:
        raise click.UsageError(f"give {', '.join(missing)}{'' if yes else ', or --yes for the defaults'}")
    _no_idle_flags(answers)
    return _to_record(answers)


def _ask(question: Question) -> str:
    def validate(answer: str) -> str:
        _check_answer(question, answer)
        return answer

    choices = f" ({', '.join(question.choices)})" if question.choices else ""
    answer: str = click.prompt(f"{question.prompt}{choices}", default=question.default, value_proc=validate)
    return answer


def _check_answer(question: Question, answer: str) -> None:
    wrong = question.wrong(answer)
    if wrong:
        raise click.UsageError(f"{question.flag}: {wrong}")


def _no_idle_flags(answers: AnswerTexts) -> None:
    if answers.get("guardrail", "none") != "none" and not answers["model"]:
        raise click.UsageError("--guardrail: guardrails apply to declared models only; give --model too")
    applicable = {question.name for question in QUESTIONS if question.applies(answers)}
    idle = [question.flag for question in QUESTIONS if question.name in answers and question.name not in applicable]
    if idle:
        flags = ", ".join(dict.fromkeys(idle))
        raise click.UsageError(f"{flags}: of no use with the other answers; leave it out")


def _to_record(answers: AnswerTexts) -> Answers:
    """A missing guardrail is the answer "none", or the question did not apply."""
    texts = {name: answer for name, answer in answers.items() if name not in {"quota", "guardrail"}}
    guardrail = answers.get("guardrail", "none")
    return Answers(**texts, quota=int(answers["quota"]), guardrail="" if guardrail == "none" else guardrail)


def _check(text: str, out: Path) -> None:
    """As `serve` would, once its variables are set; raises ConfigInvalid."""
    import yaml

    from core.cli.init.stand_ins import check_with_stand_ins

    problems = check_with_stand_ins(yaml.safe_load(text))
    if problems:
        raise ConfigInvalid(str(out), problems)


def _take_over(source: Path, out: Path, flags: AnswerTexts, *, force: bool) -> None:
    from core.cli.init.take_over import take_over

    if flags:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in flags)
        raise click.UsageError(f"{names}: of no use with --from, which answers every question")
    conversion = take_over(source)
    write(out, conversion.text, force=force)
    show(f"Wrote {out}: what this build serves of {source}.")
    _say("Served:", _wrap(conversion.summary()))
    _say("Left out or changed:", _wrap(conversion.notes))
    _say("Set before serving it:", required_variables(conversion.text))
    _say("Next:", _check_and_serve(path_word(out)))


def _check_and_serve(file: str) -> list[str]:
    return [f"{program()} config validate {file}", f"{program()} serve {file}"]


def _say_next(answers: Answers, file: str) -> None:
    if "bedrock" in answers.inference or (answers.guardrail and not answers.guard_model()):
        _say("What it needs in IAM:", [f"{program()} iam {file} --lookup"])
    _say("Next:", _check_and_serve(file))
    calls = ["curl http://127.0.0.1:8321/v1/models"]
    if answers.auth == "api-keys":
        calls.insert(0, f"KEY=$({program()} keys create --config {file} --name me --roles admin)")
    if answers.auth == "cognito":
        _say(
            "In another terminal, in this folder, with a token of the user pool in TOKEN:",
            [f'{calls[0]} -H "authorization: Bearer $TOKEN"'],
        )
        return
    if answers.auth == "api-keys":
        calls[-1] += ' -H "authorization: Bearer $KEY"'
    _say("In another terminal, in this folder:", calls)


def _wrap(notes: list[str]) -> list[str]:
    """In lines of 80 columns."""
    return [line for note in notes for line in textwrap.wrap(note, 78, subsequent_indent="  ")]


def _say(title: str, lines: list[str]) -> None:
    if lines:
        show("\n".join([title, *(f"  {line}" for line in lines)]))
