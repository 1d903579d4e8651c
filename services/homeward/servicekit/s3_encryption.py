"""Whether a bucket is encrypted at rest by its server, and asking for it."""

from __future__ import annotations

from minio import Minio
from minio.error import S3Error
from minio.sseconfig import Rule, SSEConfig

from homeward.servicekit.settings import Encryption

_UNSUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed"})
_RULES = {"sse-s3": Rule.new_sse_s3_rule, "sse-kms": Rule.new_sse_kms_rule}
_ALGORITHMS = {
    "sse-s3": ("AES256", "aws:kms", "aws:kms:dsse"),
    "sse-kms": ("aws:kms", "aws:kms:dsse"),
}


class BucketEncryption:
    """The encryption that a bucket gives to each object, whoever writes it.

    It is asked of the bucket and not of each write: that covers what is put to a URL, and can be
    read back.

    Args:
        client: Of the server.
        bucket: Name of the bucket.
        wanted: What is asked for.
    """

    def __init__(self, client: Minio, bucket: str, wanted: Encryption) -> None:
        self._client = client
        self._bucket = bucket
        self._wanted = wanted

    def algorithm(self) -> str:
        """Return the algorithm that the server tells: `AES256`, `aws:kms`; "" for none."""
        try:
            config = self._client.get_bucket_encryption(self._bucket)
        except ValueError:  # Ceph 16.2 answers with something else
            return ""
        except S3Error as error:
            if error.code in _UNSUPPORTED:
                return ""
            raise
        return config.rule.sse_algorithm if config else ""

    def request(self) -> None:
        """Ask for what is wanted, if the bucket does not have it.

        What the server does not take is told by `problem`, which stops nothing but uploads.
        """
        if self._wanted == "none" or self._is_enough(self.algorithm()):
            return
        try:
            self._client.set_bucket_encryption(self._bucket, SSEConfig(_RULES[self._wanted]()))
        except S3Error as error:
            if error.code == "AccessDenied":
                raise

    def problem(self) -> str | None:
        """Return what is amiss with the encryption, and the remedy."""
        algorithm = self.algorithm()
        if self._wanted == "none" or self._is_enough(algorithm):
            return None
        return (
            f"it is not encrypted at rest as HOMEWARD_S3_ENCRYPTION={self._wanted} asks: the server"
            f" has {algorithm or 'no encryption'}; give the server keys (MinIO: KMS) and restart"
            " Homeward, or encrypt its disks and set HOMEWARD_S3_ENCRYPTION=none"
        )

    def _is_enough(self, algorithm: str) -> bool:
        return algorithm in _ALGORITHMS[self._wanted]
