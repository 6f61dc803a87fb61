"""The certificates of one control plane, issued by the cluster's own authority.

Names are those that Kubernetes' default roles are bound to (its documentation, "PKI certificates
and requirements"), so nothing but us, as who checks and clears away, is an administrator.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: The first address of the range of Services, which is the API server's own.
SERVICE_RANGE, API_SERVICE = "10.96.0.0/16", "10.96.0.1"
NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
YEARS = 5
ADMIN = "admin"


class Pki:
    """A folder with `ca.crt`, `ca.key`, and what is issued by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def issue_all(self, address: str) -> None:
        """Issue what the control plane needs, unless it is there.

        Args:
            address: Where the API server will be.
        """
        self.issue("apiserver", "kube-apiserver", address=address)
        self.issue(ADMIN, "devcloud", "system:masters")
        self.issue("controller-manager", "system:kube-controller-manager")
        self.issue("scheduler", "system:kube-scheduler")
        if not (self.folder / "sa.key").exists():
            self._service_account_key()

    def issue(
        self, name: str, common_name: str, organization: str | None = None, address: str = ""
    ) -> None:
        """Issue a certificate as `name.crt` and `name.key`, unless it is there.

        Args:
            name: The files' name.
            common_name: The user, to Kubernetes.
            organization: The user's group.
            address: That of a server; default: the certificate is a client's.
        """
        if (self.folder / f"{name}.crt").exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization is not None:
            parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        now = datetime.datetime.now(datetime.UTC)
        authority = x509.load_pem_x509_certificate(self.read("ca.crt"))
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(parts))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_usage(address)]), critical=False)
        )
        if address:
            there = [x509.IPAddress(ipaddress.ip_address(a)) for a in (address, API_SERVICE)]
            named = [x509.DNSName(each) for each in NAMES]
            alternatives = x509.SubjectAlternativeName([*there, *named])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self._authority_key(), hashes.SHA256())
        self._write_key(f"{name}.key", key)
        self._write(f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))

    def kubeconfig(self, name: str, server: str) -> Path:
        """Write how `name` talks to the API server, and return the file's path."""
        user = {
            "client-certificate-data": self._text(f"{name}.crt"),
            "client-key-data": self._text(f"{name}.key"),
        }
        cluster = {"server": server, "certificate-authority-data": self._text("ca.crt")}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "cluster",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": name}}],
        }
        self._write(f"{name}.kubeconfig", json.dumps(content).encode())
        return self.folder / f"{name}.kubeconfig"

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self.folder / name).read_bytes()

    def _text(self, name: str) -> str:
        return base64.b64encode(self.read(name)).decode()

    def _authority_key(self) -> CertificateIssuerPrivateKeyTypes:
        key = serialization.load_pem_private_key(self.read("ca.key"), None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise TypeError(f"a certificate authority with a {type(key).__name__}")
        return key

    def _service_account_key(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._write("sa.pub", public)
        self._write_key("sa.key", key)

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
        form = serialization.PrivateFormat.TraditionalOpenSSL
        plain = serialization.NoEncryption()
        self._write(name, key.private_bytes(serialization.Encoding.PEM, form, plain))

    def _write(self, name: str, content: bytes) -> None:
        partial = self.folder / f"{name}.partial"
        partial.touch(mode=0o600)
        partial.write_bytes(content)
        partial.replace(self.folder / name)


def _usage(address: str) -> x509.ObjectIdentifier:
    return ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
