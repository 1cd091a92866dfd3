"""Run as `python -I -S clean_python.py PACKAGE MODULE < events`: a built function answers, with nothing beside its package.

It prints a JSON object: the `answers`, and the `files` that were imported, by module.
"""

import importlib
import json
import sys
from types import SimpleNamespace

MILLISECONDS = 60_000


def main(package: str, module: str) -> None:
    sys.path.insert(0, package)
    context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: MILLISECONDS)
    handler = importlib.import_module(f"functions.{module}").handler
    answers = [handler(event, context) for event in json.load(sys.stdin)]
    files = {name: getattr(each, "__file__", None) for name, each in sys.modules.items()}
    print(json.dumps({"answers": answers, "files": {name: file for name, file in files.items() if file}}))


if __name__ == "__main__":
    main(*sys.argv[1:])
