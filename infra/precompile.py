"""`python infra/precompile.py FILE MODULE...`: what core/runtime/coldstart.py reads, for a function of these modules.

It imports them, and records what is compiled meanwhile. The file fits any processor: neither byte code nor a compiled
regular expression depends on it.
"""

import builtins
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
import marshal
from pathlib import Path
import sys
from types import CodeType
from typing import Any, Final, override

sre: Final[Any] = import_module("_sre")
compiler: Final[Any] = import_module("re._compiler")

ATTRS: Final = "<attrs generated "
OURS: Final = frozenset({"core", "functions"})
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

    def install(self) -> None:
        """Record every regular expression, and the methods of every data class, named tuple and class of `attrs`.

        None has a hook, but all look a name up in their own globals: `re` finds `_sre` there, `dataclasses` `exec`, `namedtuple` `eval`,
        and `attrs`, as all else, `compile` and `hash`.
        """
        from core.runtime.coldstart import hash_name

        original, compiler.__dict__["_sre"] = compiler.compile, self

        def compile_(pattern: object, flags: int = 0) -> object:
            expression = original(pattern, flags)
            if isinstance(pattern, str | bytes):
                self.patterns[pattern, int(flags)] = self._arguments
            return expression

        def run(source: str, *names: dict[str, Any]) -> None:
            self.methods[source] = compile(source, "<string>", "exec", dont_inherit=True)
            exec(self.methods[source], *names)  # noqa: S102 - as `dataclasses` would

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
        import_module("dataclasses").__dict__["exec"] = run
        import_module("collections").__dict__["eval"] = evaluate
        builtins.__dict__.update(compile=compile_script, hash=hash_)


class LeanLoader(SourceFileLoader):
    """Loads a module of ours as the package has it: so no method is recorded that is in its byte code."""

    @override
    def get_code(self, fullname: str) -> CodeType | None:
        if fullname.partition(".")[0] not in OURS:
            return super().get_code(fullname)
        from infra.lean import lean_module

        path = self.get_filename(fullname)
        return compile(lean_module(self.get_data(path), path), path, "exec", dont_inherit=True)


def main(file: Path, modules: list[str]) -> None:
    sys.path.insert(0, str(ROOT))
    find = FileFinder.path_hook((ExtensionFileLoader, EXTENSION_SUFFIXES), (LeanLoader, SOURCE_SUFFIXES))
    sys.path_hooks.insert(0, find)
    sys.path_importer_cache.clear()
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
