"""Real Kubernetes clusters of the developer cloud, as their users and as this machine see them."""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient

from devcloud.components.kubernetes import clusters_root
from devcloud.site import Site

_ADMINISTRATOR = x509.Name(
    [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        x509.NameAttribute(NameOID.COMMON_NAME, "admin"),
    ]
)


@dataclass(frozen=True)
class Access:
    """What opens a cluster: where it is, whom to trust, and who one is."""

    address: str
    ca: str
    certificate: str
    key: str

    @asynccontextmanager
    async def connected(self, folder: Path) -> AsyncIterator[ApiClient]:
        """Provide a client; its files are kept in ``folder``, which is made."""
        async with ApiClient(self._settings(folder)) as api:
            yield api

    def _settings(self, folder: Path) -> client.Configuration:
        folder.mkdir(exist_ok=True)
        settings = client.Configuration(host=self.address)
        for name, text in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            (folder / name).write_text(text)
        settings.ssl_ca_cert = str(folder / "ca")
        settings.cert_file, settings.key_file = str(folder / "certificate"), str(folder / "key")
        settings.retries = 0
        return settings


@dataclass(frozen=True)
class Authority:
    """A cluster's certificate authority, as Magnum makes one for each."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def text(self) -> str:
        """Its certificate in PEM."""
        return _pem(self.certificate)

    @property
    def key_text(self) -> str:
        """Its key in PEM."""
        return key_text(self.key)

    def administrator(self) -> tuple[str, str]:
        """Return the certificate and the key of one of Kubernetes' administrators, in PEM."""
        key = new_key()
        builder = _issued(_ADMINISTRATOR, self.certificate.subject, key)
        return _pem(builder.sign(self.key, hashes.SHA256())), key_text(key)


def new_authority(name: str) -> Authority:
    """Return one that has signed itself."""
    key, subject = new_key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    builder = _issued(subject, subject, key).add_extension(constraints, critical=True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def new_key() -> rsa.RSAPrivateKey:
    """Return a key, as a user makes it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_text(key: rsa.RSAPrivateKey) -> str:
    """Return a key in PEM."""
    form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def signing_request(key: rsa.RSAPrivateKey) -> str:
    """Return a request for a certificate of Kubernetes' administrators, in PEM."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_ADMINISTRATOR)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def ready_nodes(api: ApiClient) -> set[str]:
    """Return the names of the nodes that are Ready."""
    found: list[Any] = (await client.CoreV1Api(api).list_node()).items
    return {
        node.metadata.name
        for node in found
        if any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ())
    }


def processes_of(site: Site, cluster: str) -> list[str]:
    """Return the command lines of all processes of this machine that have to do with a cluster."""
    where = os.fspath(clusters_root(site) / cluster)
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if where in line:
            lines.append(line)
    return lines


def leftovers(site: Site, cluster: str) -> list[str]:
    """Return what is left of a cluster: its processes and its files."""
    files = [os.fspath(path) for path in clusters_root(site).glob(f"*{cluster}*")]
    return processes_of(site, cluster) + files


def _issued(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
