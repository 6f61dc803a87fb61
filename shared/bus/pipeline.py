"""One channel with confirms, and its messages on their way.

aiormq publishes one message by one write, and waits under two locks; where many are published at
once that is most of what publishing costs. Here all that is published in one turn of the event
loop is written together. What aiormq keeps for a confirm (delivery tag, future, message id) is
kept as it expects it, so that its reader does the rest.
"""

from __future__ import annotations

import asyncio

import aiormq
from aiormq.abc import ChannelFrame

from shared.bus.connection import ChannelGone, broker_errors

#: How long the last confirms of a channel that is given up may take, and its closing: seconds.
_FINISHING_SECONDS, _CLOSING_SECONDS = 30.0, 5.0


class Pipeline:
    """A channel on which nobody publishes but this; made while it is open."""

    def __init__(self, channel: aiormq.Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        #: What this turn of the loop wants written; emptied only into aiormq's queue.
        self._unsent: list[bytes] = []
        self._delayed: asyncio.Future[None] | None = None
        self._by_id: dict[str, asyncio.Future[object]] = {}
        # aiormq rejects it with the reason, as it does with the calls under way.
        self._lost = channel.create_future()
        self._lost.add_done_callback(self._fail_all)
        self._opened_at = self._loop.time()

    @property
    def age(self) -> float:
        """For how long it has been open, in seconds."""
        return self._loop.time() - self._opened_at

    async def finish(self) -> None:
        """Wait for what is under way, within bounds, then close; nothing new may be published."""
        pending = list(self._by_id.values())
        if pending:
            await asyncio.wait(pending, timeout=_FINISHING_SECONDS)
        async with asyncio.timeout(_CLOSING_SECONDS), broker_errors():
            await self._channel.close()

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be published here any more."""
        return self._lost.done() or self._channel.is_closed

    @property
    def number(self) -> int:
        """The channel's number, which all frames carry."""
        return self._channel.number

    @property
    def largest_part(self) -> int:
        """How many bytes of a body one frame may carry."""
        return self._channel.max_content_size

    async def publish(self, frames: bytes, message_id: str) -> None:
        """Publish ``frames``, whose header carries ``message_id``, and wait for the confirm.

        One of an id at a time: a returned message is known by its id alone. Raises `ChannelGone`,
        `ChannelRefused`, or aiormq's DeliveryError or PublishError for a refused or returned one.
        """
        while (earlier := self._by_id.get(message_id)) is not None:
            await asyncio.wait([earlier])
        if self.is_closed:
            raise ChannelGone("the channel was closed")
        confirmation: asyncio.Future[object] = self._loop.create_future()
        tag = self._channel.delivery_tag = self._channel.delivery_tag + 1
        self._channel.confirmations[tag] = confirmation
        self._channel.message_id_delivery_tag[message_id] = tag
        self._by_id[message_id] = confirmation
        self._write(frames)
        try:
            async with broker_errors():
                await confirmation
        finally:
            del self._by_id[message_id]
            self._channel.message_id_delivery_tag.pop(message_id, None)

    def _write(self, frames: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frames)

    def _flush(self) -> None:
        """Hand over what has gathered; where aiormq's queue is full, wait for room in order."""
        if self.is_closed:
            return
        try:
            self._channel.write_queue.put_nowait(self._gathered())
        except asyncio.QueueFull:
            self._delayed = asyncio.ensure_future(self._flush_late())
        else:
            self._unsent.clear()

    async def _flush_late(self) -> None:
        # What comes meanwhile finds something unsent before it, and so waits for this.
        taken = len(self._unsent)
        putting = asyncio.ensure_future(self._channel.write_queue.put(self._gathered()))
        await asyncio.wait([putting, self._lost], return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()
            return
        del self._unsent[:taken]
        if self._unsent:
            self._flush()

    def _gathered(self) -> ChannelFrame:
        return ChannelFrame(payload=b"".join(self._unsent), should_close=False)

    def _fail_all(self, lost: asyncio.Future[object]) -> None:
        reason = None if lost.cancelled() else lost.exception()
        for confirmation in self._by_id.values():
            if confirmation.done():
                continue
            if reason is None:
                confirmation.cancel()
            else:
                confirmation.set_exception(reason)
