"""``python -m services.iscsi_worker``."""

from services.iscsi_worker.wiring import wire
from shared.runtime.service import run

if __name__ == "__main__":
    run("iscsi_worker", wire)
