"""What a command prints to be run next runs as it is printed: in bash, from the folder of its reader, whatever it is called."""

from collections.abc import Iterator
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import pytest

from core.cli.deploy import output as deploy_output
from core.cli.deploy.template import read
from core.platform import commands
from infra import uv
from tests.parts.stack import ROOT, serving
from tests.parts.upstream import FakeUpstream, in_thread
from tests.unit.cli.test_commands import ALL, contexts
from tests.unit.cli.test_deploy_output import plan

NASTY = 'it\'s "a" $HOME & `b` ;c'
OWN = Path(sys.executable).with_name("llambda")
ELSEWHERE = "/usr/bin:/bin"  # a PATH on which no llambda is


def shell(script: str, folder: Path, path: str = ELSEWHERE, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "HOME": str(folder), **variables}
    return subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def llambda(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return shell(shlex.join([str(OWN), *words]), folder, **variables)


def printed(text: str) -> list[str]:
    """The lines that are indented, those that go on joined: what is meant to be pasted."""
    joined = text.replace("\\\n", "")
    return [line.strip() for line in joined.splitlines() if line.startswith("  ")]


def takes(line: str) -> None:
    """Every `llambda ...` in the line is a command with these options; nothing is run."""
    inner = re.findall(r"\$\((\S*llambda [^()]*)\)", line)
    for text in inner or [line]:
        words = shlex.split(text)
        assert Path(words[0]).name == "llambda", line
        words = words[1:]
        depth = max(depth for depth in range(len(words) + 1) if tuple(words[:depth]) in ALL)
        leaf, context = contexts(tuple(words[:depth]), 80)
        leaf.make_parser(context).parse_args(words[depth:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / NASTY
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "path", "out"),
    [
        ("bedrock", ELSEWHERE, "run.yaml"),
        ("bedrock-vllm", f"{OWN.parent}:{ELSEWHERE}", "-my run's.yaml"),
        ("openai-compatible", ELSEWHERE, '"$(x)".yaml'),
    ],
)
def test_a_copy_of_a_distribution(folder: Path, name: str, path: str, out: str) -> None:
    made = shell(shlex.join([str(OWN), "distributions", "init", name, f"--out={out}"]), folder, path)
    assert made.returncode == 0, made.stderr
    validate, serve = printed(made.stdout)
    assert validate.startswith("llambda ") == (path != ELSEWHERE)
    done = shell(validate, folder, path, AWS_REGION="us-east-1")
    assert done.returncode == 0, done.stderr
    takes(serve)


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with in_thread(FakeUpstream()) as fake:
        yield fake


@pytest.mark.parametrize("auth", ["none", "api-keys"])
def test_a_run_config_out_of_answers(folder: Path, upstream: FakeUpstream, auth: str) -> None:
    answers = ("--yes", "--inference", "vllm", "--url", f"{upstream.url}/v1", "--model", "m", "--auth", auth)
    made = llambda(folder, "init", *answers, "--out", "my run.yaml")
    assert made.returncode == 0, made.stderr
    validate, serve, *calls = printed(made.stdout)
    done = shell(validate, folder)
    assert done.returncode == 0, done.stderr
    assert serve.endswith(" serve 'my run.yaml'")
    with serving("my run.yaml", folder / "log.txt", llambda=("env", "-C", str(folder), str(OWN))) as url:
        script = "\n".join(calls).replace("curl ", "curl -sS --fail ").replace("http://127.0.0.1:8321", url)
        done = shell(script, folder)
    assert done.returncode == 0, done.stderr
    assert '"m"' in done.stdout


@pytest.mark.parametrize(
    "flags", [["--inference", "bedrock", "--region", "us-east-1", "--model", "amazon.nova-lite-v1:0"]]
)
def test_what_needs_aws_is_a_command_with_these_options(folder: Path, flags: list[str]) -> None:
    made = llambda(folder, "init", "--yes", *flags)
    assert made.returncode == 0, made.stderr
    lines = [line for line in printed(made.stdout) if "llambda" in line]
    assert any(" iam " in line for line in lines)
    for line in lines:
        takes(line)


def test_what_keeps_what_is_served_of_a_foreign_run_config(folder: Path) -> None:
    text = (ROOT / "infra" / "distributions" / "starter.yaml").read_text("utf-8")
    theirs = '    - {provider_id: st, provider_type: "inline::sentence-transformers"}\n'
    (folder / "their run.yaml").write_text(text.replace("  inference:\n", f"  inference:\n{theirs}", 1))
    (folder / "new.yaml").write_text("mine")
    refused = llambda(folder, "config", "validate", "their run.yaml")
    assert refused.returncode == 2
    [line] = [line for line in printed(refused.stderr) if "init --from" in line]
    done = shell(line, folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "new1.yaml").exists()
    for next_line in printed(done.stdout.partition("Next:")[2]):
        takes(next_line)


def test_a_provider_package_from_its_folder(tmp_path: Path, folder: Path) -> None:
    """In an environment of its own, as the printed lines install into it."""
    home = tmp_path / "home"
    subprocess.run([uv.uv(), "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    site = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "seen.pth").write_text(f"{ROOT}\n{Path(pytest.__file__).parents[1]}\n")
    own = home / "bin" / "llambda"
    own.write_text(f"#!{home}/bin/python\nimport sys\nfrom core.cli.main import main\nsys.exit(main())\n")
    own.chmod(0o755)
    made = shell(
        shlex.join([str(own), "providers", "new", "acme", "--api", "inference", "--dir", str(folder)]),
        tmp_path,
        f"{Path(uv.uv()).parent}:{ELSEWHERE}",
    )
    assert made.returncode == 0, made.stderr
    lines = printed(made.stdout)
    takes(lines.pop())
    script = "\n".join(lines).replace(" pip install ", " pip install --quiet --offline --no-deps ")
    done = shell(script, tmp_path, f"{Path(uv.uv()).parent}:{ELSEWHERE}")
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert "ok     acme  remote::acme" in done.stdout
    assert list(site.glob("llambda_provider_acme*"))


def test_the_end_of_a_deployment(tmp_path: Path, upstream: FakeUpstream) -> None:
    template = read(ROOT / "template.yaml")
    (tmp_path / "run.yaml").write_text(
        f"""version: 2
image_name: t
apis: [inference]
providers: {{inference: [{{provider_id: v, provider_type: "remote::vllm", config: {{url: "{upstream.url}/v1"}}}}]}}
models: [{{model_id: m, provider_id: v}}]
metadata_store: {{type: sqlite, db_path: "{tmp_path}/registry.db"}}
server: {{auth: {{providers: [{{type: api_key}}]}}}}
"""
    )
    made = plan(template, None)
    with serving(tmp_path / "run.yaml", tmp_path / "log.txt") as url:
        lines = list(deploy_output.calls(made, {"BaseUrl": url, "RegistryTableName": "chat-Registry"}))[1:]
        [key] = [line for line in lines if line.startswith("KEY=")]
        takes(key.replace("\\\n", ""))
        # no DynamoDB here: the key is of the store that serves
        own = key.replace("--table chat-Registry --region eu-west-1", f"--config {tmp_path}/run.yaml --force")
        script = "\n".join(lines).replace(key, own).replace("curl ", "curl -sS --fail ")
        without_jq = [line for line in lines if "jq" not in line]
        done = shell(script, tmp_path, os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    assert "Hello" in done.stdout
    assert len(without_jq) >= 3


def test_the_end_of_a_deployment_where_there_is_no_jq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_how: None)
    made = plan(read(ROOT / "template.yaml"), None)
    lines = list(deploy_output.calls(made, {"BaseUrl": "https://a.example/api", "RegistryTableName": "t-1"}))
    [model] = [line for line in lines if line.startswith("MODEL=")]
    pipe = model.partition("|")[2].removesuffix(")")
    done = subprocess.run(
        ["bash", "-c", f'echo \'{{"data": [{{"id": "a b"}}]}}\' | {pipe}'], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a b\n"


def test_the_key_of_another_store_is_looked_for_where_it_was(folder: Path) -> None:
    made = llambda(folder, "keys", "revoke", "abcdefgh2345", "--env", f"SQLITE_STORE_DIR={folder}")
    assert made.returncode == 1
    command = made.stderr.rpartition("`")[0].partition("registry.db. `")[2]
    done = shell(command, folder)
    assert (done.returncode, done.stdout) == (0, "no keys\n"), done.stderr


@pytest.mark.parametrize("packages", [["a>=1", "b[c]<2,>1"], ["a; python_version < '4'"], ["$(touch x)"]])
def test_hints_to_install_are_words_of_a_shell(packages: list[str], tmp_path: Path) -> None:
    line = commands.pip_install(packages)
    words = shlex.split(line)
    assert words[-len(packages) :] == packages
    assert words[-len(packages) - 2 : -len(packages)] == ["pip", "install"]
    program = words[1] if words[0].startswith("VIRTUAL_ENV=") else words[0]
    assert shutil.which(program), line
    assert not list(tmp_path.iterdir())


def test_the_words_of_a_checkout_say_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert uv.setup_command() == "make setup" if Path.cwd() == ROOT else True
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(["bash", "-c", f"{uv.setup_command()} -n"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def blocks() -> Iterator[tuple[str, str]]:
    """The shell blocks of the README and of the pages, by their places."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = page.read_text("utf-8")
        for block in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if block[1] in {"", "sh", "bash"} and re.search(
                r"^(llambda|make|curl|KEY=|aws|sam)\b", block[2], re.MULTILINE
            ):
                yield f"{page.name}:{text[: block.start()].count('\n') + 1}", textwrap.dedent(block[2])


@pytest.mark.parametrize(("place", "block"), [pytest.param(*pair, id=pair[0]) for pair in blocks()])
def test_the_blocks_of_the_pages_are_of_a_shell_and_of_commands_that_exist(place: str, block: str) -> None:
    done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{place}: {done.stderr}"
    lines = block.replace("\\\n", "")
    for line in lines.splitlines():
        words = line.partition(" #")[0]
        inner = re.findall(r"\$\((llambda [^()|]*)", words)
        outer = re.sub(r"\$\([^()]*\)", "INNER", words)
        for text in [*inner, *re.findall(r"(?:^|; |&& |\| )(llambda [^|>&;]+)", outer)]:
            if "..." not in text.partition(" --")[0]:
                takes(text)
