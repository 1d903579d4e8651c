"""A certificate authority, for tests of TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from homeward.core.tls import TlsFiles
from homeward.embedded.certificates import SIGNS

DAY = dt.timedelta(days=1)
PEM = serialization.Encoding.PEM
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates for loopback."""

    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def write(
        self,
        folder: Path,
        *,
        expires: dt.timedelta = DAY,
        usage: tuple[x509.ObjectIdentifier, ...] = (SERVER, CLIENT),
        names: tuple[str, ...] = (),
    ) -> TlsFiles:
        """Write a new certificate, its key and the authority's certificate.

        Args:
            folder: Gets the files.
            expires: When, from now on.
            usage: What the certificate is for.
            names: DNS names in it, beside those of loopback.
        """
        folder.mkdir(exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        named = [*loopback, *map(x509.DNSName, names)]
        certificate = (
            self._builder("homeward", key.public_key(), expires)
            .add_extension(x509.SubjectAlternativeName(named), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        own = (
            self._builder(self.name, self.key.public_key(), 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(SIGNS, critical=True)
            .sign(self.key, hashes.SHA256())
        )
        files = TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
        files.certificate.write_bytes(certificate.public_bytes(PEM))
        files.key.write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        files.authority.write_bytes(own.public_bytes(PEM))
        return files

    def _builder(
        self, subject: str, key: ec.EllipticCurvePublicKey, expires: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 365 * DAY)
            .not_valid_after(now + expires)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
