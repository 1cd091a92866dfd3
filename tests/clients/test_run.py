"""What `make run` runs: a curl that works when pasted, a registry that stays, and nothing left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from infra.local.clients import python_of
from infra.local.ports import free_port
from tests.parts.documents_office import pdf
from tests.parts.mcp_servers import running_everything
from tests.parts.processes import interruptible

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90
BRIEFLY = 'max_infer_iters=2, sampling_params={"strategy": {"type": "greedy"}, "max_tokens": 20}, instructions='
"""Of an agent: a small model talks without end."""


def start(state: Path, port: int, config: str = "starter") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "infra.local.run", "--port", str(port), "--state", str(state), "--config", config]
    with interruptible():
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(process: subprocess.Popen[str], words: str) -> str:
    """What it printed until a line has `words`."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if words in line:
            return printed
    raise AssertionError(printed)


def children(process: subprocess.Popen[str]) -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


def gone(pids: set[int]) -> bool:
    end = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@contextmanager
def running(state: Path, port: int, config: str = "starter") -> Iterator[str]:
    process = start(state, port, config)
    try:
        printed = until(process, "Ctrl-C stops everything")
        models = children(process)
        assert len(models) == 2
        yield printed
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert "Traceback" not in printed + process.stdout.read()
        assert gone(models)
    finally:
        process.kill()
        process.communicate()


def test_the_printed_curl_works_and_a_second_start_keeps_the_registry(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port) as printed:
        command = re.search(r"curl .*?}'", printed, re.DOTALL)
        assert command
        assert max(map(len, printed.partition("Your registrations")[0].splitlines())) <= 80
        done = subprocess.run(["bash", "-c", f"{command[0]} -sS"], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert answer.get("choices", [{}])[0].get("message", {}).get("content"), answer
        wanted = {"model_id": "mine", "provider_id": "local", "provider_model_id": "smollm2-135m-instruct"}
        httpx.post(f"http://127.0.0.1:{port}/v1/models", json=wanted).raise_for_status()
    with running(tmp_path, port):
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models/mine").json()["provider_id"] == "local"


def test_the_lines_of_the_readme_upload_a_file_make_a_store_and_search_it(tmp_path: Path) -> None:
    port = free_port()
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Search your files\n")[2].partition("\n## ")[0]
    shell, python = (
        text.replace(":8321", f":{port}") for text in re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)
    )
    assert max(len(text.replace("\\\n", "").splitlines()) for text in (shell, python)) <= 7
    with running(tmp_path, port):
        for command in (["bash", "-c", shell], [str(python_of("openai-3")), "-c", python]):
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert "Files expire exactly when they are read." in done.stdout


@pytest.mark.conformance
def test_the_lines_of_the_readme_register_a_server_and_call_its_tools(tmp_path: Path) -> None:
    port = free_port()
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Call tools\n")[2].partition("\n## ")[0]
    server, shell, python = re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)
    package = "@modelcontextprotocol/server-everything"
    locked = json.loads((ROOT / "locks" / "frameworks" / "node" / "package.json").read_text("utf-8"))
    assert f"{package}@{locked['dependencies'][package]} " in server
    with running(tmp_path, port), running_everything("streamableHttp") as url:
        shell, python = (
            text.replace("http://127.0.0.1:3001", url).replace(":8321", f":{port}") for text in (shell, python)
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "LLAMBDA_URL": f"http://127.0.0.1:{port}"}
        for command in (["bash", "-ec", shell], [str(python_of("llama-stack-client-0.2")), "-c", python]):
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert re.search(r"get-sum +(mcp::everything|\['a', 'b'\])", done.stdout), done.stdout
            assert "The sum of 2 and 3 is 5." in done.stdout.splitlines()[-1]


@pytest.mark.conformance
def test_the_lines_of_the_readme_and_of_the_guide_ask_for_responses(tmp_path: Path) -> None:
    port = free_port()
    text = (ROOT / "README.md").read_text("utf-8")
    shell = re.findall(r"```\n(.*?)```", text.partition("\n## Search your files\n")[2], re.DOTALL)[0]
    section = text.partition("\n## Ask for a response\n")[2].partition("\n## ")[0]
    [python] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in python.splitlines() if line]) <= 11
    guide = (ROOT / "docs" / "responses.md").read_text("utf-8").partition("\n## The engine\n")[0]
    [streamed] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    with running(tmp_path, port), running_everything("streamableHttp") as url:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "LLAMBDA_URL": f"http://127.0.0.1:{port}"}
        lines = f"{shell}\n{guide_lines('responses.md', 'Configuration')}".replace(
            "curl -s", "curl -sS --fail-with-body"
        )
        commands = (["bash", "-ec", lines], *([str(python_of("openai-3")), "-c", each] for each in (python, streamed)))
        for command in commands:
            command[-1] = command[-1].replace("http://127.0.0.1:3001", url).replace(":8321", f":{port}")
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert done.stdout.strip()


@pytest.mark.conformance
def test_the_lines_of_the_readme_and_of_the_guide_talk_with_an_agent(tmp_path: Path) -> None:
    port = free_port()
    text = (ROOT / "README.md").read_text("utf-8")
    store = re.findall(r"```\n(.*?)```", text.partition("\n## Search your files\n")[2], re.DOTALL)[0]
    section = text.partition("\n## Talk with an agent\n")[2].partition("\n## ")[0]
    [python] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    [shell] = re.findall(r"```\n(.*?)```", re.sub(r"```python\n.*?```\n", "", section, flags=re.DOTALL), re.DOTALL)
    guide = (ROOT / "docs" / "agents.md").read_text("utf-8")
    [guided] = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    with running(tmp_path, port):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "LLAMBDA_URL": f"http://127.0.0.1:{port}"}
        client = str(python_of("llama-stack-client-0.2"))
        for command in (
            ["bash", "-ec", f"{store}\n{shell}"],
            [client, "-c", python.replace("instructions=", BRIEFLY)],
            [client, "-c", guided.replace("instructions=", BRIEFLY)],
        ):
            command[-1] = command[-1].replace(":8321", f":{port}")
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            assert done.stdout.strip()


def guide_lines(name: str, until: str) -> str:
    """The lines of a page of docs that a shell runs, as far as the heading."""
    text = (ROOT / "docs" / name).read_text("utf-8").partition(f"\n## {until}\n")[0]
    bare = re.sub(r"```\w+\n.*?```\n", "", text, flags=re.DOTALL)  # without what is in another language
    return "".join(f"{block}\necho\n" for block in re.findall(r"```\n(.*?)```", bare, re.DOTALL))


def blocks(page: str, begin: str, end: str) -> str:
    """What is to be pasted between two headings, without what is printed."""
    text = (ROOT / page).read_text("utf-8").partition(f"\n{begin}\n")[2].partition(f"\n{end}\n")[0]
    bare = re.sub(r"```\w+\n.*?```\n", "", text, flags=re.DOTALL)
    return "\n".join(re.findall(r"```\n(.*?)```", bare, re.DOTALL))


@pytest.mark.conformance
def test_the_lines_of_the_readme_and_of_the_guide_evaluate_and_decide(tmp_path: Path) -> None:
    port = free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "LLAMBDA_URL": f"http://127.0.0.1:{port}"}
    readme = blocks("README.md", "## See whether a model is good enough", "## Talk with an agent")
    guide = blocks("docs/evaluation-guide.md", "## 1. Questions", "## Further")
    rows = blocks("docs/batches.md", "## Rows of a dataset", "## What comes of it")
    again = "llambda benchmarks delete shop && llambda datasets delete shop"
    with running(tmp_path, port):
        for lines in (f"{readme}\n{again}", f"{guide}\n{again}", rows):
            command = ["bash", "-ec", lines.replace("--max-tokens 60", "--max-tokens 12")]
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            if lines.startswith(readme):
                assert re.search(
                    r"smollm2-135m-instruct +basic::subset_of +accuracy [0-9.]+ \([0-9]+/50\)", done.stdout
                )
            elif lines.startswith(guide):
                assert re.search(r"brief.yaml +basic::subset_of +accuracy [0-9.]+ \([0-9]/5\)", done.stdout), (
                    done.stdout
                )
                assert re.search(r"1ST BETTER +2ND BETTER +SAME +BY CHANCE\nbasic::subset_of", done.stdout), done.stdout
            else:
                assert "generated_answer: " in done.stdout, done.stdout


def test_the_lines_of_the_guides_of_vector_stores_and_of_tools_work(tmp_path: Path) -> None:
    port = free_port()
    lines = guide_lines("vector-stores.md", "Which embedding model") + guide_lines("tools.md", "Groups")
    with running(tmp_path, port):
        script = f"set -e\n{lines}".replace(":8321", f":{port}").replace("curl -s", "curl -sS --fail-with-body")
        (tmp_path / "handbook.pdf").write_bytes(pdf("Hello"))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "LLAMBDA_URL": f"http://127.0.0.1:{port}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert '"deleted":true' in done.stdout
    assert '"content":"Quotas are exact."' in done.stdout
    assert "Content: Tools are never stored." in done.stdout


def test_the_guarded_stack_answers_whoever_makes_a_key_as_it_prints(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, port, "guarded") as printed:
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models").status_code == 401
        commands = re.search(r"(KEY=.*?)Try it:\n(.*?}')", printed, re.DOTALL)
        assert commands
        script = f"{commands[1]}\n{commands[2]} -sS"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert answer.get("choices", [{}])[0].get("message", {}).get("content"), answer


def test_a_port_in_use_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, port)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output == f"Port {port} is in use. Choose another: make run PORT={port + 1}\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    process = start(tmp_path, free_port())
    try:
        until(process, "embedding model")
        time.sleep(0.2)
        models = children(process)
        process.send_signal(how)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in output
        assert gone(models)
    finally:
        process.kill()
        process.communicate()


def test_models_end_with_a_killed_parent(tmp_path: Path) -> None:
    process = start(tmp_path, free_port())
    until(process, "Ctrl-C stops everything")
    models = children(process)
    process.kill()
    process.communicate()
    assert gone(models)
