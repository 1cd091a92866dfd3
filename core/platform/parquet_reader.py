"""`python -m core.platform.parquet_reader BATCH SECONDS MEMORY < file.parquet`: its rows, each as a line of JSON, on stdout.

A process of its own (see `.parquet`): it may use SECONDS of a processor and MEMORY bytes, and writes no file. It dies of what it cannot read.
"""

import sys

from core.platform.process_limits import limit_process


def main(arguments: list[str]) -> int:
    """The exit code: 0 where the rows are all there."""
    from arro3.io import read_parquet, write_ndjson

    batch, seconds, memory = map(int, arguments)
    limit_process(seconds, memory)
    for rows in read_parquet(sys.stdin.buffer, batch_size=batch):
        write_ndjson(rows, sys.stdout.buffer, explicit_nulls=True)
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
