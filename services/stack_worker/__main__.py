"""``python -m services.stack_worker``."""

from services.stack_worker.provisioner import WORKER
from services.stack_worker.wiring import wire
from shared.runtime.service import run

if __name__ == "__main__":
    run(WORKER, wire)
