"""What an S3 server's refusals and silences mean, in words for whoever runs Homeward."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import urllib3
from minio.error import MinioException, S3Error

from homeward.servicekit import errors

_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "AccountProblem"})
_FULL = frozenset(
    {
        "XMinioStorageFull",  # MinIO, whose drives have less room than it keeps free
        "XMinioAdminBucketQuotaExceeded",
        "QuotaExceeded",  # Ceph
        "InsufficientStorage",
    }
)
_INSUFFICIENT_STORAGE = 507

# Of calls about a bucket, or an object, that are told by a parameter of their address.
_ACTIONS = {
    ("GET", "encryption"): "s3:GetEncryptionConfiguration",
    ("PUT", "encryption"): "s3:PutEncryptionConfiguration",
    ("GET", "lifecycle"): "s3:GetLifecycleConfiguration",
    ("PUT", "lifecycle"): "s3:PutLifecycleConfiguration",
    ("GET", "location"): "s3:GetBucketLocation",
    ("GET", "object-lock"): "s3:GetBucketObjectLockConfiguration",
    ("GET", "replication"): "s3:GetReplicationConfiguration",
    ("GET", "retention"): "s3:GetObjectRetention",
    ("GET", "uploadId"): "s3:ListMultipartUploadParts",
    ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
    ("DELETE", "versionId"): "s3:DeleteObjectVersion",
    ("GET", "versioning"): "s3:GetBucketVersioning",
    ("GET", "versions"): "s3:ListBucketVersions",
    ("POST", "delete"): "s3:DeleteObject, or s3:DeleteObjectVersion",
}
_BUCKET_ACTIONS = {"HEAD": "s3:ListBucket", "GET": "s3:ListBucket", "PUT": "s3:CreateBucket"}
_OBJECT_ACTIONS = {
    # Without the second a store denies what it would otherwise say is not there.
    "HEAD": "s3:GetObject, or s3:ListBucket of the bucket",
    "GET": "s3:GetObject, or s3:ListBucket of the bucket",
    "PUT": "s3:PutObject, or s3:PutObjectTagging",
    "POST": "s3:PutObject",
    "DELETE": "s3:DeleteObject",
}


@contextmanager
def translated(endpoint: str, bucket: str) -> Iterator[None]:
    """Raise `UnavailableError`, in words, for what a server answers or does not answer.

    Args:
        endpoint: Its URL, for messages.
        bucket: What is asked about.
    """
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error, endpoint) from error
    except S3Error as error:
        raise refused(error, endpoint, bucket) from error
    except MinioException as error:
        raise _store_error(
            endpoint, f"its answer was not understood ({type(error).__name__})", "see its log"
        ) from error


def refused(error: S3Error, endpoint: str, bucket: str) -> errors.UnavailableError:
    """Return the error for what a server refuses."""
    if error.code == "RequestTimeTooSkewed":
        return _store_error(
            endpoint,
            "its clock and ours are more than 15 minutes apart",
            "set the one that is wrong",
        )
    if error.code in _FULL or error.response.status == _INSUFFICIENT_STORAGE:
        return _store_error(
            endpoint,
            f"it is full ({error.code}), so that nothing can be written",
            "give it room",
        )
    method, url = _refused_request(error)
    if error.code in _DENIED:
        action = denied_action(method, url, bucket)
        return _store_error(
            endpoint,
            f"Homeward's account may not {action} on bucket {bucket}"
            if action
            else f"Homeward's account may not do what was asked of bucket {bucket} ({error.code})",
            "allow that in its policy",
        )
    if error.code == "InternalError" and method in ("PUT", "POST"):
        return _store_error(
            endpoint,
            "it could not write (InternalError)",
            "SeaweedFS says so when no volume is writable, as when it is full: see its free space"
            " and its log",
        )
    return _store_error(endpoint, f"it refused with {error.code}", "see its log")


def denied_action(method: str, url: str, bucket: str) -> str:
    """Return what an account has to be allowed for a call, as policies name it; "" if unknown.

    Args:
        method: Of HTTP.
        url: Path and parameters.
        bucket: What was asked about.
    """
    parts = urlsplit(url)
    for name in parse_qs(parts.query, keep_blank_values=True):
        if action := _ACTIONS.get((method, name)):
            return action
    # Amazon has the bucket in the name of the host, others in the path.
    path = parts.path.strip("/")
    key = path.removeprefix(bucket).lstrip("/") if path.split("/")[0] == bucket else path
    return (_OBJECT_ACTIONS if key else _BUCKET_ACTIONS).get(method, "")


def _refused_request(error: S3Error) -> tuple[str, str]:
    """Return method and address of the call that was refused."""
    original = getattr(
        error.response, "_original_response", None
    )  # urllib3 tells the method nowhere
    return str(getattr(original, "_method", "") or ""), error.response.url or ""


def _unreachable(error: Exception, endpoint: str) -> errors.UnavailableError:
    reason = getattr(error, "reason", None)
    if isinstance(reason, urllib3.exceptions.ResponseError):
        return _store_error(
            endpoint,
            "it answers each call with an error, as one does that is overloaded",
            "see its log",
        )
    certificate = _certificate_error(error)
    if certificate is not None:
        return _store_error(
            endpoint,
            f"its certificate is not trusted ({certificate.verify_message.rstrip('.')})",
            "name the file with its authority in SSL_CERT_FILE, or give it a certificate for this"
            " address",
        )
    if isinstance(reason, urllib3.exceptions.SSLError):
        return _store_error(
            endpoint,
            "TLS fails with it",
            "see whether HOMEWARD_S3_ENDPOINT is to begin with http://",
        )
    return errors.unavailable("S3", endpoint, "start it, or correct HOMEWARD_S3_ENDPOINT")


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return what is wrong with a certificate, if that is what an error comes from."""
    seen: list[object] = [error]
    while seen:
        one = seen.pop()
        if isinstance(one, ssl.SSLCertVerificationError):
            return one
        if isinstance(one, BaseException):
            seen += [getattr(one, "reason", None), one.__cause__, *one.args]
    return None


def _store_error(endpoint: str, what: str, advice: str) -> errors.UnavailableError:
    """Return the error for a server that is there, and does not do what it is asked."""
    return errors.UnavailableError(
        f"S3 at {endpoint}: {what}",
        reason=errors.Reason.COMPONENT_UNAVAILABLE,
        metadata={"component": "S3", "address": endpoint},
        advice=advice,
    )
