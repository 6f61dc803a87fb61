"""Where machines' systems phone home: the one door of this worker that they can reach.

What is heard becomes a note on the machine's root disk, which is made anew for each machine and
goes with it: so it is kept where every replica sees it, and told by the next inspection. Whoever
asks for anything else, or with a token that isn't the machine's, finds nothing here.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from aiohttp import web

from services.iscsi_worker.backend import Stores
from services.iscsi_worker.names import PHONED_HOME, Names
from services.iscsi_worker.phone import PATH, Phone
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ColobusError, PermanentError

#: What comes with it is not read; cloud-init sends less.
_LARGEST_BODY = 1 << 16
#: How long one call may take, in seconds.
_SECONDS = 20.0
_log = structlog.stdlib.get_logger(__name__)


def phone_home_app(phone: Phone, names: Names, stores: Stores) -> web.Application:
    """Return the application: ``POST /phone-home/<store>/<tenant>/<machine>/<token>``.

    204 when it is noted, as often as it comes; 404; 503 when the store can't be asked: then the
    system tries again.
    """

    async def phone_home(request: web.Request) -> web.Response:
        of = request.match_info
        store, tenant, machine = of["store"], of["tenant"], of["machine"]
        if not phone.is_token(of["token"], store, tenant, machine):
            raise web.HTTPNotFound
        try:
            rbd = stores.store(store, Deadline.after(_SECONDS)).rbd
            name, at = names.image(tenant, machine), datetime.now(UTC).isoformat()
            await rbd.note(name, PHONED_HOME, at)
        except PermanentError as error:  # the machine is gone, or the store is
            raise web.HTTPNotFound from error
        except ColobusError as error:
            raise web.HTTPServiceUnavailable(text=f"{error.detail}\n") from error
        _log.info("phoned home", resource_id=machine, tenant=tenant, store=store)
        return web.Response(status=204)

    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_post(f"{PATH}/{{store}}/{{tenant}}/{{machine}}/{{token}}", phone_home)
    return app
