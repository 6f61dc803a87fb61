"""One coroutine a route; `services.front_door.routes` is the table that names them all."""
