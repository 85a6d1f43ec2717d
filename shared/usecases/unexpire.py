"""Make expired versions valid again for a while, where consumers need that to take up another."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, NotFoundError
from shared.domain.expiry import RECOVERY
from shared.domain.keys import KeyVersion, VersionState
from shared.domain.policy import Rules
from shared.domain.records import Request
from shared.domain.usage import Usage
from shared.ports import Clock, Kept, Rows, Vaults
from shared.usecases.announce import Announce
from shared.usecases.usage import usage_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexpire:
    """Put off the end of versions that have expired, before the vault makes another.

    Only of those that known consumers use which would refuse the other, only where the policy
    says for how long, and never to an earlier time. The intent is saved on the request first; what
    a crash left undone is done when the message returns.
    """

    vaults: Vaults
    rows: Rows
    clock: Clock
    announce: Announce

    def run(self, kept: Kept[Request], rules: Rules) -> Kept[Request]:
        """Return the request once its new version may be made.

        Raises:
            BusyError: Consumers need their time to see that the version is valid again.
            AccessDeniedError: Our identity may not change keys (``update``).
        """
        if kept.row.unexpired_at is None or _runs_out(kept.row, self.clock.now()):
            kept = self._unexpire(kept, rules)
        if kept.row.unexpired_at is None:
            return kept
        left = kept.row.unexpired_at + RECOVERY - self.clock.now()
        if left > timedelta():
            raise BusyError(
                f"consumers of {kept.row.key} have to see first that their version is valid again",
                retry_after=left,
            )
        return kept

    def _unexpire(self, kept: Kept[Request], rules: Rules) -> Kept[Request]:
        now, usage = self.clock.now(), usage_of(self.rows, kept.row.key)
        before = kept.row.unexpire
        if not before or _runs_out(kept.row, now):  # what was begun too long ago is begun anew
            until = (now + timedelta(days=rules.unexpire_days)).replace(microsecond=0)
            expired = self._expired(usage, before, now) if rules.unexpire_days else ()
            unexpire = {str(state.id): until for state in expired}
            if unexpire != before:
                fresh = replace(kept.row, unexpire=unexpire, unexpired_at=None)
                kept = self.rows.replace(kept, fresh)
        if not kept.row.unexpire:
            return kept
        for url, until in kept.row.unexpire.items():
            self._put_off(KeyVersion.parse(url), until, usage)
        return self.rows.replace(kept, replace(kept.row, unexpired_at=now))

    def _expired(
        self, usage: Usage, before: Mapping[str, datetime], now: datetime
    ) -> Iterator[VersionState]:
        """Yield what has expired, or is about to again after it was put off ``before``."""
        for url in usage.refusing:
            try:
                state = self.vaults.version(KeyVersion.parse(url))
            except NotFoundError:  # a finding of the watch; there is nothing to put off
                continue
            by = now + RECOVERY if url in before else now
            if state.enabled and state.expires is not None and state.expires <= by:
                yield state

    def _put_off(self, version: KeyVersion, until: datetime, usage: Usage) -> None:
        state = self.vaults.version(version)
        users = usage.refusing.get(str(version), "consumers")
        why = f"{version} is valid again until {until:%Y-%m-%d %H:%M} UTC: {users} need that"
        if state.expires is not None and state.expires < until:
            self.vaults.expire_at(version, until)
            logger.warning("%s", why)
        self.announce.key_expiring(version, until, why, trouble="unexpired")


def _runs_out(request: Request, now: datetime) -> bool:
    """Return whether an end that was put off has come, or comes before consumers could move."""
    return any(until <= now + RECOVERY for until in request.unexpire.values())
