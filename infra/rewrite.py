"""Sources of dependencies that a package has in another form, because the original only costs time at a cold start."""

from pathlib import Path
from typing import Final

# pydantic looks for plugins of its own in every `*.dist-info`, the runtime's too; nothing that is locked is one.
NO_PLUGINS: Final = """\
def get_plugins():
    return ()
"""
# 90 classes, each of whose annotations `typing` compiles; nothing asks for them where nothing is type-checked.
PLAIN_DICTS: Final = """\
    class TypedDict:
        def __new__(cls, **items):
            return items

        def __init_subclass__(cls, total=True):
            pass
"""
# The SDK writes its clients' documentation when it is asked for; without descriptions there is none to write.
NO_DOCSTRINGS: Final = """\
class ClientMethodDocstring(str):
    def __new__(cls, *of, **what):
        return super().__new__(cls)


PaginatorDocstring = WaiterDocstring = ClientMethodDocstring
"""
NO_RESOURCE_DOCSTRINGS: Final = """\
class ActionDocstring(str):
    def __new__(cls, *of, **what):
        return super().__new__(cls)


AttributeDocstring = BatchActionDocstring = CollectionDocstring = CollectionMethodDocstring = ActionDocstring
IdentifierDocstring = LoadReloadDocstring = ReferenceDocstring = ResourceWaiterDocstring = ActionDocstring
SubResourceDocstring = ActionDocstring
"""
WHOLE: Final = {
    "boto3/docs/__init__.py": "",
    "boto3/docs/docstring.py": NO_RESOURCE_DOCSTRINGS,
    "botocore/docs/__init__.py": "",
    "botocore/docs/docstring.py": NO_DOCSTRINGS,
    "pydantic/plugin/_loader.py": NO_PLUGINS,
}
PARTS: Final = {"pydantic_core/core_schema.py": ("    from typing import TypedDict\n", PLAIN_DICTS)}


def rewrite(out: Path) -> None:
    """Rewrite the libraries that are in `out`; raises ValueError where a source is not what these tables expect."""
    for name, content in WHOLE.items():
        if (out / name.partition("/")[0]).exists():
            _source(out / name)
            (out / name).write_text(content, encoding="utf-8")
    for name, (before, after) in PARTS.items():
        source = _source(out / name)
        if source.count(before) != 1:
            raise ValueError(f"{name} no longer has the text that infra/rewrite.py replaces: correct its PARTS")
        (out / name).write_text(source.replace(before, after), encoding="utf-8")


def _source(path: Path) -> str:
    if not path.exists():
        raise ValueError(f"there is no {path.parent.name}/{path.name} to replace: correct infra/rewrite.py")
    return path.read_text(encoding="utf-8")
