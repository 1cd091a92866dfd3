"""`python -m core.platform.parquet_reader BATCH SECONDS MEMORY < file.parquet`: its rows, each as a line of JSON, on stdout.

A process of its own (see `.parquet`): it may use SECONDS of a processor and MEMORY bytes, and writes no file. It dies of what it cannot read.
"""

import sys


def main(arguments: list[str]) -> int:
    """The exit code: 0 where the rows are all there."""
    from arro3.io import read_parquet, write_ndjson

    batch, seconds, memory = map(int, arguments)
    _limit(seconds, memory)
    for rows in read_parquet(sys.stdin.buffer, batch_size=batch):
        write_ndjson(rows, sys.stdout.buffer, explicit_nulls=True)
        sys.stdout.buffer.flush()
    return 0


def _limit(seconds: int, memory: int) -> None:
    import resource

    limits = {"RLIMIT_CPU": seconds, "RLIMIT_AS": memory, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, most in limits.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(getattr(resource, name), (least, least))
        except (ValueError, OSError):
            continue  # macOS has no limit of the memory


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
