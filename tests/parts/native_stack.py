"""Batches of a stack some of whose models run at their providers: Bedrock by its jobs (`claude`), a vendor by its own batches (`vend`)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, override

from core.services.jobs.timing import Timing
from tests.parts.batch_stack import BatchWorld, batch_world
from tests.parts.bedrock import KEYS, MODEL, REGION, FakeBedrock
from tests.parts.bedrock_jobs import ROLE, BedrockJobs
from tests.parts.upstream import running
from tests.parts.vendor_batches import VendorBatches

AT_ONCE: Final = Timing(poll=0.0, longest_poll=0.0, first_tick=1, tick=2, stop=1)
"""Providers are looked at again and again, without a pause."""


@dataclass(repr=False, kw_only=True)
class NativeWorld(BatchWorld):
    """`mode` is the `batch` of the models, None for none of it; `model` is that of the metadata beside it."""

    bedrock: FakeBedrock
    jobs: BedrockJobs
    vendor: VendorBatches
    bucket: str
    mode: str | None = "auto"

    @override
    def document(self, **how: Any) -> dict[str, Any]:
        metadata = {**how.pop("metadata", {}), **({"batch": self.mode} if self.mode else {})}
        document = super().document(**how)
        aws = {"endpoint_url": self.bedrock.url, "region_name": REGION, "total_max_attempts": 1, **KEYS}
        batches = {
            "batch_s3_uri": f"s3://{self.bucket}/b",
            "batch_role_arn": ROLE,
            "batch_s3_endpoint_url": self.jobs.s3,
        }
        document["providers"]["inference"] += [
            {
                "provider_id": "bedrock",
                "provider_type": "remote::bedrock",
                "config": {**aws, **batches, "batch_least_rows": self.jobs.least},
            },
            {"provider_id": "vendor", "provider_type": "remote::openai-compatible", "config": {"url": self.vendor.url}},
        ]
        places = {"claude": ("bedrock", MODEL), "vend": ("vendor", "m")}
        document["models"] += [
            {"model_id": name, "provider_id": at, "provider_model_id": theirs, "metadata": metadata}
            for name, (at, theirs) in places.items()
        ]
        return document


@asynccontextmanager
async def native_world(folder: Path, moto_endpoint: str, bucket: str) -> AsyncGenerator[NativeWorld]:
    """The AWS credentials of the fixtures are in the environment."""
    jobs, bedrock, vendor = BedrockJobs(moto_endpoint), FakeBedrock(), VendorBatches()
    jobs.serve(bedrock)
    async with batch_world(folder) as world, running(bedrock), running(vendor):
        fields = (world.folder, world.model, world.server, world.engines, world.opened, world.storage)
        yield NativeWorld(*fields, bedrock=bedrock, jobs=jobs, vendor=vendor, bucket=bucket)
