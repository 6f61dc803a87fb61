"""A board management controller for all machines: sushy-tools' Redfish emulator.

WHAT IS REPLACED: the emulator's driver, by one that switches the machines of
`colobus_devcloud_machines`. It answers at the socket that it was given (see devcloud's `Daemon`),
which was opened outside of the provisioning network, while it and the machines are inside.
"""

import json
import os
import sys
import threading
from pathlib import Path

import bcrypt
import werkzeug.serving
from colobus_devcloud_machines import Hardware, MachineFailed, pid, power_off, power_on
from sushy_tools import error
from sushy_tools.emulator import main
from sushy_tools.emulator.resources.systems import fakedriver

LISTENER = "DEVCLOUD_LISTENER"


class Driver(fakedriver.FakeDriver):
    """Power is what the processes say; boot device and mode are the emulator's own records."""

    hardware: dict[str, Hardware]
    switching = threading.Lock()

    def get_power_state(self, identity):
        """Return what is."""
        return "On" if pid(self.hardware[self.uuid(identity)]) else "Off"

    def set_power_state(self, identity, state):
        """Switch at once, and answer when it is done."""
        machine = self.hardware[self._get(identity)["uuid"]]
        if state not in ("On", "ForceOn", "ForceOff", "GracefulShutdown", *RESTARTS):
            raise error.NotSupportedError(f"no reset of type {state}")
        with self.switching:
            try:
                if state not in ("On", "ForceOn"):
                    power_off(machine)
                if state in ("On", "ForceOn", *RESTARTS):
                    power_on(machine, self.get_boot_device(identity) in ("Pxe", "UefiHttp"))
            except MachineFailed as failure:
                raise error.FishyError(str(failure)) from failure


RESTARTS = ("ForceRestart", "GracefulRestart", "PowerCycle")


def serve(settings):
    """Answer until ended."""
    Driver.hardware = {m["system_id"]: Hardware(**m) for m in settings["machines"]}
    fakedriver.FakeDriver = Driver
    passwords = Path(settings["folder"]) / "passwords"
    secret = bcrypt.hashpw(settings["password"].encode(), bcrypt.gensalt(4)).decode()
    passwords.write_text(f"{settings['user']}:{secret}\n")
    systems = [
        {
            "uuid": machine.system_id,
            "name": machine.name,
            "power_state": "Off",
            "boot_mode": "UEFI" if machine.arch == "aarch64" else "Legacy",
            "nics": [{"mac": machine.mac, "ip": ""}],
        }
        for machine in Driver.hardware.values()
    ]
    main.app.configure(
        extra_config={
            "SUSHY_EMULATOR_FAKE_DRIVER": True,
            "SUSHY_EMULATOR_FAKE_SYSTEMS": systems,
            "SUSHY_EMULATOR_STATE_DIR": settings["folder"],
            "SUSHY_EMULATOR_AUTH_FILE": str(passwords),
        }
    )
    listener = int(os.environ[LISTENER])
    server = werkzeug.serving.make_server("127.0.0.1", 0, main.app, threaded=True, fd=listener)
    server.serve_forever()


if __name__ == "__main__":
    serve(json.loads(Path(sys.argv[1]).read_text()))
