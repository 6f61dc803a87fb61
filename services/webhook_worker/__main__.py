"""``python -m services.webhook_worker``."""

from services.webhook_worker.wiring import NAME, wire
from shared.runtime.service import run

if __name__ == "__main__":
    run(NAME, wire)
