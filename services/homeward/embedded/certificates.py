"""Certificates with which the parts of SeaweedFS know each other.

Made anew at each start: no date to watch, and the key that signed them is kept nowhere.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeward.embedded.files import write_private

# A stack may run for long; the clock may be set back meanwhile.
_VALID = dt.timedelta(days=3650)
_TOLERANCE = dt.timedelta(days=1)


def write_certificates(folder: Path) -> None:
    """Write `ca.crt`, `weed.crt` and `weed.key`."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        _certificate("homeward embedded stack", authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        _certificate("weed", key.public_key())
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(folder / "ca.crt", authority.public_bytes(pem).decode())
    write_private(folder / "weed.crt", certificate.public_bytes(pem).decode())
    write_private(folder / "weed.key", private.decode())


def _certificate(subject: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("homeward embedded stack"))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _TOLERANCE)
        .not_valid_after(now + _VALID)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
