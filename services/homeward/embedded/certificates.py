"""Certificates with which the parts of a stack know each other.

Made anew at each start: no date to watch, and the key that signed them is kept nowhere.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeward.core.tls import TlsFiles
from homeward.embedded.files import write_private
from homeward.embedded.ports import HOST

CA_NAME = "ca.crt"

# A stack may run for long; the clock may be set back meanwhile.
_VALID = dt.timedelta(days=3650)
_TOLERANCE = dt.timedelta(days=1)
_ISSUER = "homeward embedded stack"
_PEM = serialization.Encoding.PEM
SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
"""What the key of an authority may be used for."""


class CertificateAuthority:
    """Signs the certificates of one start; its key is in memory alone."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = (
            self._builder(_ISSUER, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(SIGNS, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def write(self, folder: Path, name: str, *, serves: bool = True) -> TlsFiles:
        """Write a new certificate as `NAME.crt`, its key as `NAME.key`, and the authority's.

        Args:
            folder: Gets the files.
            name: What the certificate names: its common name, and a DNS name in it.
            serves: Whether a server on loopback proves itself with it, and not only a client.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.CLIENT_AUTH]
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if serves:
            usage.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names.append(x509.IPAddress(ipaddress.ip_address(HOST)))
        certificate = (
            self._builder(name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = tls_files(folder, name)
        write_private(files.authority, self._certificate.public_bytes(_PEM).decode())
        write_private(files.certificate, certificate.public_bytes(_PEM).decode())
        write_private(files.key, private.decode())
        return files

    def _builder(self, subject: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        """Return a certificate with what RFC 5280 asks of all, as Python checks from 3.13 on."""
        now = dt.datetime.now(dt.UTC)
        issuer = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(_ISSUER))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _TOLERANCE)
            .not_valid_after(now + _VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
            )
        )


def tls_files(folder: Path, name: str) -> TlsFiles:
    """Return where `CertificateAuthority.write` writes."""
    return TlsFiles(folder / f"{name}.crt", folder / f"{name}.key", folder / CA_NAME)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
