"""Tell others how a rotation goes. To be heard is not part of the job: failures are logged."""

import logging
from dataclasses import dataclass

from shared.domain.errors import KeyturnError
from shared.domain.json_paths import Json
from shared.domain.rows import Rotation
from shared.domain.verdicts import Outcome
from shared.ports import Announcer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Announce:
    """Publishes ``Keyturn.RotationStarted``, ``…Paused``, ``…Completed`` and ``…Failed``.

    The id of an announcement follows from the rotation and the type, so that one sent twice can
    be told from two.
    """

    announcer: Announcer

    def started(self, rotation: Rotation) -> None:
        """Announce that consumers are being moved. A second look at a key is no news by itself."""
        if not rotation.recheck:
            self._send("Keyturn.RotationStarted", rotation, {})

    def paused(self, rotation: Rotation, why: str) -> None:
        """Announce that a person must decide how a rotation goes on."""
        self._send("Keyturn.RotationPaused", rotation, {"problem": why})

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
        }
        self._send(f"Keyturn.Rotation{'Failed' if failed else 'Completed'}", rotation, facts)

    def _send(self, event: str, rotation: Rotation, facts: Json) -> None:
        about: Json = {"rotation": rotation.id, "key": rotation.key, "target": rotation.target}
        try:
            self.announcer.announce(
                event, id=f"{rotation.id}/{event}", subject=rotation.key, facts=about | facts
            )
        except KeyturnError as error:
            logger.warning("not announced: %s of rotation %s: %s", event, rotation.id, error)
