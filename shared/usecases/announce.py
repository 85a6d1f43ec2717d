"""Tell others how things go. To be heard is not part of the job: failures are kept and shown."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from msgspec.structs import asdict

from shared.domain.errors import KeyturnError
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from shared.domain.records import Request, Unheard
from shared.domain.rows import Rotation
from shared.domain.verdicts import Outcome
from shared.domain.work import Work
from shared.ports import Announcer, Clock, Drop, Put, Rows

logger = logging.getLogger(__name__)

type Event = Literal[
    "RotationStarted",
    "RotationNeedsApproval",
    "RotationPaused",
    "RotationCompleted",
    "RotationFailed",
    "ConsumerStuck",
    "KeyExpiring",
    "EventGap",
]
"""What is announced, without the ``Keyturn.`` that the types of the events begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Publishes CloudEvents of the types ``Keyturn.…``: docs/notifications.md lists them.

    The id of an announcement follows from the fact, so that one sent twice can be told from two.
    """

    announcer: Announcer
    rows: Rows
    clock: Clock

    def started(self, rotation: Rotation) -> None:
        """Announce that consumers are being moved. A second look at a key is no news by itself."""
        if not rotation.recheck:
            self._of_rotation("RotationStarted", rotation, {})

    def needs_approval(self, rotation: Rotation, why: str, lapsed: datetime | None) -> None:
        """Announce that a rotation waits for an approver; ``lapsed``: its last approval's end."""
        again = f"/{_time(lapsed)}" if lapsed else ""
        self._of_rotation("RotationNeedsApproval", rotation, {"problem": why}, again)

    def request_needs_approval(self, request: Request) -> None:
        """Announce that a new version waits for an approver, again if an approval has lapsed."""
        facts: Json = {"request": request.id, "key": request.key, "problem": request.reason}
        event: Event = "RotationNeedsApproval"
        lapsed = request.approved_until
        again = f"/{_time(lapsed)}" if lapsed else ""
        self._send(event, f"{request.id}/Keyturn.{event}{again}", request.key, facts)

    def paused(self, rotation: Rotation, why: str) -> None:
        """Announce that a person must decide how a rotation goes on, this time."""
        again = f"/{_time(self.clock.now())}"
        self._of_rotation("RotationPaused", rotation, {"problem": why}, again)

    def stuck(self, work: Work, target: str, why: str) -> None:
        """Announce that a resource has not been seen to take the target up in its time."""
        facts: Json = {"rotation": work.rotation, "key": work.key, "target": target}
        facts |= {"resource": work.resource, "kind": work.kind, "problem": why}
        event: Event = "ConsumerStuck"
        self._send(event, f"{work.rotation}/Keyturn.{event}/{work.address[1]}", work.key, facts)

    def ended(self, rotation: Rotation) -> None:
        """Announce how a rotation ended.

        Silent are those that somebody ended, by a newer version or by hand, and a second look
        that found all as it was left.
        """
        failed = rotation.outcome is Outcome.FAILED
        is_news = failed or not rotation.recheck
        broken_off = rotation.outcome in (Outcome.SUPERSEDED, Outcome.CANCELLED)
        if rotation.outcome is None or broken_off or not is_news:
            return
        facts: Json = {
            "outcome": rotation.outcome.value,
            "consumers": {verdict.value: count for verdict, count in rotation.counts.items()},
            "scope": str(rotation.scope or ""),
            "problem": rotation.problem,
            "evidence": asdict(rotation.evidence) if rotation.evidence else None,
        }
        if rotation.settled_by_hand:
            facts["settledByHand"] = rotation.settled_by_hand
        self._of_rotation("RotationFailed" if failed else "RotationCompleted", rotation, facts)

    def key_expiring(
        self, version: KeyVersion, expires: datetime | None, why: str, *, trouble: str
    ) -> None:
        """Announce that a key runs out, or is too old.

        Args:
            version: Its newest version; for ``unexpired`` one that consumers use.
            expires: When that ends; ``None``: never.
            why: For people.
            trouble: See ``expiry.Trouble``; ``unexpired``: the end was put off, so that consumers
                can take up another version; ``stuck``: no new version can be made.
        """
        ends = _time(expires) if expires else None
        facts: Json = {"key": str(version.key), "version": str(version)}
        facts |= {"trouble": trouble, "expires": ends, "problem": why}
        id_ = f"{version}/Keyturn.KeyExpiring/{trouble}/{ends or 'never'}"
        self._send("KeyExpiring", id_, str(version.key), facts)

    def event_gap(self, version: KeyVersion, created: datetime) -> None:
        """Announce that no event has told of a version, and the sweep has found it."""
        facts: Json = {"key": str(version.key), "version": str(version)}
        facts |= {"created": _time(created)}
        self._send("EventGap", f"{version}/Keyturn.EventGap", str(version.key), facts)

    def _of_rotation(self, event: Event, rotation: Rotation, facts: Json, which: str = "") -> None:
        about: Json = {"rotation": rotation.id, "key": rotation.key, "target": rotation.target}
        id_ = f"{rotation.id}/Keyturn.{event}{which}"
        self._send(event, id_, rotation.key, about | facts)

    def _send(self, event: Event, id_: str, subject: str, facts: Json) -> None:
        try:
            self.announcer.announce(f"Keyturn.{event}", id=id_, subject=subject, facts=facts)
        except KeyturnError as error:
            logger.warning("not announced: %s: %s", id_, error)
            missed = Unheard(event=id_, at=self.clock.now(), problem=str(error)[:1000])
            with suppress(KeyturnError):
                self.rows.commit(Put(missed))
        else:
            with suppress(KeyturnError):
                if kept := self.rows.load(Unheard, *Unheard.PLACE):
                    self.rows.commit(Drop(kept.row))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
