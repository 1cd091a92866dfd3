"""`python infra/precompile.py FILE MODULE...`: what core/runtime/coldstart.py reads, for a function of these modules.

It imports them, and writes down what is compiled meanwhile. The processor does not matter: neither byte code nor a
compiled regular expression knows of it.
"""

from importlib import import_module
import marshal
from pathlib import Path
import sys
from types import CodeType
from typing import Any, Final

sre: Final[Any] = import_module("_sre")
compiler: Final[Any] = import_module("re._compiler")

ROOT: Final = Path(__file__).resolve().parents[1]

type Patterns = dict[tuple[str | bytes, int], tuple[Any, ...]]
type Methods = dict[str, CodeType]


class Heard:
    """Stands in for `_sre` where `re` compiles, and keeps what it is given."""

    def __init__(self) -> None:
        """Listen from now on."""
        self.patterns: Patterns = {}
        self.methods: Methods = {}
        self._made: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> object:
        """Whatever else `_sre` has."""
        return getattr(sre, name)

    def compile(self, text: object, flags: int, code: list[int], *more: object) -> object:
        """As `_sre` does."""
        self._made = (text, int(flags), [int(each) for each in code], *more)  # `re` has names for numbers, marshal none
        return sre.compile(*self._made)

    def listen(self) -> None:
        """Hear of every regular expression, and of every data class's methods."""
        compiled, compiler.__dict__["_sre"] = compiler.compile, self

        def compile_(pattern: object, flags: int = 0) -> object:
            made = compiled(pattern, flags)
            if isinstance(pattern, str | bytes):
                self.patterns[pattern, int(flags)] = self._made
            return made

        def run(source: str, *names: dict[str, Any]) -> None:
            self.methods[source] = compile(source, "<string>", "exec", dont_inherit=True)
            exec(self.methods[source], *names)  # noqa: S102 - as `dataclasses` would

        compiler.compile = compile_
        import_module("dataclasses").__dict__["exec"] = run


def main(file: Path, modules: list[str]) -> None:
    """Import `modules`, and write what was compiled."""
    sys.path.insert(0, str(ROOT))
    heard = Heard()
    heard.listen()
    for module in modules:
        import_module(module)
    if "core.platform.aws_sdk" in modules:  # which imports these later
        from core.platform.aws_sdk import MODULES

        for module in MODULES:
            import_module(module)
    from core.runtime.coldstart import MADE_BY

    made: Any = (MADE_BY, dict(sorted(heard.methods.items())), heard.patterns)
    file.write_bytes(marshal.dumps(made))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
