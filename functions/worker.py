"""What outlives a request: jobs, a shard at a time, as messages of the queue."""

from core.runtime.job_worker import lambda_worker

handler = lambda_worker()
