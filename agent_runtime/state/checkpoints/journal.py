"""One log of this process: what comes at a time is written together, and checked against the head."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import ormsgpack
from pymongo import ReturnDocument

from agent_runtime.errors import ConflictError, FencedError, UnavailableError
from agent_runtime.state import fence
from agent_runtime.state.batch import Change
from agent_runtime.state.checkpoints import archive, story, subgraphs, tail
from agent_runtime.state.checkpoints.history import History
from agent_runtime.state.checkpoints.tail import Checkpointed, Draft, Tail, Written, place
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from agent_runtime.state.checkpoints.frame import Frame
    from agent_runtime.state.checkpoints.keys import LogKey
    from agent_runtime.state.checkpoints.site import Site

Entry = Checkpointed | Written

_LINGER = 0.003
"""Seconds that writes of tasks, and what is kept soon, wait for the checkpoint that most often follows at once."""
_TRIES = 5
_TRIMMED = 16
"""Checkpoints that are removed at a time, at least."""
_CONTENDED = "others write to the same thread all the time: let one write at a time"


@dataclass
class _Asked:
    entry: Entry
    epoch: int | None
    done: asyncio.Future[None]
    before: tuple[asyncio.Future[None], ...] = ()
    """Of what it goes with: it is not kept without that."""

    def refused(self) -> bool:
        """Whether what it goes with was not kept, by which it has failed as well."""
        ended = (one for one in self.before if one.done() and not one.cancelled())
        error = next((error for one in ended if (error := one.exception())), None)
        if error is not None and not self.done.done():
            self.done.set_exception(error)
        return error is not None


class Journal:
    """Adds to a log, one update at a time, and reads its newest part."""

    def __init__(self, key: LogKey, site: Site) -> None:
        self.key = key
        self.site = site
        self._name = key.head
        self.lock = asyncio.Lock()
        """Held by whoever reads or writes the head."""
        self._tail: Tail | None = None
        self._held: int | None = None
        """The epoch under which nobody else can have written since the tail was read."""
        self._asked: list[_Asked] = []
        self._soon: list[tuple[int, asyncio.Future[None]]] = []
        """Of what is kept soon, and nobody waits for yet; by the epochs of those who asked."""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._task is None and not self._asked and not self.lock.locked()

    @property
    def settled(self) -> bool:
        """Whether nothing is still to be kept soon."""
        return all(done.done() for _, done in self._soon)

    @property
    def size(self) -> int:
        """Bytes that are remembered, about."""
        known = self._tail
        return 2 * known.size + sum(value.size for value in known.values.values()) if known else 0

    async def add(self, entry: Entry, *, soon: bool = False) -> None:
        """Returns when the entry is kept; or `soon`, at once: it is kept with the next one, which fails where it does.

        Raises:
            FencedError: Another process has taken the thread.
            UnavailableError: MongoDB can't be used.
        """
        epoch = fence.epoch.get()
        # What failed for who held the thread before is no failure of who holds it now.
        before = tuple(done for held, done in self._soon if held == epoch)
        self._soon = [one for one in self._soon if one[0] > (epoch or 0)]
        for done in before:
            if done.done():
                done.result()
        asked = _Asked(entry, epoch, asyncio.get_running_loop().create_future(), before)
        self._asked.append(asked)
        if self._task is None:
            if isinstance(entry, Checkpointed) and not soon:
                self._begin()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_LINGER, self._begin)
        if soon and epoch is not None:
            asked.done.add_done_callback(_seen)
            self._soon += [(epoch, done) for done in (*before, asked.done)]
        else:
            await _all([*before, asked.done])

    async def settle(self) -> None:
        """Returns when what was to be kept soon is kept, or was not: that is told to who adds the next entry."""
        if waiting := [done for _, done in self._soon if not done.done()]:
            if self._timer is not None:
                self._begin()
            await asyncio.wait(waiting)

    async def current(self) -> Tail:
        """The log's newest part as it is now; takes no command while this context holds the thread."""
        await self.settle()
        mine = fence.epoch.get()
        async with self.lock:
            if self._tail is None or mine is None or self._held != mine:
                await self._load(mine)
            assert self._tail is not None  # noqa: S101 - loaded just now
            return self._tail

    async def rewrite(self, wanted: Callable[[Sequence[Frame]], Collection[str]], *, lasting: bool = False) -> None:
        """Keeps those checkpoints that `wanted` names of all, oldest first, and what they are made of.

        `lasting` leaves until the next time what the head no longer refers to, for dumps that are being made.

        Raises:
            FencedError: Another process has taken the thread.
            UnavailableError: MongoDB can't be used.
        """
        async with self.lock:
            for _ in range(_TRIES):
                epoch = fence.epoch.get()
                await self._load(epoch)
                before = self._tail
                assert before is not None  # noqa: S101 - loaded just now
                history = History(self.key, before, self.site.archive(self.key))
                frames = [frame async for frame in history.frames()][::-1]
                kept = story.kept(frames, wanted(frames))
                if len(kept) == len(frames) and all(map(operator.is_, kept, frames)):
                    return
                old = {digest for frame in frames for ref in frame.refs.values() for digest, _ in ref.blobs}
                told = await self._retell(before, await story.read(history, kept), epoch)
                if told is not None:
                    store = self.site.archive(self.key)
                    blobs = set(told.blobs) | (old if lasting else set())
                    await store.clear(before.floor if lasting else before.next, sorted(blobs))
                    return
        raise ConflictError(_CONTENDED)

    def teller(self, start: Tail | None = None) -> story.Teller:
        """Tells what a log is to be; `start` is empty."""
        return story.Teller(start or Tail(), self.site.serde, self.site.digest_key)

    async def take(self, told: story.Retold) -> None:
        """Fills a log that is empty.

        Raises:
            ConflictError: It is not empty.
        """
        async with self.lock:
            epoch = fence.epoch.get()
            await self._load(epoch)
            if self._tail != Tail() or not await self._replace(Tail(), told, epoch):
                raise ConflictError("the thread to copy to has checkpoints")

    async def _retell(self, before: Tail, episodes: Sequence[story.Episode], epoch: int | None) -> story.Retold | None:
        start = Tail(next=before.next, first=before.next, floor=before.next)
        teller = self.teller(start)
        for episode in episodes:
            teller.add(episode)
        told = teller.end()
        return told if await self._replace(before, told, epoch) else None

    async def _replace(self, before: Tail, told: story.Retold, epoch: int | None) -> bool:
        store = self.site.archive(self.key)
        if told.blobs:
            await store.add_blobs(told.blobs)
        for end, segment in told.segments.items():
            await store.add(end, segment)
        done = await self._commit(before, told.tail, told.tail.plain, epoch)
        self.forget()
        return done

    def forget(self) -> None:
        """Has the head read anew before it is used."""
        self._tail, self._held = None, None

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        first = True
        try:
            # Writes alone wait again: the checkpoint before them has just been written, and the next one comes soon.
            while any(isinstance(asked.entry, Checkpointed) for asked in self._asked) or first:
                first = False
                epoch = self._asked[0].epoch
                count = next((at for at, one in enumerate(self._asked) if one.epoch != epoch), len(self._asked))
                batch, self._asked = self._asked[:count], self._asked[count:]
                if batch := [asked for asked in batch if not asked.refused()]:
                    await self._write_all(batch, epoch)
        finally:
            self._task = None
            if self._asked:
                self._timer = asyncio.get_running_loop().call_later(_LINGER, self._begin)

    async def _write_all(self, batch: list[_Asked], epoch: int | None) -> None:
        failed: dict[int, Exception] = {}
        try:
            async with self.lock:
                failed = await self._write(batch, epoch)
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            self.forget()
            failed = dict.fromkeys(range(len(batch)), error)
        except asyncio.CancelledError:
            self.forget()
            for asked in batch:
                asked.done.cancel()
            raise
        for at, asked in enumerate(batch):
            if asked.done.done():
                continue
            if at in failed:
                asked.done.set_exception(failed[at])
            else:
                asked.done.set_result(None)
        await self._trim(epoch)

    async def _trim(self, epoch: int | None) -> None:
        """Removes checkpoints beyond those to keep, many at a time."""
        keep, known = self.site.keep, self._tail
        if keep is None or known is None or known.count <= 2 * keep + _TRIMMED:
            return
        with suppress(UnavailableError, ConflictError, FencedError), fence.holding(epoch):
            await self.rewrite(lambda frames: {frame.id for frame in story.shown(frames)[-keep:]}, lasting=True)
            if not self.key.namespace:
                await subgraphs.clear(self.key, self.site)

    async def _write(self, batch: list[_Asked], epoch: int | None) -> dict[int, Exception]:
        """Writes entries; tells which ones could not be encoded."""
        for _ in range(_TRIES):
            if self._tail is None or (epoch is not None and self._held != epoch):
                await self._load(epoch)
            before = self._tail
            assert before is not None  # noqa: S101 - loaded just now
            start = before
            store = self.site.archive(self.key)
            if before.full:
                segment = archive.segment(before.head, before.base, before.plain)
                await store.add(before.next, segment)
                start = before.archived(self.site.serde)
            draft, failed = await self._draft(start, batch)
            if not draft.added:
                return failed
            if draft.blobs:
                await store.add_blobs(draft.blobs)
            after = draft.tail
            if await self._commit(before, after, draft.added, epoch):
                self._tail = after
                if self.site.written is not None:
                    self.site.written.inc(sum(map(len, (*draft.added.values(), *draft.blobs.values()))))
                return failed
        raise ConflictError(_CONTENDED)

    async def _draft(self, start: Tail, batch: list[_Asked]) -> tuple[Draft, dict[int, Exception]]:
        draft = Draft(start, self.site.serde, self.site.digest_key)
        failed: dict[int, Exception] = {}
        for at, asked in enumerate(batch):
            if error := next((error for one, error in failed.items() if batch[one].done in asked.before), None):
                failed[at] = error
                continue
            try:
                if isinstance(asked.entry, Checkpointed):
                    draft.put(asked.entry, await self._parent(draft, asked.entry.frame.parent))
                else:
                    draft.write(asked.entry)
            except (TypeError, ValueError) as unfit:
                failed[at] = unfit
        return draft, failed

    async def _parent(self, draft: Draft, name: str | None) -> Frame | None:
        if name is None or (draft.newest and draft.newest.id == name):
            return draft.newest if name else None
        return await History(self.key, draft.tail, self.site.archive(self.key)).frame(name)

    async def _commit(self, before: Tail, after: Tail, added: Mapping[int, bytes], epoch: int | None) -> bool:
        """Whether the head took the additions; if not, it is to be read anew."""
        name, seal = self._name, self.site.sealer.seal
        sent = {str(at): seal(data, place(name, at, "record")) for at, data in added.items()}
        changes: dict[str, Any] = {"next": after.next, "count": after.count}
        if epoch is not None:
            changes["epoch"] = epoch
        if before.next == 0 or after.first != before.first:
            changes |= {"first": after.first, "floor": after.floor, "records": sent, "runs": archive.runs(after.head)}
            changes["base"] = _base(after, name, seal)
        else:
            changes |= {f"records.{at}": data for at, data in sent.items()}
            if archive.run_of(after.newest) != archive.run_of(before.newest):
                changes["runs"] = archive.runs(after.head)
        if before.next == 0:
            changes |= {"agent": self.key.agent, "thread": self.key.thread, "namespace": self.key.namespace}
            changes["epoch"] = epoch or 0
        wanted: dict[str, Any] = {"_id": name, "next": before.next}
        if epoch is not None and before.next:
            wanted["epoch"] = {"$lte": epoch}
        size = sum(map(len, sent.values()))
        if await self.site.changes.apply(Change(wanted, {"$set": changes}, size, new=before.next == 0)):
            return True
        return await self._check(before, sent, epoch)

    async def _check(self, before: Tail, sent: Mapping[str, bytes], epoch: int | None) -> bool:
        """Whether the head has what was sent after all.

        Raises:
            FencedError: Another process has taken the thread, or it was deleted.
        """
        found = await self.site.reads.get(self._name)
        kept = found["records"] if found else {}
        if found and all(kept.get(at) == data for at, data in sent.items()):
            return True
        if (before.next and not found) or (found and epoch is not None and found["epoch"] > epoch):
            raise fence.refused()
        self.forget()
        return False

    async def _load(self, epoch: int | None) -> None:
        remembered = self._tail
        self.forget()
        if epoch is not None and fence.untouched(self._name):
            self._tail, self._held = Tail(), epoch
            return
        found = await self.site.reads.get(self._name)
        if found and epoch is not None and found["epoch"] < epoch:
            async with answering():
                # From here on the head refuses those who held the thread before.
                found = await self.site.collection().find_one_and_update(
                    {"_id": self._name}, {"$max": {"epoch": epoch}}, return_document=ReturnDocument.AFTER
                )
        if found and epoch is not None and found["epoch"] > epoch:
            raise fence.refused()
        self._tail = await self._complete(found, remembered) if found else Tail()
        self._held = epoch

    async def _complete(self, document: Mapping[str, Any], remembered: Tail | None) -> Tail:
        known = tail.opened(document, self.site.sealer.open, self.site.serde)
        if known.newest is None:
            return known
        if remembered is not None and remembered.stands_for(known):
            return remembered
        history = History(self.key, known, self.site.archive(self.key))
        values = await history.values(known.newest, known.writes_in)
        return replace(known, values=values, writes=history.writes_in(known.writes_in, known.newest.id))


async def _all(asked: Sequence[asyncio.Future[None]]) -> None:
    """Waits for all of them; raises what the first one raises that fails."""
    for result in await asyncio.gather(*asked, return_exceptions=True):
        if result is not None:
            raise result


def _seen(done: asyncio.Future[None]) -> None:
    """Has asyncio not complain of a failure that nobody came for."""
    if not done.cancelled():
        done.exception()


def _base(after: Tail, name: str, seal: Callable[[bytes, str], bytes]) -> bytes | None:
    if after.base is None:
        return None
    return seal(ormsgpack.packb([after.base, after.writes_in]), place(name, after.first, "base"))
