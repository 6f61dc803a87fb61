"""``python -m services.k8s_worker``."""

from services.k8s_worker.kit import WORKER
from services.k8s_worker.wiring import wire
from shared.runtime.service import run

if __name__ == "__main__":
    run(WORKER, wire)
