"""Look at a key's expiry and age, and do about them what the policy says."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import NotFoundError, PermanentError, RowConflictError
from shared.domain.expiry import (
    Concern,
    Trouble,
    concerns_of,
    findings_of,
    key_gone,
    not_looked_at,
)
from shared.domain.findings import Severity
from shared.domain.keys import Key, VersionState
from shared.domain.policy import Reaction, Rules
from shared.domain.records import EXPIRING, Request, Watched
from shared.domain.resources import digest
from shared.domain.rows import KeyHead
from shared.domain.steps import RotateKey, Watch
from shared.domain.usage import Usage
from shared.ports import Clock, Drop, Kept, Policies, Put, Queue, Rows, Vaults
from shared.usecases.announce import Announce
from shared.usecases.refuse import let_go
from shared.usecases.usage import usage_of

logger = logging.getLogger(__name__)

WATCH_EVERY = timedelta(hours=6)
"""How often the sweep has a key looked at: keys older than the subscription send no events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchKey:
    """See what a key has coming, find what is wrong with the versions in use, and react.

    What was found is kept in one row a key. An announcement is made before that row says so, and
    its id follows from the fact: after a crash it may be sent twice, and can be told as one. For a
    version there is one request, however often its end is announced. Costs one or two reads of
    the vault.
    """

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies
    announce: Announce

    def run(self, step: Watch) -> None:
        """See the class. The sweep's look at what was looked at not long ago is none."""
        key, now = Key.parse(step.key), self.clock.now()
        policy = self.policies.current()
        if not policy.manages(key):
            let_go(self.rows, step, now)
            return
        fresh = Watched(key=step.key, at=now)
        kept = self.rows.load(Watched, *fresh.address)
        if step.cause.trigger == "sweep" and kept and now - kept.row.at < WATCH_EVERY:
            return
        before = kept.row if kept else fresh
        usage = usage_of(self.rows, step.key)
        try:
            watched = self._look(step, before, policy.rules_for(key), usage)
        except NotFoundError as error:
            if not usage.all.total:
                if kept:  # it is gone, and nobody uses it
                    self.rows.commit(Drop(kept.row))
                return
            logger.error("cannot watch %s: %s", key, error)  # noqa: TRY400 - no bug of ours
            watched = replace(before, at=now, findings=(key_gone(key, usage.all),))
        except PermanentError as error:
            logger.error("cannot watch %s: %s", key, error)  # noqa: TRY400 - no bug of ours
            watched = replace(before, at=now, findings=(not_looked_at(key, usage.all, error),))
        for finding in watched.findings:
            if finding.severity is Severity.BLOCKER:
                logger.error("%s; %s", finding.text, finding.advice)
        self.rows.commit(Put(watched))

    def _look(self, step: Watch, before: Watched, rules: Rules, usage: Usage) -> Watched:
        key, now = Key.parse(step.key), self.clock.now()
        newest = self.vaults.current(key)
        head = self.rows.load(KeyHead, *KeyHead(key=step.key).address)
        findings = findings_of(
            newest,
            self._versions(newest, usage),
            usage,
            rules,
            now,
            is_searched=bool(head and head.row.handled),
        )
        watched = Watched(
            key=step.key,
            at=now,
            version=str(newest.id),
            created=newest.created,
            expires=newest.expires,
            announced=before.announced if before.version == str(newest.id) else (),
            findings=findings,
        )
        request = self.rows.load(Request, _request_id(newest), "request")
        if request and _is_put_off(newest, request.row, now):
            self._queue(step, newest, before.problem)  # what follows it is under way
            return replace(
                watched,
                problem=before.problem,
                severity=before.severity,
                done=before.done,
                request=request.row.id,
            )
        concerns = concerns_of(newest, rules, now)
        if not concerns:
            return replace(watched, announced=())
        return self._react(step, watched, newest, concerns)

    def _versions(self, newest: VersionState, usage: Usage) -> Mapping[str, VersionState]:
        """Return the versions that the vault knows; others than the newest only if in use."""
        states = [newest]
        if usage.by_version.keys() - {str(newest.id)}:
            states += [s for s in self.vaults.versions(newest.id.key) if s.id != newest.id]
        return {str(state.id): state for state in states}

    # -- what is done about it -----------------------------------------------------------------

    def _react(
        self, step: Watch, watched: Watched, newest: VersionState, concerns: Sequence[Concern]
    ) -> Watched:
        """Tell of every concern that nobody else will tell of, and do what the first asks for."""
        concern, request = concerns[0], ""
        problem = "; ".join(each.text for each in concerns)
        logger.warning("%s: %s", problem, concern.reaction)
        told = [mark for each in concerns for mark in self._alarm(watched, newest, each)]
        if concern.reaction is Reaction.ASK:
            request, asked = self._ask(step, watched, newest, concern)
            told.append(asked)
        elif concern.reaction is Reaction.ROTATE:
            request, stuck = self._rotate(step, newest, concern)
            if stuck:
                problem = f"{problem}, and no new version can be made: {stuck}"
                told += self._told(watched, newest, problem, "stuck")
        return replace(
            watched,
            problem=problem,
            severity=min((each.severity for each in concerns), key=list(Severity).index),
            done=concern.reaction.value,
            request=request,
            announced=tuple(told),
        )

    def _alarm(self, watched: Watched, newest: VersionState, concern: Concern) -> Iterator[str]:
        """Announce what nobody else will tell of; an expired key whatever is done about it."""
        if concern.reaction is Reaction.ALARM or concern.trouble is Trouble.EXPIRED:
            yield from self._told(watched, newest, concern.text, concern.trouble.value)

    def _told(
        self, watched: Watched, newest: VersionState, why: str, trouble: str
    ) -> Iterator[str]:
        mark = f"{trouble} {newest.expires or ''}"
        if mark not in watched.announced:
            self.announce.key_expiring(newest.id, newest.expires, why, trouble=trouble)
        yield mark

    def _ask(
        self, step: Watch, watched: Watched, newest: VersionState, concern: Concern
    ) -> tuple[str, str]:
        """Keep a request that waits for an approver; return its id, and what was announced."""
        kept = self._request(step, newest, concern)
        request, now = kept.row, self.clock.now()
        if not request.needs_approval:
            if request.approved_until and now < request.approved_until:
                self._queue(step, newest, concern.text)  # approved; that may have been lost
                return request.id, f"approved {request.approved_until}"
            request = self.rows.replace(kept, replace(request, needs_approval=True)).row
        mark = f"asked {request.approved_until or ''}"
        if mark not in watched.announced:
            self.announce.request_needs_approval(request)
        return request.id, mark

    def _rotate(self, step: Watch, newest: VersionState, concern: Concern) -> tuple[str, str]:
        """Have a version made; return the request's id, and why earlier tries have failed."""
        kept = self._request(step, newest, concern)
        if kept.row.needs_approval:  # the rules asked for one when it was kept, and do not now
            kept = self.rows.replace(kept, replace(kept.row, needs_approval=False))
        is_old = concern.trouble is Trouble.OVERAGE
        self._queue(step, newest, concern.text, is_old=is_old)
        head = self.rows.load(KeyHead, *KeyHead(key=step.key).address)
        # What stands on the head too has failed; what does not is a reason to make none.
        failed = head is not None and head.row.problem == kept.row.problem
        return kept.row.id, kept.row.problem if failed else ""

    def _request(self, step: Watch, newest: VersionState, concern: Concern) -> Kept[Request]:
        fresh = Request(
            id=_request_id(newest),
            key=step.key,
            reason=concern.text,
            new_version=True,
            asked_at=self.clock.now(),
            needs_approval=concern.reaction is Reaction.ASK,
            version_before=str(newest.id),
        )
        kept = self.rows.insert(fresh) or self.rows.load(Request, *fresh.address)
        if kept is None:
            raise RowConflictError(f"request {fresh.id} was there, and is no more")
        return kept

    def _queue(
        self, step: Watch, newest: VersionState, reason: str, *, is_old: bool = False
    ) -> None:
        self.queue.send(
            RotateKey(
                key=step.key,
                cause=replace(step.cause, reason=reason),
                request=_request_id(newest),
                expiring=str(newest.id),
                expires=None if is_old else newest.expires,
            )
        )


def _request_id(newest: VersionState) -> str:
    """Return the id of the one request for what follows a version."""
    return f"{EXPIRING}{digest(str(newest.id))}"


def _is_put_off(newest: VersionState, request: Request, now: datetime) -> bool:
    """Return whether we have put a version's end off, so that consumers can take up the next."""
    until = request.unexpire.get(str(newest.id))
    return until is not None and until == newest.expires and until > now
