"""The parts of the developer cloud; `COMPONENTS` is their table."""

from __future__ import annotations

from devcloud.component import Component
from devcloud.components.bare_metal import Arm64BareMetal, BareMetal
from devcloud.components.bmc import Arm64Bmc, Bmc
from devcloud.components.catalog import Catalog
from devcloud.components.ceph import Ceph, CephMon, CephOsd
from devcloud.components.ceph_iscsi import CephIscsi
from devcloud.components.cloud_rabbitmq import CloudRabbitMQ
from devcloud.components.colobus import ColobusInstall
from devcloud.components.colobus_services import (
    BaremetalWorker,
    FrontDoor,
    IscsiWorker,
    K8sWorker,
    Scheduler,
    StackWorker,
    VmWorker,
    WebhookReceiver,
    WebhookWorker,
)
from devcloud.components.glance import Glance, GlanceDatabase
from devcloud.components.golden_image import GoldenImage
from devcloud.components.heat import Heat, HeatApi, HeatDatabase, HeatEngine
from devcloud.components.ironic import Ironic, IronicDatabase
from devcloud.components.keystone import Keystone, KeystoneDatabase
from devcloud.components.kubernetes import Kubernetes, KubernetesBalancers, KubernetesClusters
from devcloud.components.magnum import Magnum, MagnumApi, MagnumConductor, MagnumDatabase
from devcloud.components.mariadb import MariaDB
from devcloud.components.neutron import Neutron, NeutronDatabase
from devcloud.components.nova import (
    Nova,
    NovaApi,
    NovaCompute1,
    NovaCompute2,
    NovaCompute3,
    NovaConductor,
    NovaDatabase,
    NovaScheduler,
)
from devcloud.components.octavia import Octavia, OctaviaApi, OctaviaDatabase, OctaviaWorker
from devcloud.components.placement import Placement, PlacementDatabase
from devcloud.components.postgresql import PostgreSQL
from devcloud.components.provisioning_network import ProvisioningNetwork
from devcloud.components.rabbitmq import RabbitMQ
from devcloud.components.second_cloud import SecondCloud
from devcloud.components.tgt import Tgt

COMPONENTS: tuple[type[Component], ...] = (
    # What Colobus itself stands on.
    RabbitMQ,
    PostgreSQL,
    # What OpenStack stands on.
    MariaDB,
    CloudRabbitMQ,
    # OpenStack.
    KeystoneDatabase,
    Keystone,
    PlacementDatabase,
    Placement,
    GlanceDatabase,
    Glance,
    NeutronDatabase,
    Neutron,
    NovaDatabase,
    NovaApi,
    NovaConductor,
    NovaScheduler,
    NovaCompute1,
    NovaCompute2,
    NovaCompute3,
    Nova,
    # Tenants, users, images, flavors, the external network.
    Catalog,
    SecondCloud,
    # Stacks.
    HeatDatabase,
    HeatApi,
    HeatEngine,
    Heat,
    # Load balancers.
    OctaviaDatabase,
    OctaviaApi,
    OctaviaWorker,
    Octavia,
    # Volumes, and who offers them over iSCSI.
    CephMon,
    CephOsd,
    Ceph,
    GoldenImage,
    Tgt,
    CephIscsi,
    # Bare metal.
    ProvisioningNetwork,
    Bmc,
    IronicDatabase,
    Ironic,
    BareMetal,
    Arm64Bmc,
    Arm64BareMetal,
    # Kubernetes clusters.
    Kubernetes,
    KubernetesClusters,
    MagnumDatabase,
    MagnumApi,
    MagnumConductor,
    Magnum,
    KubernetesBalancers,
    # Colobus.
    ColobusInstall,
    FrontDoor,
    Scheduler,
    VmWorker,
    IscsiWorker,
    BaremetalWorker,
    K8sWorker,
    StackWorker,
    WebhookWorker,
    WebhookReceiver,
)
