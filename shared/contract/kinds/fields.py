"""What one field of a spec or a body may hold."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

#: Ends every pattern: Python's ``$`` also matches before a last line feed, ECMAScript's doesn't.
_END = r"$(?!\n)"
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?" + _END,
        description="1-63 letters, digits, '.', '_', '-'; first and last a letter or digit",
    ),
]
LabelKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?" + _END)]
#: No control characters: PostgreSQL can't store NUL, and nobody can read the others.
LabelValue = Annotated[str, Meta(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*" + _END)]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)]
Seconds = Annotated[int, Meta(ge=1, le=30 * 86400, description="seconds, 1 s to 30 days")]
MakingSeconds = Annotated[int, Meta(ge=1, le=86400, description="seconds for the making")]
CallbackUrl = Annotated[str, Meta(min_length=1, max_length=2048)]
#: A name or id of something in the cloud (image, flavor, network, security group).
CloudName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+" + _END)]
SshKey = Annotated[
    str,
    Meta(
        max_length=16384,
        pattern=r"^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)"
        r"|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/=]+( [^\x00\r\n]*)?"
        + _END,
        description="one OpenSSH public key, as in authorized_keys",
    ),
]
UserData = Annotated[str, Meta(min_length=1, max_length=49152)]
Arch = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}" + _END)]
#: A GiB in bytes.
GIB = 1 << 30
#: At most 64 TiB.
SizeGib = Annotated[int, Meta(ge=1, le=65536, description="GiB")]
_ULID = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
VolumeId = Annotated[str, Meta(pattern="^volume-" + _ULID + _END, description="the id of a volume")]
SnapshotId = Annotated[
    str, Meta(pattern="^snapshot-" + _ULID + _END, description="the id of a snapshot")
]
MachineId = Annotated[
    str, Meta(pattern="^machine-" + _ULID + _END, description="the id of a machine")
]
ClusterId = Annotated[
    str, Meta(pattern="^cluster-" + _ULID + _END, description="the id of a cluster")
]
#: RFC 3720 §3.2.6.3: lower case after normalisation, 223 bytes at most.
InitiatorIqn = Annotated[
    str,
    Meta(
        max_length=223,
        pattern=r"^(iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-z0-9.-]+(:[a-z0-9.:-]+)?"
        r"|eui\.[0-9a-f]{16}|naa\.([0-9a-f]{16}|[0-9a-f]{32}))" + _END,
        description="an iSCSI initiator's name, in lower case: iqn., eui. or naa. (RFC 3720)",
    ),
]
#: A name in a template of Heat's.
ParameterName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,255}" + _END)]
TemplateText = Annotated[
    str, Meta(min_length=1, max_length=131072, description="a HOT template in YAML or JSON")
]
StackSeconds = Annotated[int, Meta(ge=60, le=3600, description="seconds, in whole minutes of Heat")]
#: How many workers a cluster may have.
NodeCount = Annotated[int, Meta(ge=1, le=1000, description="worker nodes")]
KubernetesVersion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,2}\.[0-9]{1,3}(\.[0-9]{1,3})?" + _END,
        description="a version of Kubernetes: 1.20, or 1.20.2 to the letter",
    ),
]
Manifests = (
    Annotated[
        str, Meta(min_length=1, max_length=262144, description="documents of YAML, '---' between")
    ]
    | Annotated[
        tuple[dict[str, Any], ...], Meta(max_length=100, description="objects of Kubernetes")
    ]
)
SecretManifests = Annotated[
    tuple[dict[str, Any], ...], Meta(max_length=100, description="objects of the kind Secret")
]
ContainerImage = Annotated[
    str, Meta(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*" + _END)
]
Port = Annotated[int, Meta(ge=1, le=65535, description="a TCP port of the container")]
Replicas = Annotated[int, Meta(ge=0, le=1000)]
#: RFC 1123, with a star for a whole domain, as an Ingress takes it.
HostName = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
        r"(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*" + _END,
        description="a DNS name in lower case",
    ),
]
