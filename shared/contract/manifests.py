"""Objects of Kubernetes, looked at as far as that needs no cluster, and their Secrets set apart.

What scope a kind has, and what of it is good, is the cluster's to say: here are refused a namespace
that isn't the app's own, what everybody knows to be of the whole cluster (both unless the operator
lets the tenant's apps be ``anywhere``), and what has no name.
What is told of them has names and kinds in it, and never what is in a Secret. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from shared.contract import bounded_yaml
from shared.contract.field_errors import MAX_ERRORS, pointer
from shared.contract.identifiers import is_id
from shared.contract.problems import FieldError

#: The field of the spec that Secrets are moved to, which is sealed.
SECRETS = "secret_manifests"
_MANIFESTS = "manifests"
#: How many objects an app may have, and how many bytes as JSON.
MOST, MOST_BYTES = 100, 256 * 1024
#: The ConfigMap in which we keep what an app is made of.
INVENTORY = "colobus-inventory"
_API_VERSION = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?v[0-9][a-z0-9]{0,62}")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
#: Names are part of paths (API concepts, "path segment names"); RBAC's may have colons.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9:._-]{0,251}[A-Za-z0-9])?")
#: Those of namespaces are labels of the DNS (RFC 1123).
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
#: Of Kubernetes' own kinds, those that are of the whole cluster.
_WHOLE_CLUSTER = frozenset(
    {"Namespace", "Node", "PersistentVolume", "ComponentStatus", "ClusterRole"}
    | {"ClusterRoleBinding", "CustomResourceDefinition", "APIService", "StorageClass"}
    | {"PriorityClass", "IngressClass", "RuntimeClass", "PodSecurityPolicy", "CSIDriver", "CSINode"}
    | {"VolumeAttachment", "CertificateSigningRequest", "MutatingWebhookConfiguration"}
    | {"ValidatingWebhookConfiguration", "FlowSchema", "PriorityLevelConfiguration"}
)
#: What is meant as a Secret by its author, rightly or not.
_SECRET_KINDS = frozenset({"secret", "secrets"})
#: Kinds that Kubernetes shows under two groups, and the one that they are of now.
_MOVED = {
    "Ingress": "networking.k8s.io",
    "NetworkPolicy": "networking.k8s.io",
    **dict.fromkeys(("Deployment", "DaemonSet", "ReplicaSet"), "apps"),
}
#: What an object has that was exported: a server-side apply wants to be without.
_OF_THE_CLUSTER = ("uid", "resourceVersion", "managedFields")
_Place = tuple[str | int, ...]


def read(manifests: Any) -> list[Any]:
    """Return the objects of a list, or of documents of YAML of which empty ones don't count.

    Raises `ValueError` in words for its author where they can't be read.
    """
    if not isinstance(manifests, str):
        return list(manifests)
    try:
        found = [one for one in bounded_yaml.load_all(manifests, MOST + 1) if one is not None]
        bounded_yaml.check_bounds(found, keys=(str,))
    except bounded_yaml.Unbounded as error:
        raise ValueError("They are too many or too large, or nested too deeply.") from error
    except bounded_yaml.NotPlain as error:
        raise ValueError(f"They hold a {error}, which JSON has not.") from error
    except yaml.MarkedYAMLError as error:  # its words may quote a Secret: only the place is told
        mark = error.problem_mark
        at = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        raise ValueError(f"They are no YAML that can be read: a fault{at}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError("They are no YAML.") from error
    return found


def faults(spec: Mapping[str, Any], *, anywhere: bool = False) -> list[FieldError]:
    """Return what is wrong with the manifests of a spec, or of a change of one; types aside."""
    found, seen = [], set()
    count, size = 0, 0
    for field in (_MANIFESTS, SECRETS):
        given = spec.get(field)
        if not isinstance(given, str | Sequence) or (field == SECRETS and isinstance(given, str)):
            continue
        try:
            objects = read(given)
        except ValueError as error:
            found.append(FieldError(detail=str(error), pointer=pointer(field)))
            continue
        count, size = count + len(objects), size + len(msgspec.json.encode(objects))
        for index, one in enumerate(objects):
            places = list(_faults_of(one, secret=field == SECRETS, anywhere=anywhere))
            if not places and (known := _identity(one)) in seen:
                places.append((("metadata", "name"), "There is another one of this name."))
            elif not places:
                seen.add(known)
            found += [_fault(field, given, (index, *at), words) for at, words in places]
    if count > MOST or size > MOST_BYTES:
        words = f"They are {count} objects of {size} bytes; at most {MOST} of {MOST_BYTES} will do."
        found.append(FieldError(detail=words, pointer=pointer(_MANIFESTS)))
    return found[:MAX_ERRORS]


def prepared(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a good spec, or change of one, with its manifests as objects and its Secrets apart."""
    if spec.get(_MANIFESTS) is None:
        return spec
    objects = read(spec[_MANIFESTS])
    secrets = [*(one for one in objects if is_secret(one)), *(spec.get(SECRETS) or ())]
    shown = {**spec, _MANIFESTS: [one for one in objects if not is_secret(one)]}
    return {**shown, SECRETS: secrets} if secrets else shown


def unprepared(spec: Mapping[str, Any]) -> list[FieldError]:
    """Return what `prepared` would have done and nobody has: a text is read, Secrets are sealed."""
    given, at = spec.get(_MANIFESTS), pointer(_MANIFESTS)
    if isinstance(given, str):
        return [FieldError(detail="By the bus it must be a list of objects.", pointer=at)]
    found = enumerate(given or ())
    words = f"A Secret must not travel in the clear: send it sealed, in sealed_{SECRETS}."
    secret = [index for index, one in found if isinstance(one, Mapping) and is_secret(one)]
    return [FieldError(detail=words, pointer=at + pointer(index)) for index in secret[:MAX_ERRORS]]


def is_secret(one: Mapping[str, Any]) -> bool:
    """Tell whether an object is meant as a Secret, whatever version it says it is of."""
    return str(one.get("kind")).casefold() in _SECRET_KINDS


def _fault(field: str, given: Any, at: _Place, words: str) -> FieldError:
    """Of documents in a text no pointer leads into, so the words say which field it is."""
    if isinstance(given, str):
        index, *names = at
        path = f"{field}[{index}]" + "".join(f".{name}" for name in names)
        return FieldError(detail=f"{path}: {words}", pointer=pointer(field))
    return FieldError(detail=words, pointer=pointer(field, *at))


def _identity(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Whatever version it is asked for in, it is one object."""
    api, kind = one["apiVersion"], one["kind"]
    group = api.rpartition("/")[0]
    group = _MOVED.get(kind, group) if group == "extensions" else group
    return group, kind, one["metadata"].get("namespace") or "", one["metadata"]["name"]


def _faults_of(one: Any, *, secret: bool, anywhere: bool) -> Iterator[tuple[_Place, str]]:
    if not isinstance(one, Mapping):
        yield (), "It is no object of Kubernetes."
        return
    if not all(isinstance(name, str) for name in one):
        yield (), "Its fields have names that are no texts."
        return
    api, kind = one.get("apiVersion"), one.get("kind")
    if not isinstance(api, str) or not _API_VERSION.fullmatch(api):
        yield ("apiVersion",), "It must be a version such as v1 or apps/v1."
    elif not isinstance(kind, str) or not _KIND.fullmatch(kind):
        yield ("kind",), "It must be a kind such as Deployment."
    else:
        yield from _kind_faults(api, kind, secret=secret, anywhere=anywhere)
        if is_secret(one):
            yield from _secret_faults(one)
    yield from _metadata_faults(one, anywhere=anywhere)


def _kind_faults(
    api: str, kind: str, *, secret: bool, anywhere: bool
) -> Iterator[tuple[_Place, str]]:
    group = api.partition("/")[0] if "/" in api else ""
    if secret and (api, kind) != ("v1", "Secret"):
        yield ("kind",), "Here are only objects of the kind Secret, of v1."
    elif kind.casefold() in _SECRET_KINDS and (api, kind) != ("v1", "Secret"):
        yield ("kind",), "A Secret is of v1; one of another version would travel in the clear."
    elif kind.endswith("List"):
        yield ("kind",), "Give what is in a list one by one."
    elif (
        not anywhere and kind in _WHOLE_CLUSTER and ("." not in group or group.endswith(".k8s.io"))
    ):
        yield ("kind",), f"A {kind} is of the whole cluster; an app has what is in its namespace."


def _metadata_faults(one: Mapping[str, Any], *, anywhere: bool) -> Iterator[tuple[_Place, str]]:
    metadata = one.get("metadata")
    if not isinstance(metadata, Mapping):
        yield ("metadata",), "It must be an object with a name in it."
        return
    name = metadata.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield ("metadata", "name"), "It must be a name of Kubernetes."
    elif (one.get("kind"), name) == ("ConfigMap", INVENTORY):
        yield ("metadata", "name"), "This one is Colobus' own."
    elif one.get("kind") == "Namespace" and is_id(name, "app"):
        yield ("metadata", "name"), "An app's own namespace bears such a name."
    namespace = metadata.get("namespace")
    if namespace is not None and not anywhere:
        words = "Leave it out: an app has a namespace of its own, and nothing in others."
        yield ("metadata", "namespace"), words
    elif namespace is not None and not _is_other_namespace(namespace):
        words = "It must be a namespace, and no app's own; left out it is this app's."
        yield ("metadata", "namespace"), words
    for field in _OF_THE_CLUSTER:
        if metadata.get(field) is not None:
            yield ("metadata", field), "Leave it out: it is what a cluster has said of the object."
    labels = metadata.get("labels")
    if labels is not None and not isinstance(labels, Mapping):
        yield ("metadata", "labels"), "They must be an object."


def _is_other_namespace(namespace: Any) -> bool:
    good = isinstance(namespace, str) and _NAMESPACE.fullmatch(namespace) is not None
    return good and not is_id(namespace, "app")


def _secret_faults(one: Mapping[str, Any]) -> Iterator[tuple[_Place, str]]:
    """Before a cluster is asked, whose refusal would quote them."""
    for field, is_good, words in (
        ("data", _is_base64, "Its values must be texts in base64."),
        ("stringData", lambda value: isinstance(value, str), "Its values must be texts."),
    ):
        values = one.get(field)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            yield (field,), "It must be an object."
        elif not all(value is None or is_good(value) for value in values.values()):
            yield (field,), words


def _is_base64(value: Any) -> bool:
    try:
        return isinstance(value, str) and base64.b64decode(value, validate=True) is not None
    except (binascii.Error, ValueError):
        return False
