"""``python -m services.front_door``."""

from services.front_door.wiring import NAME, wire
from shared.runtime.service import run

if __name__ == "__main__":
    run(NAME, wire)
