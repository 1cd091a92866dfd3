"""`python infra/precompile.py FILE MODULE...`: what core/runtime/coldstart.py reads, for a function of these modules.

It imports them, and records what is compiled meanwhile. The file fits any processor: neither byte code nor a compiled
regular expression depends on it.
"""

import builtins
from importlib import import_module
import marshal
from pathlib import Path
import sys
from types import CodeType
from typing import Any, Final

sre: Final[Any] = import_module("_sre")
compiler: Final[Any] = import_module("re._compiler")

ATTRS: Final = "<attrs generated "
ROOT: Final = Path(__file__).resolve().parents[1]

type Patterns = dict[tuple[str | bytes, int], tuple[Any, ...]]
type Methods = dict[str, CodeType]


class CompilationRecorder:
    """Stands in for `_sre` where `re` compiles, and keeps the arguments of each call."""

    def __init__(self) -> None:
        self.patterns: Patterns = {}
        self.methods: Methods = {}
        self._arguments: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> object:
        """`re` uses constants of `_sre` too."""
        return getattr(sre, name)

    def compile(self, text: object, flags: int, code: list[int], *more: object) -> object:
        """As `_sre.compile`; plain numbers, since marshal cannot write the named constants that `re` uses."""
        self._arguments = (text, int(flags), [int(number) for number in code], *more)
        return sre.compile(*self._arguments)

    def run(self, source: str, *names: dict[str, Any]) -> None:
        """As `exec`, of methods that `dataclasses` wrote: those that a package has in its byte code are not kept."""
        from infra.data_classes import is_written

        code = compile(source, "<string>", "exec", dont_inherit=True)
        if not is_written(sys._getframe(1).f_locals.get("cls")):  # noqa: SLF001 - nothing else tells whose methods these are
            self.methods[source] = code
        exec(code, *names)  # noqa: S102 - as `dataclasses` would

    def install(self) -> None:
        """Record every regular expression, and the methods of every data class that has none in its byte code, named tuple and class of `attrs`.

        None has a hook, but all look a name up in their own globals: `re` finds `_sre` there, `dataclasses` `exec`, `namedtuple` `eval`,
        and `attrs`, as all else, `compile` and `hash`.
        """
        from core.runtime.coldstart import hash_name

        import_module("infra.data_classes")  # which has data classes itself
        original, compiler.__dict__["_sre"] = compiler.compile, self

        def compile_(pattern: object, flags: int = 0) -> object:
            expression = original(pattern, flags)
            if isinstance(pattern, str | bytes):
                self.patterns[pattern, int(flags)] = self._arguments
            return expression

        def evaluate(source: str, *names: dict[str, Any]) -> object:
            self.methods[source] = compile(source, "<string>", "eval", dont_inherit=True)
            return eval(self.methods[source], *names)  # noqa: S307 - as `namedtuple` would

        def compile_script(source: Any, filename: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401 - as `compile`
            code = compile_source(source, filename, *more, **options)
            if isinstance(filename, str) and filename.startswith(ATTRS):
                self.methods[source] = code
            return code

        def hash_(value: object) -> int:
            return hash_name(value) if isinstance(value, str) and value.startswith(ATTRS) else hash_value(value)

        compile_source, hash_value = builtins.compile, builtins.hash
        compiler.compile = compile_
        import_module("dataclasses").__dict__["exec"] = self.run
        import_module("collections").__dict__["eval"] = evaluate
        builtins.__dict__.update(compile=compile_script, hash=hash_)


def main(file: Path, modules: list[str]) -> None:
    sys.path.insert(0, str(ROOT))
    recorder = CompilationRecorder()
    recorder.install()
    for module in modules:
        import_module(module)
    if "core.platform.aws_sdk" in modules:  # it imports these inside functions, at the first use
        from core.platform.aws_sdk import MODULES

        for module in MODULES:
            import_module(module)
    from core.runtime.coldstart import MADE_BY

    methods = {source: marshal.dumps(code) for source, code in sorted(recorder.methods.items())}
    patterns = {key: marshal.dumps(arguments) for key, arguments in recorder.patterns.items()}
    content: Any = (MADE_BY, methods, patterns)  # each marshalled for itself: a start reads those that it uses
    file.write_bytes(marshal.dumps(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
