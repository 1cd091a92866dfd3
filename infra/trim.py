"""Removes what installed dependencies have that no deployed function ever loads."""

from pathlib import Path
import shutil
import struct
from typing import Final

FOLDERS: Final = ("bin", "**/tests", "**/__pycache__", "wrapt-stubs")
FILES: Final = (
    ".lock",
    "**/*.pyi",
    "**/py.typed",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.c",
    "**/*.h",
    "**/_testcapi.*.so",
    "aiohttp/.hash",
)
UNUSED: Final = (  # what is larger than it is worth
    "aiobotocore/stub.py",
    "aiohttp/_websocket/*.so",  # the same in Python is beside it
    "aiohttp/pytest_plugin.py",
    "aiohttp/test_utils.py",
    "aiohttp/web*.py",
    "aiohttp/worker.py",
    "anyio/_backends/_trio.py",
    "anyio/functools.py",
    "anyio/itertools.py",
    "anyio/pytest_plugin.py",
    "anyio/streams/file.py",
    "anyio/streams/text.py",
    "anyio/to_interpreter.py",
    "anyio/to_process.py",
    "boto3/data",  # what resources are made of, and no client
    "boto3/examples",
    # What writes documentation: what asks for it at run time is in infra/rewrite.py.
    *(f"boto3/docs/{name}.py" for name in ("action", "attr", "base", "client", "collection", "method", "resource")),
    *(f"boto3/docs/{name}.py" for name in ("service", "subresource", "utils", "waiter")),
    "botocore/crt/auth.py",  # of a library that no package has
    "botocore/docs/bcdoc",
    *(f"botocore/docs/{name}.py" for name in ("client", "example", "method", "paginator", "params", "service")),
    *(f"botocore/docs/{name}.py" for name in ("shape", "sharedexample", "translator", "waiter")),
    "botocore/stub.py",
    "botocore/vendored/six.py",  # infra/rewrite.py
    "cffi",  # cryptography was made with it, and needs its _cffi_backend alone
    "cryptography/hazmat/asn1",
    "cryptography/hazmat/primitives/serialization/pkcs*.py",
    "cryptography/hazmat/primitives/twofactor",
    "cryptography/x509/ocsp.py",
    "dateutil/easter.py",
    "dateutil/rrule.py",
    "dateutil/tz/win.py",
    "dateutil/tzwin.py",
    "dateutil/zoneinfo",
    "idna/cli.py",
    "multidict/_multidict_py.py",  # what stands in where nothing was compiled; both processors' wheels are
    "pydantic/color.py",
    "pydantic/experimental/arguments_schema.py",
    "pydantic/experimental/pipeline.py",
    "pydantic/mypy.py",
    "pydantic/v1",
    "starlette/config.py",
    "starlette/endpoints.py",
    "starlette/formparsers.py",
    *(
        f"starlette/middleware/{name}.py"
        for name in ("authentication", "cors", "gzip", "httpsredirect", "opentelemetry")
    ),
    *(f"starlette/middleware/{name}.py" for name in ("sessions", "trustedhost", "wsgi")),
    "starlette/schemas.py",
    "starlette/staticfiles.py",
    "starlette/templating.py",
    "starlette/testclient.py",
    *(f"pydantic/deprecated/{name}.py" for name in ("decorator", "tools")),
    "urllib3/contrib/emscripten",
    "urllib3/contrib/pyopenssl.py",
    "urllib3/contrib/socks.py",
    "urllib3/http2/connection.py",
    "yarl/_quoting_py.py",  # likewise
)

ELF: Final = b"\x7fELF\x02\x01"  # 64 bit, little-endian
HEADER: Final = struct.Struct("<16xHHIQQQIHHHHHH")  # https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
SEGMENT: Final = struct.Struct("<IIQQQQ")  # the beginning of one: type, flags, offset, two addresses, size in the file
SECTIONS_AT: Final = struct.Struct("<Q")
SECTIONS_IN: Final = struct.Struct("<HHH")


def trim(out: Path) -> None:
    """Remove it from `out`, and from shared objects what only linkers and debuggers read."""
    for pattern in (*FOLDERS, *FILES, *UNUSED):
        for path in list(out.glob(pattern)):
            remove(path)
    for path in out.rglob("*.so"):
        path.write_bytes(loaded_part(path.read_bytes()))


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def loaded_part(content: bytes) -> bytes:
    """A shared object up to the end of its last segment: sections, symbols and debug information come after it.

    Anything but a little-endian 64-bit ELF is returned as it is.
    """
    if not content.startswith(ELF):
        return content
    header = HEADER.unpack_from(content)
    first, size, count = header[4], header[8], header[9]
    segments = [SEGMENT.unpack_from(content, first + index * size) for index in range(count)]
    loaded = bytearray(content[: max(offset + length for _, _, offset, _, _, length in segments)])
    SECTIONS_AT.pack_into(loaded, 40, 0)  # the header must not point to sections that are gone
    SECTIONS_IN.pack_into(loaded, 58, 0, 0, 0)
    return bytes(loaded)
