"""A kubeconfig is made for who asks, ends when it says, and is kept nowhere."""

from __future__ import annotations

import base64

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from services.k8s_worker.backend import Access
from services.k8s_worker.context import Context
from services.k8s_worker.kit import Kit
from services.k8s_worker.lookout import Lookout
from services.k8s_worker.queries import get_kubeconfig
from shared.contract.messages import GetKubeconfig
from shared.runtime.errors import PermanentError
from shared.runtime.secrets import SealingKey
from shared.runtime.tenants import Tenants
from shared.worker.marks import Marks
from tests.unit.k8s_worker.magnum import END, Magnum, Server

ID = "cluster-01jz0000000000000000000000"
KIT = Kit(Marks("test", "k8s_worker"), ())
API = "https://203.0.113.20:6443"


def context(magnum: Magnum) -> Context:
    return Context(magnum, Tenants({}), Lookout(Server), KIT, SealingKey.generate())


def query(key: SealingKey, cluster: str = ID) -> GetKubeconfig:
    return GetKubeconfig(
        cloud="devcloud", cluster=cluster, cluster_id="m-1", public_key=key.public_key
    )


async def test_its_certificate_is_of_its_key_and_ends_when_it_says() -> None:
    """Sealed to the asker; another asking has another key."""
    magnum, key = Magnum(), SealingKey.generate()
    magnum.add(ID, KIT.labels(ID), api_address=API)
    issued = await get_kubeconfig("bigtop", query(key), context(magnum))
    again = await get_kubeconfig("bigtop", query(key), context(magnum))
    files = [yaml.safe_load(key.open(one.sealed_kubeconfig)) for one in (issued, again)]
    user = files[0]["users"][0]["user"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    private = serialization.load_pem_private_key(base64.b64decode(user["client-key-data"]), None)
    assert private.public_key() == certificate.public_key()
    assert certificate.subject.rfc4514_string() == "CN=colobus:bigtop,O=system:masters"
    assert issued.expires_at == certificate.not_valid_after_utc == END
    assert files[0]["clusters"][0]["cluster"]["server"] == issued.api_address == API
    assert files[0]["current-context"] == ID
    assert files[1]["users"][0]["user"]["client-key-data"] != user["client-key-data"]


@pytest.mark.parametrize("broken", ["none", "no address", "another's"])
async def test_what_is_not_ready_or_not_the_askers_is_a_conflict(broken: str) -> None:
    """Not an outage: the door answers 409."""
    magnum = Magnum()
    if broken != "none":
        address = "" if broken == "no address" else API
        magnum.add(ID, KIT.labels(ID), api_address=address)
    asked = query(SealingKey.generate(), f"{ID[:-1]}1" if broken == "another's" else ID)
    with pytest.raises(PermanentError) as refused:
        await get_kubeconfig("bigtop", asked, context(magnum))
    assert (refused.value.status, refused.value.reason) == (409, "cluster_not_ready")


def test_an_access_does_not_show_its_key() -> None:
    """In a log or a traceback."""
    assert "secret" not in repr(Access(API, "ca", "certificate", "secret", END))
