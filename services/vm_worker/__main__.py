"""``python -m services.vm_worker``."""

from services.vm_worker.wiring import wire
from shared.runtime.service import run

if __name__ == "__main__":
    run("vm_worker", wire)
