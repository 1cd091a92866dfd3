"""`make bench [PARTS]`: measure, and print what was measured. Fails on no figure: machines are noisy."""

import sys

from tests.benchmarks.batches import batches
from tests.benchmarks.chroma import chroma
from tests.benchmarks.cold import cold
from tests.benchmarks.datasets import datasets
from tests.benchmarks.documents import documents
from tests.benchmarks.evals import evals
from tests.benchmarks.files import files
from tests.benchmarks.ingest import ingest
from tests.benchmarks.jobs import jobs
from tests.benchmarks.mcp import mcp
from tests.benchmarks.pgvector import pgvector
from tests.benchmarks.protected import protected
from tests.benchmarks.registry import registry
from tests.benchmarks.responses import responses
from tests.benchmarks.runtimes import runtimes
from tests.benchmarks.streams import streams
from tests.benchmarks.table import Row, show
from tests.benchmarks.turns import turns
from tests.benchmarks.usage import usage
from tests.benchmarks.vectors import vectors
from tests.benchmarks.warm import warm

PARTS = {
    "warm": warm,
    "protected": protected,
    "usage": usage,
    "streams": streams,
    "cold": cold,
    "runtimes": runtimes,
    "registry": registry,
    "datasets": datasets,
    "documents": documents,
    "jobs": jobs,
    "batches": batches,
    "evals": evals,
    "mcp": mcp,
    "responses": responses,
    "turns": turns,
    "vectors": vectors,
    "pgvector": pgvector,
    "chroma": chroma,
    "files": files,
    "ingest": ingest,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in names or PARTS:
        print(f"measuring: {name} ...", flush=True)
        rows += PARTS[name]()
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
