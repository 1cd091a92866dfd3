"""Sources of dependencies that a package has in another form, because the original only costs time at a cold start."""

from pathlib import Path
from runpy import run_path
from types import ModuleType
from typing import Any, Final

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
# It reads sources, which no package has.
NO_ATTRIBUTE_DOCSTRINGS: Final = """\
def extract_docstrings_from_cls(cls, use_inspect=False):
    return {}
"""
# Keys that verify tokens are JSON's or PEM's; this is the largest module that PyJWT brings with it.
NO_SSH: Final = """\
def load_ssh_public_key(data, backend=None):
    raise ValueError("keys of SSH are not read in a package: use PEM")


load_ssh_private_key = load_ssh_public_identity = ssh_key_fingerprint = load_ssh_public_key
SSHCertificate = SSHCertificateBuilder = SSHCertificateType = SSHCertPrivateKeyTypes = SSHCertPublicKeyTypes = None
SSHPrivateKeyTypes = SSHPublicKeyTypes = None
"""
WHOLE: Final = {
    "boto3/docs/__init__.py": "",
    "boto3/docs/docstring.py": NO_RESOURCE_DOCSTRINGS,
    "botocore/docs/__init__.py": "",
    "botocore/docs/docstring.py": NO_DOCSTRINGS,
    "cryptography/hazmat/primitives/serialization/ssh.py": NO_SSH,
    "pydantic/_internal/_docs_extraction.py": NO_ATTRIBUTE_DOCSTRINGS,
    "pydantic/plugin/_loader.py": NO_PLUGINS,
}
# 40 classes of aiohttp, whose methods attrs writes as source and compiles at every start.
COMPILED_BEFORE: Final = """\
import linecache

from core.runtime.coldstart import compile_script as compile, hash_name as hash
"""
# Forms are read by core/web; these want a library that is not locked, and import much of Python's own.
NO_FORMS: Final = "FormParser = MultiPartException = MultiPartParser = None\n"
PARTS: Final = {
    "attr/_make.py": ("import linecache\n", COMPILED_BEFORE),
    "botocore/compat.py": ("from botocore.vendored import six\n", "import six\n"),  # which dateutil brings
    "pydantic_core/core_schema.py": ("    from typing import TypedDict\n", PLAIN_DICTS),
    "starlette/requests.py": (
        "from starlette.formparsers import FormParser, MultiPartException, MultiPartParser\n",
        NO_FORMS,
    ),
    # It asks for a version where HTTP/2 is asked for, and nobody does.
    "urllib3/http2/__init__.py": (
        "from importlib.metadata import version\n",
        "def version(name):\n    from importlib.metadata import version\n\n    return version(name)\n",
    ),
}


ANYIO: Final = {"anyio": "anyio/__init__.py", "anyio.abc": "anyio/abc/__init__.py"}
"""Modules whose source anyio reads and parses at every start, to know from where to import what they name."""
LAZY_IMPORTS: Final = "anyio/_lazyimport.py"


def rewrite(out: Path) -> None:
    """Rewrite the libraries that are in `out`; raises ValueError where a source is not what these tables expect."""
    if (out / "anyio").exists():
        _list_lazy_imports(out)
    for name, content in WHOLE.items():
        if (out / name.partition("/")[0]).exists():
            _source(out / name)
            (out / name).write_text(content, encoding="utf-8")
    for name, (before, after) in PARTS.items():
        if not (out / name.partition("/")[0]).exists():
            continue
        source = _source(out / name)
        if source.count(before) != 1:
            raise ValueError(f"{name} no longer has the text that infra/rewrite.py replaces: correct its PARTS")
        (out / name).write_text(source.replace(before, after), encoding="utf-8")


def _list_lazy_imports(out: Path) -> None:
    source = _source(out / LAZY_IMPORTS)
    functions = run_path(str(out / LAZY_IMPORTS))
    if "_build_lazy_map" not in functions:
        raise ValueError(f"{LAZY_IMPORTS} no longer has _build_lazy_map: correct infra/rewrite.py")
    maps: dict[str, Any] = {}
    for name, file in ANYIO.items():
        module = ModuleType(name)
        module.__file__ = str(out / file)
        maps[name] = functions["_build_lazy_map"](module)
    replacement = f"\n\ndef _build_lazy_map(module):\n    return {maps!r}[module.__name__]\n"
    (out / LAZY_IMPORTS).write_text(source + replacement, encoding="utf-8")


def _source(path: Path) -> str:
    if not path.exists():
        raise ValueError(f"there is no {path.parent.name}/{path.name} to replace: correct infra/rewrite.py")
    return path.read_text(encoding="utf-8")
