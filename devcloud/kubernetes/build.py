"""Build Kubernetes' programs from Debian's source package: about ten minutes of two processors.

Debian has only Kubernetes' client as a package, but all of its source. What is built is in the
cache under the name of this recipe and shared by all clouds. An interrupted build is begun anew.

CHANGED against Debian's source, and nothing else: a library that crashes when it is built with a
Go of today is taken in the version that Debian has of it as a package; a hollow kubelet listens on
loopback alone, tells that its node is ready after one second instead of ten, has its files and the
socket of its containers in the folder that it is started in (all on a machine had one socket, and
so each other's containers), and does without the kernel's log, which few may read.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from devcloud.images import debs
from devcloud.images.archive import OWN, lists_of
from devcloud.packages import DebianPackages
from devcloud.site import Site

#: What is built: the control plane, and the nodes, which have no containers (`hollow`).
BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubemark")
TOOLS = ("dpkg-dev", "golang-1.19-go", "make", "rsync")
GO = Path("/usr/lib/go-1.19/bin")
SOURCE, VERSION = "kubernetes", "1.20.2"
LIBRARY, LIBRARY_PACKAGE = "github.com/modern-go/reflect2", "golang-github-modern-go-reflect2-dev"
OUR_FOLDER = "/proc/self/cwd"
#: By file: what is replaced by what.
CHANGES = {
    "pkg/kubemark/hollow_kubelet.go": {
        'c.Address = "0.0.0.0"': 'c.Address = "127.0.0.1"',
        "c.NodeStatusUpdateFrequency.Duration = 10 * time.Second": (
            "c.NodeStatusUpdateFrequency.Duration = 1 * time.Second"
        ),
        'MakeTempDirOrDie("hollow-kubelet.", "")': (
            f'MakeTempDirOrDie("hollow-kubelet.", "{OUR_FOLDER}")'
        ),
    },
    "pkg/kubelet/cri/remote/fake/endpoint.go": {
        "unix:///tmp/kubelet_remote.sock": f"unix://{OUR_FOLDER}/kubelet_remote.sock"
    },
    "pkg/kubelet/kubelet.go": {
        (
            "oomWatcher, err := oomwatcher.NewWatcher(kubeDeps.Recorder)\n"
            "\tif err != nil {\n\t\treturn nil, err\n"
        ): (
            "oomWatcher, err := oomwatcher.NewWatcher(kubeDeps.Recorder)\n"
            '\tif err != nil {\n\t\tklog.Warningf("the kernel\'s log: %v", err)\n'
        ),
        "if err := kl.oomWatcher.Start(kl.nodeRef); err != nil {": (
            "if kl.oomWatcher == nil {\n"
            "\t} else if err := kl.oomWatcher.Start(kl.nodeRef); err != nil {"
        ),
    },
}
#: What the programs say they are; the source package has no Git to tell.
TOLD = {
    "gitVersion": f"v{VERSION}",
    "gitMajor": "1",
    "gitMinor": "20",
    "gitTreeState": "archive",
}
VERSION_PACKAGES = (
    "k8s.io/kubernetes/vendor/k8s.io/component-base/version",
    "k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version",
)
#: To be raised when the steps below change what comes out.
REVISION = 1
Tell = Callable[[str], None]


class SourceChanged(RuntimeError):
    """Debian's source is not what this recipe knows."""


def built_path(site: Site) -> Path:
    """Return the folder where the built programs are, or will be."""
    inputs = (REVISION, BUILT, LIBRARY_PACKAGE, CHANGES, TOLD, VERSION_PACKAGES)
    digest = hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]
    return site.paths.cache / f"kubernetes-{platform.machine()}-{digest}"


def build(site: Site, tell: Tell) -> Path:
    """Return the folder with the programs, having built them unless they are there.

    Args:
        site: The cloud; the log is `kubernetes`.
        tell: Told what is being done.
    """
    final = built_path(site)
    with (site.paths.cache / "kubernetes.lock").open("w") as lock:
        tell("waiting for another build")
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = final.with_name(final.name + ".building")
        shutil.rmtree(folder, ignore_errors=True)
        if not final.is_dir():
            folder.mkdir()
            Build(site, folder, tell).run().rename(final)
            shutil.rmtree(folder)
    return final


class Build:
    """One build, in an empty folder."""

    def __init__(self, site: Site, folder: Path, tell: Tell) -> None:
        self._site = site
        self._folder = folder
        self._tell = tell
        self._gopath = folder / "go"
        self._source = self._gopath / "src" / "k8s.io" / "kubernetes"

    def run(self) -> Path:
        """Return the folder of the programs."""
        tools = DebianPackages(TOOLS)
        if not tools.installed(self._site):
            self._tell("installing Go")
            tools.install(self._site)
        self._tell("fetching the source")
        self._fetch()
        self._change()
        self._tell("generating code")
        self._make_generated_files()
        programs = self._folder / "programs"
        programs.mkdir()
        for number, name in enumerate(BUILT, start=1):
            self._tell(f"building {name} ({number} of {len(BUILT)})")
            self._go_build(name, programs / name)
        return programs

    def _fetch(self) -> None:
        options = lists_of(self._folder / "apt", OWN, sources=True)
        self._run("apt-get", "-qq", "source", "--download-only", SOURCE, *options)
        (description,) = self._folder.glob(f"{SOURCE}_*.dsc")
        self._source.parent.mkdir(parents=True)
        self._run("dpkg-source", "--no-check", "-x", description.name, str(self._source))
        found = debs.resolve([LIBRARY_PACKAGE], options)
        library = self._folder / "library"
        library.mkdir()
        root = debs.unpack(found, library, options)
        target = self._source / "vendor" / LIBRARY
        for file in [*target.glob("*.go"), *target.glob("*.s")]:
            file.unlink()
        for file in (root / "usr/share/gocode/src" / LIBRARY).glob("*.[gs]*"):
            shutil.copy(file, target)

    def _change(self) -> None:
        for name, changes in CHANGES.items():
            file = self._source / name
            text = file.read_text()
            for old, new in changes.items():
                if old not in text:
                    raise SourceChanged(f"{name} has no {old!r}")
                text = text.replace(old, new)
            file.write_text(text)

    def _make_generated_files(self) -> None:
        version = self._folder / "version"
        version.write_text(
            "KUBE_GIT_COMMIT='debian'\n"
            "KUBE_GIT_TREE_STATE='archive'\n"
            f"KUBE_GIT_VERSION='v{VERSION}'\n"
            "KUBE_GIT_MAJOR='1'\n"
            "KUBE_GIT_MINOR='20'\n"
        )
        self._run(
            "make",
            "generated_files",
            cwd=self._source,
            GO111MODULE="",
            KUBE_GIT_VERSION_FILE=str(version),
        )

    def _go_build(self, name: str, target: Path) -> None:
        settings = [
            f"-X {p}.{key}={value}" for p in VERSION_PACKAGES for key, value in TOLD.items()
        ]
        link = ["-ldflags", " ".join(["-s", "-w", *settings])]
        command = ["go", "build", "-trimpath", "-p", "2", *link, "-o", str(target)]
        # Without modules: a Go of today finds the go.mod of then in need of updates.
        self._run(
            *command,
            f"k8s.io/kubernetes/cmd/{name}",
            cwd=self._source,
            GO111MODULE="off",
            GOPATH=str(self._gopath),
        )

    def _run(self, *argv: str, cwd: Path | None = None, **variables: str) -> None:
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": f"{GO}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "CGO_ENABLED": "0",
            "GOCACHE": str(self._folder / "cache"),
            "GOFLAGS": "",
            "GOPROXY": "off",
            "GOMAXPROCS": "2",
            **variables,
        }
        self._site.tools.run(
            "kubernetes",
            ["nice", "-n", "19", *argv],
            as_caller=True,
            environment=environment,
            cwd=cwd or self._folder,
        )
