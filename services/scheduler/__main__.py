"""``python -m services.scheduler``."""

from services.scheduler.wiring import wire
from shared.runtime.service import run

if __name__ == "__main__":
    run("scheduler", wire)
