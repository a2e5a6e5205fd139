"""The S3 server of the tests, as a Job is told of it."""

from __future__ import annotations

from typing import Any

from apm_operator.backup import job
from cluster.s3server import BUCKET, S3Server


def bucket(server: S3Server, **more: Any) -> job.S3Storage:
    """Its bucket; `more` adds fields or replaces them."""
    fields = {
        "endpoint": server.url,
        "bucket": BUCKET,
        "access_key_id_file": str(server.folder / "access-key-id"),
        "secret_access_key_file": str(server.folder / "secret-access-key"),
    }
    return job.S3Storage(**fields | more)
