"""What `make run` runs: two small model servers and the stack, in one terminal, stopped by Ctrl-C."""

import argparse
from contextlib import ExitStack, suppress
from pathlib import Path
from shlex import quote
import signal
import subprocess
import sys
import threading
from typing import Final

STATE: Final = Path(__file__).resolve().parents[2] / ".state"
SERVERS: Final = {"chat": False, "embedding": True}  # name -> is it for embeddings
OPEN_TEXT: Final = """
Base URL:  {url}

Try it:
  curl {url}/chat/completions \\
    -H 'content-type: application/json' -d '{
      "model": "local/{model}",
      "messages": [{"role": "user", "content": "Say hello."}]}'

Your registrations are kept in {state}/registry.db
Ctrl-C stops everything.
"""
GUARDED_TEXT: Final = """
Base URL:  {url}

Nobody may call it without a key. Make one, in another terminal:
  KEY=$({llambda} keys create --config guarded \\
    --env SQLITE_STORE_DIR={folder} --name demo --roles admin)
Try it:
  curl {url}/chat/completions -H "authorization: Bearer $KEY" \\
    -H 'content-type: application/json' -d '{
      "model": "local/{model}",
      "messages": [{"role": "user", "content": "Say hello."}]}'

Keys and registrations are kept in {state}/registry.db
Ctrl-C stops everything.
"""


def main() -> int:
    """Exit code 0 after Ctrl-C or SIGTERM, 1 when something could not start."""
    options = argparse.ArgumentParser(description="Run the stack with a small local model.")
    options.add_argument("--port", type=int, default=8321, help="where the stack listens")
    options.add_argument("--config", default="starter", help="the distribution to serve: starter or guarded")
    options.add_argument("--state", type=Path, default=STATE, help="the folder for the registry and the logs")
    arguments = options.parse_args()
    port: int = arguments.port
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt), ExitStack() as stopping:
        from click import ClickException

        from core.config.problems import ConfigInvalid

        if not _is_free(port):
            print(f"Port {port} is in use. Choose another: {_other_run(port, arguments.config)}", file=sys.stderr)
            return 1
        try:
            return _run(arguments.config, port, arguments.state.resolve(), stopping)
        except (RuntimeError, OSError, ConfigInvalid, ClickException) as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _is_free(port: int) -> bool:
    from core.runtime.server import listen

    try:
        listen("127.0.0.1", port).close()
    except OSError:
        return False
    return True


def _other_run(port: int, config: str) -> str:
    """The same on the next free port."""
    other = next(number for number in (*range(port + 1, 65536), *range(port - 1, 1024, -1)) if _is_free(number))
    return f"make run PORT={other}{'' if config == 'starter' else f' CONFIG={quote(config)}'}"


def _run(config: str, port: int, state: Path, stopping: ExitStack) -> int:
    from core.cli import serve
    from core.platform.commands import path_word, program
    from core.platform.environment import set_variables
    from infra.local import model_server

    (state / "logs").mkdir(parents=True, exist_ok=True)
    logs = {name: state / "logs" / f"{name}.log" for name in SERVERS}
    urls = {name: _start(name, logs[name], stopping) for name in SERVERS}
    for name, (process, model_port) in urls.items():
        _wait(process, model_port, logs[name])
    print("starting the stack ...", flush=True)
    variables = {
        "VLLM_URL": f"http://127.0.0.1:{urls['chat'][1]}/v1",
        "EMBEDDING_URL": f"http://127.0.0.1:{urls['embedding'][1]}/v1",
        "EMBEDDING_MODEL": model_server.EMBEDDING_MODEL,
        "SQLITE_STORE_DIR": str(state),
    }
    text = (GUARDED_TEXT if config == "guarded" else OPEN_TEXT).replace("{model}", model_server.CHAT_MODEL)
    text = text.replace("{state}", str(_relative_path(state))).replace("{llambda}", program())
    text = text.replace("{folder}", path_word(state))
    # Not as `--env`, which refuses what a run config does not read: `guarded` reads nothing of embeddings.
    set_variables(variables)
    serve.run(config, (), port=port, ready=lambda url: print(text.replace("{url}", url), flush=True))
    print("stopping ...", flush=True)
    return 0


def _relative_path(state: Path) -> Path:
    here = Path.cwd()
    return state.relative_to(here) if state.is_relative_to(here) else state


def _start(name: str, log: Path, stopping: ExitStack) -> tuple[subprocess.Popen[bytes], int]:
    from infra.local import model_server
    from infra.local.ports import free_port
    from infra.local.processes import stop

    port = free_port()
    print(f"starting the local {name} model ...", flush=True)
    process = model_server.start(port, embedding=SERVERS[name], log=stopping.enter_context(log.open("wb")))
    stopping.callback(stop, process)
    ending = threading.Event()
    stopping.callback(ending.set)
    threading.Thread(target=_watch, args=(process, ending, log), daemon=True).start()
    return process, port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    from infra.local import model_server

    try:
        model_server.wait_until_ready(process, port)
    except RuntimeError as failure:
        lines = log.read_text("utf-8", "replace").splitlines()[-5:]
        raise RuntimeError("\n".join([f"{failure}; {log} ends:", *lines])) from None


def _watch(process: subprocess.Popen[bytes], ending: threading.Event, log: Path) -> None:
    code = process.wait()
    if not ending.is_set():
        print(f"A local model ended by itself (exit code {code}); see {log}", file=sys.stderr, flush=True)
