"""Where machines' systems phone home: the one door of this worker that they can reach.

What is heard becomes a note on the machine's root disk, which is made anew for each machine and
goes with it: so it is kept where every replica sees it, and told by the next inspection. Whoever
asks for anything else, or with a token that isn't the machine's, finds nothing here.
"""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from services.iscsi_worker.backend import RbdBackend, Stores
from services.iscsi_worker.names import PHONED_HOME, Names
from services.iscsi_worker.phone import PATH, Phone
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError
from shared.worker.errors import NotFound

#: What comes with it is not read; cloud-init sends less.
_LARGEST_BODY = 1 << 16
#: Whoever has a machine can call as often as he likes, and commands have the same threads.
_AT_ONCE = 4
#: How long one call may take, in seconds.
_SECONDS = 20.0
_log = structlog.stdlib.get_logger(__name__)


def phone_home_app(phone: Phone, names: Names, stores: Stores) -> web.Application:
    """Return the application: ``POST /phone-home/<store>/<tenant>/<machine>/<token>``.

    204 when it is noted, as often as it comes; 404; 503 when the store can't be asked, or too many
    call at once: then the system tries again.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def phone_home(request: web.Request) -> web.Response:
        of = request.match_info
        store, tenant, machine = of["store"], of["tenant"], of["machine"]
        of_ours = phone.is_token(of["token"], store, tenant, machine)
        if not of_ours or store not in stores.names:
            raise web.HTTPNotFound
        if places.locked():
            raise web.HTTPServiceUnavailable(text="too many call at once\n")
        try:
            async with places:
                rbd = stores.store(store, Deadline.after(_SECONDS)).rbd
                await _note(rbd, names.image(tenant, machine), machine)
        except NotFound as error:
            raise web.HTTPNotFound from error
        except ColobusError as error:
            raise web.HTTPServiceUnavailable(text=f"{error.detail}\n") from error
        _log.info("phoned home", resource_id=machine, tenant=tenant, store=store)
        return web.Response(status=204)

    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_post(f"{PATH}/{{store}}/{{tenant}}/{{machine}}/{{token}}", phone_home)
    return app


async def _note(rbd: RbdBackend, disk: str, machine: str) -> None:
    """Written once: whoever calls on only looks, and keeps nobody from the disk. `NotFound`."""
    image = await rbd.image(disk)
    if image is None:
        raise NotFound("This machine is gone.")
    if image.notes.get(PHONED_HOME) != machine:
        await rbd.note(disk, PHONED_HOME, machine)
