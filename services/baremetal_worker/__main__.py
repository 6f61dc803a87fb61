"""``python -m services.baremetal_worker``."""

from services.baremetal_worker.wiring import wire
from shared.runtime.service import run

if __name__ == "__main__":
    run("baremetal_worker", wire)
