"""The load balancers of one cluster: its objects are looked at, and what they want is made so."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.exceptions import SDKException

from .api_server import ApiServer, Unanswered
from .balancer_cloud import BalancerCloud, CloudFailed
from .wanted_balancers import (
    CLASS,
    INGRESS,
    SERVICE,
    Balancer,
    NotYet,
    Object,
    Owner,
    balancer_of_ingress,
    balancer_of_service,
    owner,
    prefix,
    ready_addresses,
    wants_balancer,
)

KINDS = {
    INGRESS: "/apis/networking.k8s.io/v1/ingresses",
    SERVICE: "/api/v1/services",
}
NODES = "/api/v1/nodes"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
#: What holds an object until its load balancer is gone. A Service's is Kubernetes' own word; for an
#: Ingress the real controller has none, and leaks what is deleted while it is down.
FINALIZERS = {
    INGRESS: "openstack.org/load-balancer-cleanup",
    SERVICE: "service.kubernetes.io/load-balancer-cleanup",
}
#: The tenant's cloud refuses, fails, or is not there (which openstacksdk leaves to keystoneauth).
CLOUD_FAILURES = (CloudFailed, SDKException, ClientException)
#: Seconds after which the cloud is asked again for what nobody wants any more.
SWEEP_EVERY = 300.0


class ClusterBalancers:
    """One cluster, its API server and its tenant's cloud.

    Args:
        cluster: Its uuid.
        api: Its API server, as an administrator.
        cloud: Where load balancers are made.
        pool: Who works on several at a time.
    """

    def __init__(
        self, cluster: str, api: ApiServer, cloud: BalancerCloud, pool: ThreadPoolExecutor
    ) -> None:
        self._cluster = cluster
        self._api = api
        self._cloud = cloud
        self._pool = pool
        self._made: dict[Owner, tuple[Balancer, str]] = {}
        self._known: set[str] = set()
        self._swept = -SWEEP_EVERY
        self._told: dict[Owner, str] = {}
        self._has_class = False

    def work(self) -> bool:
        """Look at all objects once; tell whether nothing is left to be tried again."""
        try:
            self._make_class()
            seen = {kind: self._api.objects(path) for kind, path in KINDS.items()}
            nodes = ready_addresses(self._api.objects(NODES))
        except Unanswered as error:
            print(f"{self._cluster}: {error}", file=sys.stderr, flush=True)
            return False
        services: dict[str, dict[str, Object]] = {}
        for service in seen[SERVICE]:
            who = owner(SERVICE, service)
            services.setdefault(who.namespace, {})[who.name] = service
        tasks = [
            self._pool.submit(self._settle, kind, each, services, nodes)
            for kind, objects in seen.items()
            for each in objects
        ]
        done = [task.result() for task in tasks]
        holding = {
            owner(kind, each).balancer_name(self._cluster)
            for kind, objects in seen.items()
            for each in objects
            if wants_balancer(kind, each) or _held(kind, each)
        }
        return self._sweep(holding) and all(done)

    def _make_class(self) -> None:
        """Let Ingresses without a class be ours, as the operator of a cluster would."""
        if not self._has_class:
            self._api.create(
                CLASSES,
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "IngressClass",
                    "metadata": {
                        "name": CLASS,
                        "annotations": {DEFAULT_CLASS_ANNOTATION: "true"},
                    },
                    "spec": {"controller": "openstack.org/octavia-ingress-controller"},
                },
            )
            self._has_class = True

    def _settle(
        self,
        kind: str,
        seen: Object,
        services: Mapping[str, Mapping[str, Object]],
        nodes: tuple[str, ...],
    ) -> bool:
        """Do what one object wants; tell whether it needs no other try."""
        who = owner(kind, seen)
        try:
            if wants_balancer(kind, seen) and not seen["metadata"].get("deletionTimestamp"):
                if kind == SERVICE:
                    wanted = balancer_of_service(seen, self._cluster, nodes)
                else:
                    own = services.get(who.namespace, {})
                    wanted = balancer_of_ingress(seen, own, self._cluster, nodes)
                self._make(who, seen, wanted)
            elif _held(kind, seen):
                self._remove(who, seen)
        except NotYet as error:
            self._tell(who, seen, str(error))  # when that changes, it is looked at again
        except (Unanswered, *CLOUD_FAILURES) as error:
            self._tell(who, seen, str(error))
            return False
        except Exception as error:  # noqa: BLE001 - one object's trouble is not another's
            self._tell(who, seen, f"{type(error).__name__}: {error}")
            return False
        else:
            self._told.pop(who, None)
        return True

    def _make(self, who: Owner, seen: Object, wanted: Balancer) -> None:
        made, address = self._made.get(who, (None, ""))
        if made == wanted and _addresses(seen) == [address]:
            return
        if not _held(who.kind, seen):
            kept = seen["metadata"].get("finalizers") or []
            self._finalize(who, seen, [*kept, FINALIZERS[who.kind]])
        address = self._cloud.ensure(wanted)
        self._show(who, [{"ip": address}])
        self._made[who] = (wanted, address)

    def _remove(self, who: Owner, seen: Object) -> None:
        self._made.pop(who, None)
        self._cloud.remove(who.balancer_name(self._cluster), who.description(self._cluster))
        now: Object | None = seen
        if not seen["metadata"].get("deletionTimestamp"):  # it is to be one without
            now = self._show(who, [])
        if now is not None:
            held = now["metadata"].get("finalizers") or ()  # none: somebody took ours meanwhile
            self._finalize(who, now, [each for each in held if each != FINALIZERS[who.kind]])

    def _finalize(self, who: Owner, seen: Object, finalizers: list[str]) -> None:
        version = seen["metadata"]["resourceVersion"]
        change = {"metadata": {"finalizers": finalizers, "resourceVersion": version}}
        self._api.patch(_path(who), change)

    def _show(self, who: Owner, ingress: list[dict[str, str]]) -> Object | None:
        status = {"status": {"loadBalancer": {"ingress": ingress or None}}}
        return self._api.patch(f"{_path(who)}/status", status)

    def _sweep(self, holding: set[str]) -> bool:
        """Remove what no object holds any more: one whose finalizer somebody took off."""
        if holding >= self._known and time.monotonic() < self._swept + SWEEP_EVERY:
            self._known = holding
            return True
        try:
            for kind in KINDS:
                for name, description in self._cloud.names(prefix(kind, self._cluster)).items():
                    if name not in holding:
                        self._cloud.remove(name, description)
        except CLOUD_FAILURES as error:
            print(f"{self._cluster}: {error}", file=sys.stderr, flush=True)
            return False
        self._known, self._swept = holding, time.monotonic()
        return True

    def _tell(self, who: Owner, seen: Object, words: str) -> None:
        """Say what is wrong, once: in the log, and as an event of the object."""
        if self._told.get(who) == words:
            return
        self._told[who] = words
        print(f"{self._cluster}: {who}: {words}", file=sys.stderr, flush=True)
        try:
            self._api.create(f"/api/v1/namespaces/{who.namespace}/events", _event(who, seen, words))
        except Unanswered as error:
            print(f"{self._cluster}: {error}", file=sys.stderr, flush=True)


def _held(kind: str, seen: Object) -> bool:
    return FINALIZERS[kind] in (seen["metadata"].get("finalizers") or ())


def _addresses(seen: Object) -> list[str]:
    shown = (seen.get("status") or {}).get("loadBalancer", {}).get("ingress") or ()
    return [each.get("ip", "") for each in shown]


def _path(who: Owner) -> str:
    beginning, _, kinds = KINDS[who.kind].rpartition("/")
    return f"{beginning}/namespaces/{who.namespace}/{kinds}/{who.name}"


def _event(who: Owner, seen: Object, words: str) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    apis = {INGRESS: ("networking.k8s.io/v1", "Ingress"), SERVICE: ("v1", "Service")}
    version, kind = apis[who.kind]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{who.name}.", "namespace": who.namespace},
        "involvedObject": {
            "apiVersion": version,
            "kind": kind,
            "namespace": who.namespace,
            "name": who.name,
            "uid": seen["metadata"]["uid"],
        },
        "type": "Warning",
        "reason": "SyncLoadBalancerFailed",
        "message": words[:1000],
        "source": {"component": "openstack-load-balancers"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
