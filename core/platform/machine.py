"""What the stack runs on: a Lambda environment, or a machine of whatever size.

Cheap enough for a cold start: files of a line and system calls, no process, no import that is not there anyway.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
import os
from pathlib import Path
import resource
import sys
from typing import Final, Literal

from core.platform import environment

MB: Final = 1024 * 1024
MB_OF_A_VCPU: Final = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
ARCHITECTURES: Final = {"aarch64": "arm64", "amd64": "x86_64"}  # Lambda's names for what others call otherwise
CGROUP: Final = Path("/sys/fs/cgroup")  # version 2; in a container, the container's own
TEMPORARY: Final = Path("/tmp")  # noqa: S108 - Lambda's one writable folder, of the size that the function is given
GPU_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Machine:
    """None is what is not known. Memory and storage are what a container or a function may use, not what is free.

    On Lambda `vcpus` is the share that the memory buys. `open_files` is how many a process may have open, sockets too.
    `timeout_seconds` is a function's own; Lambda says only when an invocation ends, so it is known to who measured it.
    """

    kind: Literal["lambda", "machine"]
    architecture: str
    python: str
    vcpus: float
    memory_mb: int | None
    temporary_storage_mb: int | None
    open_files: int | None
    region: str | None = None
    timeout_seconds: int | None = None
    gpus: tuple[str, ...] = ()


@cache
def machine() -> Machine:
    """The one that this process runs on; nobody has asked for its GPUs."""
    return machine_of(environment.environ())


@cache
def whole_machine() -> Machine:
    """With its GPUs, for which programs of their vendors are asked: up to 2 seconds, and never on Lambda."""
    without_gpus = machine()
    return without_gpus if without_gpus.kind == "lambda" else replace(without_gpus, gpus=gpus())


def machine_of(variables: Mapping[str, str], cgroup: Path = CGROUP) -> Machine:
    """This machine, as a process with these variables has it; `cgroup` is where the kernel keeps its bounds."""
    memory = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    on_lambda = "AWS_LAMBDA_FUNCTION_NAME" in variables and memory.isdecimal()
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Machine(
        kind="lambda" if on_lambda else "machine",
        architecture=ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        python=".".join(map(str, sys.version_info[:3])),
        vcpus=round(int(memory) / MB_OF_A_VCPU, 2) if on_lambda else _cpus(cgroup),
        memory_mb=int(memory) if on_lambda else _memory(cgroup),
        temporary_storage_mb=_size(TEMPORARY),
        open_files=None if soft == resource.RLIM_INFINITY else soft,
        region=variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or None,
    )


def gpus() -> tuple[str, ...]:
    """Their names; none where no vendor's program answers."""
    arguments = GPU_PROGRAMS.get(sys.platform)
    if arguments is None or (sys.platform == "darwin" and os.uname().machine != "arm64"):
        return ()
    return gpus_of(_output(arguments))


def gpus_of(output: str) -> tuple[str, ...]:
    """The names in what a program said, a line each; without the UUIDs that `nvidia-smi -L` puts behind them."""
    lines = (line.partition(" (UUID")[0].strip() for line in output.splitlines())
    return tuple(line.partition(": ")[2] if line.startswith("GPU ") else line for line in lines if line)


GPU_PROGRAMS: Final = {
    "linux": ("nvidia-smi", "-L"),
    "darwin": ("sysctl", "-n", "machdep.cpu.brand_string"),  # the GPU of Apple's chips has the chip's name
}


def _output(arguments: tuple[str, ...]) -> str:
    """What a program prints; nothing where it is not there, fails or takes too long."""
    import subprocess

    try:
        process = subprocess.run(  # noqa: S603 - a program of the table above
            arguments, capture_output=True, text=True, errors="replace", timeout=GPU_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stdout if process.returncode == 0 else ""


def _cpus(cgroup: Path) -> float:
    """Those that this process may use, or the share of their time that its container is given."""
    available = float(os.process_cpu_count() or 1)
    quota = _bound(cgroup / "cpu.max", lambda text: int(text.split()[0]) / int(text.split()[1]))
    return available if quota is None else min(available, round(quota, 2))


def _memory(cgroup: Path) -> int | None:
    """In MB: the container's, or else the machine's."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):  # a name that this system does not know
        return None
    bound = _bound(cgroup / "memory.max", int)
    return int(whole if bound is None else min(whole, bound)) // MB


def _bound(file: Path, read: Callable[[str], float]) -> float | None:
    """A bound of the kernel's; None where there is none, which it writes as `max`."""
    try:
        return read(file.read_text("ascii"))
    except (OSError, ValueError, ZeroDivisionError, IndexError):
        return None


def _size(folder: Path) -> int | None:
    """Of the file system that a folder is on, in MB."""
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    return system.f_blocks * system.f_frsize // MB
