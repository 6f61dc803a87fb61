"""Which load balancer an Ingress or a Service wants: Kubernetes' objects in, a `Balancer` out.

Pure. Names and descriptions are those of octavia-ingress-controller and of
openstack-cloud-controller-manager (kubernetes/cloud-provider-openstack): Magnum finds a cluster's
load balancers by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

#: The class of Ingresses, and the older annotation that says it.
CLASS, CLASS_ANNOTATION = "openstack", "kubernetes.io/ingress.class"
INGRESS, SERVICE = "ingress", "service"
HTTP_PORT = 80
#: The longest name that Octavia takes.
LONGEST_NAME = 255

Object = Mapping[str, Any]


class NotYet(RuntimeError):
    """What the object names is not there, or not so that a load balancer can reach it."""


@dataclass(frozen=True)
class Owner:
    """The object that a load balancer is for; `kind` is `ingress` or `service`."""

    kind: str
    namespace: str
    name: str

    def balancer_name(self, cluster: str) -> str:
        """Return what its load balancer is called."""
        whole = f"{prefix(self.kind, cluster)}{self.namespace}_{self.name}"
        return whole[:LONGEST_NAME]

    def description(self, cluster: str) -> str:
        """Return what its load balancer says of itself."""
        if self.kind == INGRESS:
            who = f"ingress {self.name} in namespace {self.namespace}"
        else:
            who = f"external service {self.namespace}/{self.name}"
        return f"Kubernetes {who} from cluster {cluster}"


@dataclass(frozen=True)
class Pool:
    """Where a listener sends to: the same port of every node."""

    name: str
    protocol: str
    node_port: int


@dataclass(frozen=True)
class Route:
    """What of a listener's requests goes to which pool; without host or path: all the rest."""

    host: str
    path: str
    exact: bool
    pool: str


@dataclass(frozen=True)
class Listener:
    """A port of the load balancer's address."""

    name: str
    protocol: str
    port: int
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Balancer:
    """A whole load balancer; its members are the nodes, by their addresses."""

    name: str
    description: str
    listeners: tuple[Listener, ...]
    pools: tuple[Pool, ...]
    nodes: tuple[str, ...]

    @property
    def shape(self) -> str:
        """Return what names all of it but its members."""
        pools = [(pool.name, pool.protocol) for pool in self.pools]
        text = repr(([asdict(each) for each in self.listeners], pools))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def prefix(kind: str, cluster: str) -> str:
    """Return how the names of a cluster's load balancers begin."""
    return f"kube_{kind}_{cluster}_"


def owner(kind: str, seen: Object) -> Owner:
    """Return who an object is."""
    return Owner(kind, seen["metadata"]["namespace"], seen["metadata"]["name"])


def wants_balancer(kind: str, seen: Object) -> bool:
    """Tell whether an object is one of those that load balancers are made for."""
    if kind == SERVICE:
        spec = seen["spec"]
        return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")
    annotations = seen["metadata"].get("annotations") or {}
    # An Ingress without a class is older than the default class, which the API server fills in.
    named = seen["spec"].get("ingressClassName") or annotations.get(CLASS_ANNOTATION) or CLASS
    return bool(named == CLASS)


def ready_addresses(nodes: Iterable[Object]) -> tuple[str, ...]:
    """Return the addresses of the nodes that are Ready, each once: hollow nodes share theirs."""
    found = {
        address["address"]
        for node in nodes
        for address in node["status"].get("addresses", ())
        if address["type"] == "InternalIP"
        and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in node["status"].get("conditions", ())
        )
    }
    return tuple(sorted(found))


def balancer_of_service(seen: Object, cluster: str, nodes: tuple[str, ...]) -> Balancer:
    """Return what a Service of type LoadBalancer wants: a listener for each of its ports.

    Raises:
        NotYet: It has no port on the nodes.
    """
    who = owner(SERVICE, seen)
    name = who.balancer_name(cluster)
    pools, listeners = [], []
    for number, port in enumerate(seen["spec"]["ports"]):
        protocol = port.get("protocol", "TCP")
        pool = Pool(f"pool_{number}_{name}"[:LONGEST_NAME], protocol, _node_port(who.name, port))
        everything = Route("", "", False, pool.name)
        pools.append(pool)
        listeners.append(
            Listener(
                f"listener_{number}_{name}"[:LONGEST_NAME], protocol, port["port"], (everything,)
            )
        )
    return Balancer(name, who.description(cluster), tuple(listeners), tuple(pools), nodes)


def balancer_of_ingress(
    seen: Object, services: Mapping[str, Object], cluster: str, nodes: tuple[str, ...]
) -> Balancer:
    """Return what an Ingress wants: one listener for HTTP, and a pool for each port behind it.

    Args:
        seen: The Ingress.
        services: Those of its namespace, by name.
        cluster: The cluster's uuid.
        nodes: Addresses of nodes.

    Raises:
        NotYet: A Service is missing, or has no port on the nodes (its type must be NodePort or
            LoadBalancer: so octavia-ingress-controller wants it).
    """
    who, spec = owner(INGRESS, seen), seen["spec"]
    name = who.balancer_name(cluster)
    pools: dict[str, Pool] = {}

    def pool(backend: Object) -> str:
        wanted = backend.get("service")
        if wanted is None:
            raise NotYet("a backend that is no Service")
        port = _port(services, wanted)
        made = Pool(
            f"{wanted['name']}_{port['port']}"[:LONGEST_NAME],
            "HTTP",
            _node_port(wanted["name"], port),
        )
        return pools.setdefault(made.name, made).name

    routes = [
        Route(
            rule.get("host", ""),
            ""
            if path.get("path", "/") == "/" and path.get("pathType") != "Exact"
            else path["path"],
            path.get("pathType") == "Exact",
            pool(path["backend"]),
        )
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths", ())
    ]
    if spec.get("defaultBackend"):
        routes.append(Route("", "", False, pool(spec["defaultBackend"])))
    # The first that fits is taken: the more a route says, the earlier it is asked, of hosts first.
    routes.sort(
        key=lambda route: (
            not route.host,
            route.host.startswith("*."),
            not route.exact,
            -len(route.path),
        )
    )
    listener = Listener(name, "HTTP", HTTP_PORT, tuple(routes))
    found = tuple(sorted(pools.values(), key=lambda each: each.name))
    return Balancer(name, who.description(cluster), (listener,), found, nodes)


def _port(services: Mapping[str, Object], wanted: Object) -> Object:
    service = services.get(wanted["name"])
    if service is None:
        raise NotYet(f"there is no Service {wanted['name']}")
    asked = wanted["port"]
    for port in service["spec"].get("ports") or ():  # without: ExternalName, or headless
        if port["port"] == asked.get("number") or (
            asked.get("name") and port.get("name") == asked["name"]
        ):
            found: Object = port
            return found
    raise NotYet(f"the Service {wanted['name']} has no port {asked}")


def _node_port(service: str, port: Object) -> int:
    number = port.get("nodePort")
    if not number:
        raise NotYet(f"the Service {service} has no port on the nodes: is it of type NodePort?")
    return int(number)
