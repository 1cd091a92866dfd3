"""What the stack runs on, as Lambda's variables, the kernel's files and vendors' programs say it."""

import os
from pathlib import Path
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
import pytest

from core.platform.machine import gpus, gpus_of, machine, machine_of, whole_machine

ON_LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "inference",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    "AWS_REGION": "eu-central-1",
}


@pytest.mark.parametrize(("memory", "vcpus"), [("128", 0.07), ("1769", 1.0), ("10240", 5.79)])
def test_on_lambda_the_memory_buys_a_share_of_the_processors(memory: str, vcpus: float) -> None:
    found = machine_of(ON_LAMBDA | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": memory})
    assert (found.kind, found.memory_mb, found.vcpus) == ("lambda", int(memory), vcpus)
    assert (found.region, found.timeout_seconds, found.gpus) == ("eu-central-1", None, ())


@pytest.mark.parametrize("without", ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
def test_what_is_only_half_like_lambda_is_a_machine(without: str) -> None:
    assert machine_of({name: value for name, value in ON_LAMBDA.items() if name != without}).kind == "machine"


def test_a_machine_says_what_a_process_may_use_of_it(tmp_path: Path) -> None:
    found = machine_of({"AWS_DEFAULT_REGION": "us-east-1"}, tmp_path)
    assert (found.kind, found.region, found.vcpus) == ("machine", "us-east-1", os.process_cpu_count())
    assert found.architecture in {"arm64", "x86_64"}
    assert found.python == ".".join(str(part) for part in sys.version_info[:3])
    assert found.memory_mb is not None
    assert found.memory_mb > 0
    assert found.temporary_storage_mb is not None


def test_a_region_that_is_set_to_nothing_is_not_known() -> None:
    assert machine_of({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}).region is None


def test_a_container_has_what_its_bounds_leave_it(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n", "ascii")
    (tmp_path / "memory.max").write_text("536870912\n", "ascii")
    found = machine_of({}, tmp_path)
    assert (found.vcpus, found.memory_mb) == (0.5, 512)


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [("max 100000", "max"), ("", ""), ("1", "much"), ("1 0", "-"), ("ä", "ä"), ("99900000 100000", str(2**62))],
)
def test_bounds_that_are_none_or_cannot_be_read_leave_the_whole_machine(tmp_path: Path, cpu: str, memory: str) -> None:
    whole = machine_of({}, tmp_path)
    (tmp_path / "cpu.max").write_text(cpu, "utf-8")
    (tmp_path / "memory.max").write_text(memory, "utf-8")
    assert machine_of({}, tmp_path) == whole


def test_this_process_asks_once() -> None:
    assert machine() is machine()
    assert whole_machine() is whole_machine()


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (
            "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5f1b)\nGPU 1: NVIDIA L4 (UUID: GPU-77)\n",
            ("NVIDIA H100 80GB HBM3", "NVIDIA L4"),
        ),
        ("Apple M2 Pro\n", ("Apple M2 Pro",)),
        ("", ()),
        ("\n \n", ()),
    ],
)
def test_gpus_are_known_by_their_names(said: str, names: tuple[str, ...]) -> None:
    assert gpus_of(said) == names


@given(st.text())
def test_whatever_a_program_prints_becomes_names_that_are_not_empty(said: str) -> None:
    assert all(name.strip() and "\n" not in name for name in gpus_of(said))


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.skipif(sys.platform != "linux", reason="asks another program elsewhere")
def test_the_vendors_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, monkeypatch, 'test "$1" = -L && echo "GPU 0: NVIDIA T4 (UUID: GPU-1)"')
    assert gpus() == ("NVIDIA T4",)


@pytest.mark.skipif(sys.platform != "linux", reason="asks another program elsewhere")
@pytest.mark.parametrize("text", ["echo no devices; exit 6", "kill -9 $$"])
def test_a_program_that_fails_names_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    _program(tmp_path, monkeypatch, text)
    assert gpus() == ()


def test_without_such_a_program_there_are_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == ()


def test_on_lambda_no_program_is_ever_run(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho 'GPU 0: NVIDIA T4'\n", "utf-8")
    program.chmod(0o755)
    code = """
import sys
from core.platform.machine import whole_machine
assert whole_machine().kind == "lambda", whole_machine()
assert whole_machine().gpus == ()
assert "subprocess" not in sys.modules
"""
    environment = ON_LAMBDA | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not (tmp_path / "ran").exists()
