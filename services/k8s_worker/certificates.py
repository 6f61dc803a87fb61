"""Who we are to a cluster: a key of our own, a certificate by Magnum, and the file that has both.

Keys are on a curve: they are made in a millisecond, where RSA takes a core for a tenth of a second.
Kubernetes takes who is in the group ``system:masters`` for an administrator (its RBAC reference),
and Magnum signs what the cluster's owner asks for.
"""

from __future__ import annotations

import base64
from datetime import datetime

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.k8s_worker.backend import Access, Cluster, Project, Unanswered
from shared.contract.problems import Reason
from shared.runtime.errors import ColobusError, TemporaryError
from shared.worker.outcome import is_overload

ADMINISTRATORS = "system:masters"
#: Of a common name: RFC 5280, ub-common-name.
_LONGEST = 64


async def new_access(project: Project, cluster: Cluster, who: str) -> Access:
    """Have Magnum sign a certificate for a key made now; ``who`` is what audit logs will show."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = await project.authority(cluster.id)
    certificate = await project.signed(cluster.id, _request(key, who))
    return Access(
        address=cluster.api_address,
        authority=authority,
        certificate=certificate,
        key=_text(key),
        expires_at=_end_of(certificate),
    )


async def access_or_silence(project: Project, cluster: Cluster, who: str) -> Access:
    """Do so; where Magnum says that there is none to be had, nobody gets in: `Unanswered`.

    That is the cluster's trouble, whose authority may be lost. An outage of Magnum's says nothing
    of the cluster, and passes through.
    """
    try:
        return await new_access(project, cluster, who)
    except ColobusError as error:
        if is_overload(error):
            raise
        raise Unanswered(f"Magnum gives no certificate for its API server: {error}") from error


def _request(key: ec.EllipticCurvePrivateKey, who: str) -> str:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ADMINISTRATORS),
            x509.NameAttribute(NameOID.COMMON_NAME, who[:_LONGEST]),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _text(key: ec.EllipticCurvePrivateKey) -> str:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def _end_of(certificate: str) -> datetime:
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError as error:
        detail = "Magnum has signed what is no certificate."
        raise TemporaryError(detail, reason=Reason.BACKEND_REFUSED, status=503) from error


def kubeconfig(access: Access, cluster: str, user: str) -> str:
    """Return the file that kubectl and its like take (client-go's ``Config``, v1)."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {
                        "server": access.address,
                        "certificate-authority-data": _base64(access.authority),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _base64(access.certificate),
                        "client-key-data": _base64(access.key),
                    },
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
            "current-context": cluster,
        },
        sort_keys=False,
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
