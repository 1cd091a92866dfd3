"""The example is a package of its own, with tests of its own: `cd tests/external/acme && python -m pytest`."""

collect_ignore = ["acme"]
