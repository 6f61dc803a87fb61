"""The clusters' door: the only file that imports kubernetes_asyncio.

Old API servers are asked too, so only what version 1 of the API has is used.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import aiohttp
from kubernetes_asyncio import client
from kubernetes_asyncio.client.api_client import ApiClient
from kubernetes_asyncio.client.exceptions import ApiException

from services.k8s_worker.backend import Access, Look, Node, Unanswered

#: Seconds to connect and to read: of what is always small, and of lists.
_QUICK: dict[str, Any] = {"_request_timeout": (5.0, 5.0)}
_BOUNDS: dict[str, Any] = {"_request_timeout": (5.0, 15.0)}
#: Labels that a node of the control plane has, by the words of its age.
_CONTROL_PLANE = ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane")
#: How much of a node's reason is told.
_LONGEST = 200


class KubernetesApi:
    """`services.k8s_worker.backend.ApiServer`; made inside a running loop."""

    def __init__(self, access: Access) -> None:
        self._address = access.address
        self._closed = False
        settings = client.Configuration(host=access.address)
        settings.retries = 0
        with ExitStack() as files:
            settings.ssl_ca_cert = files.enter_context(_in_memory(access.authority))
            # One file has both, as OpenSSL takes it.
            both = access.certificate + "\n" + access.key
            settings.cert_file = files.enter_context(_in_memory(both))
            self._api = ApiClient(settings)  # reads the files
        self._core = client.CoreV1Api(self._api)

    async def look(self) -> Look:
        """GET /version and /api/v1/nodes."""
        with self._answering():
            version = await client.VersionApi(self._api).get_code(**_QUICK)
            found = await self._core.list_node(**_BOUNDS)
        workers = (_node(one) for one in found.items if not _is_control_plane(one))
        return Look(str(version.git_version), tuple(sorted(workers, key=lambda one: one.name)))

    async def drain(self) -> list[str]:
        """DELETE Services of type LoadBalancer, claims of volumes, and pods that use those.

        A claim stays while a pod uses it (pvc-protection); a pod that is made anew can't have one
        that is going. A volume goes with its claim where its own policy says so.
        """
        with self._answering():
            services = await self._core.list_service_for_all_namespaces(**_BOUNDS)
            claims = await self._core.list_persistent_volume_claim_for_all_namespaces(**_BOUNDS)
            volumes = await self._core.list_persistent_volume(**_BOUNDS)
            balancers = [one for one in services.items if one.spec.type == "LoadBalancer"]
            for one in balancers:
                await self._delete(self._core.delete_namespaced_service, one)
            for one in claims.items:
                await self._delete(self._core.delete_namespaced_persistent_volume_claim, one)
            if claims.items:
                for pod in await self._users_of_claims():
                    await self._delete(self._core.delete_namespaced_pod, pod)
        going = [
            one for one in volumes.items if one.spec.persistent_volume_reclaim_policy == "Delete"
        ]
        return [
            *(_name("Service", one) for one in balancers),
            *(_name("PersistentVolumeClaim", one) for one in claims.items),
            *(f"PersistentVolume {one.metadata.name}" for one in going),
        ]

    async def _users_of_claims(self) -> list[Any]:
        pods = await self._core.list_pod_for_all_namespaces(**_BOUNDS)
        return [
            pod
            for pod in pods.items
            if any(volume.persistent_volume_claim for volume in pod.spec.volumes or ())
        ]

    async def _delete(self, delete: Any, one: Any) -> None:
        """Once; it may be gone. Old servers answer with another object than the client knows."""
        if one.metadata.deletion_timestamp is not None:
            return
        meta = one.metadata
        answer = await delete(meta.name, meta.namespace, _preload_content=False, **_BOUNDS)
        body = await answer.read()
        if answer.status >= 400 and answer.status != 404:
            raise ApiException(
                status=answer.status, reason=body.decode(errors="replace")[:_LONGEST]
            )

    async def close(self) -> None:
        """Close its connections; calls that are under way end as unanswered."""
        self._closed = True
        await self._api.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Everything that a call raises becomes `Unanswered`."""
        try:
            yield
        except ApiException as error:
            raise self._refused(error) from error
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
            untrusted = isinstance(error, aiohttp.ClientSSLError | ssl.SSLError)
            raise Unanswered(self._words(error), refused=untrusted) from error
        except RuntimeError as error:  # aiohttp's, of a session that somebody has closed
            if not self._closed:
                raise
            raise Unanswered(self._words(error)) from error

    def _refused(self, error: ApiException) -> Unanswered:
        refused = error.status in (401, 403)
        what = "refuses our certificate" if refused else "answers"
        return Unanswered(
            f"The API server at {self._address} {what} ({error.status} {error.reason}).",
            refused=refused,
        )

    def _words(self, error: Exception) -> str:
        at = f"The API server at {self._address}"
        if isinstance(error, asyncio.TimeoutError):
            return f"{at} does not answer in time."
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return f"{at} shows no certificate of its cluster's authority, or does not take ours."
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"{at} can't be reached."
        return f"{at} broke off."


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Provide a file for libraries that read secrets from files alone; it is on no disk."""
    handle = os.memfd_create("access", os.MFD_CLOEXEC)
    try:
        os.write(handle, text.encode())
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _name(kind: str, one: Any) -> str:
    return f"{kind} {one.metadata.namespace}/{one.metadata.name}"


def _is_control_plane(node: Any) -> bool:
    labels = node.metadata.labels or {}
    return any(label in labels for label in _CONTROL_PLANE)


def _node(shown: Any) -> Node:
    ready = next((one for one in shown.status.conditions or () if one.type == "Ready"), None)
    addresses = {one.type: one.address for one in shown.status.addresses or ()}
    is_ready = ready is not None and ready.status == "True"
    words = "it has not reported yet" if ready is None else ready.message or ready.reason or ""
    return Node(
        name=shown.metadata.name,
        ready=is_ready,
        address=addresses.get("InternalIP", ""),
        reason="" if is_ready else words[:_LONGEST],
    )
