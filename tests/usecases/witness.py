"""What must hold whatever happens, as seen from the service's side and in the rows."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from sandbox.arm.errors import ArmError
from sandbox.arm.operations import Written
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.storage_accounts import StorageAccounts
from sandbox.arm.storage_bodies import CUSTOMER_KEYS, as_written
from sandbox.estate import Account
from shared.domain.keys import KeyVersion
from shared.domain.resources import digest
from shared.domain.rows import KeyHead, Phase, Rotation, rotation_id
from shared.domain.verdicts import PROVEN, Outcome, Verdict
from shared.domain.work import Outstanding, Stage, Work
from tests.usecases.bench import VAULT, Bench

EXPLAINED = {Verdict.FAILED, Verdict.MANUAL, Verdict.STUCK, Verdict.UNKNOWN, Verdict.REVERTED}
"""Verdicts that send somebody to a resource that is not on the newest version."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a resource holds, in ground truth: a URL of a key, and which version by order.

    Attributes:
        key: URL of the key.
        pinned: Which of its versions the reference names; ``None``: none.
        in_use: Which of them protects the resource.
    """

    key: str
    pinned: int | None
    in_use: int


class Watched:
    """The storage service, as requests over HTTP reach it: all of them are Keyturn's.

    Others write to ``storage`` itself.
    """

    def __init__(self, storage: StorageAccounts, witness: "Witness") -> None:
        self._storage = storage
        self._witness = witness

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the service has
        return getattr(self._storage, name)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``."""
        self._witness.judge(resource, request)
        written = self._storage.patch(resource, request)
        self._witness.count(resource)
        return written


@dataclass
class Witness:
    """Judges every write of ours when it reaches the service, and the rows after every step.

    Attributes:
        late: Whether what reaches the service now was sent long ago, and is released by the test.
        is_sent: Whether the write that reaches the service next left before what happened last.
        disturbed: How often somebody, or a late write, gave a resource a reason to be written to
            again; by name.
        others: The resources that somebody else has written to.
        writes: How many writes the service accepted, by resource and rotation; no late ones.
    """

    bench: Bench
    keys: tuple[str, ...]
    late: bool = False
    is_sent: bool = False
    disturbed: Counter[str] = field(default_factory=Counter)
    others: set[str] = field(default_factory=set)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    _wrong: list[str] = field(default_factory=list)
    _seen: dict[tuple[str, str], Work] = field(default_factory=dict)
    _looked_at: datetime | None = None

    def __post_init__(self) -> None:
        watched = Watched(self.bench.azure.estate.storage, self)
        self.bench.azure.estate.arm.register(watched)

    # -- ground truth ----------------------------------------------------------------------------

    def versions(self, key: str) -> list[str]:
        """Return the URLs of a key's versions, oldest first."""
        vault = self.bench.azure.estate.vaults.vault(VAULT)
        return [version.kid for version in vault.versions(key.rpartition("/")[2])]

    def newest_usable(self, key: str) -> int | None:
        """Return which version consumers belong on; ``None``: there is no usable one."""
        vault = self.bench.azure.estate.vaults.vault(VAULT)
        usable = [n for n, v in enumerate(vault.versions(key.rpartition("/")[2])) if v.enabled]
        return max(usable, default=None)

    def held(self, account: Account) -> Held | None:
        """Return what an account holds; ``None``: there is none of its id."""
        try:
            resource = self.bench.azure.estate.arm.resources.get(ResourceId.parse(account.id))
        except ArmError:
            return None
        return self._held(as_written(resource.body), self.bench.in_use(account) or "")

    def _held(self, written: Body, in_use: str) -> Held:
        key = _key_of(written)
        versions, version = self.versions(key), written.get("keyversion")
        pinned = versions.index(f"{key}/{version}") if version else None
        # What protects it may be another key's, while what is written waits for its turn.
        return Held(key, pinned, versions.index(in_use) if in_use in versions else -1)

    def point(self, account: Account, version: str) -> None:
        """Let an account refer to a version as somebody else would; the service may refuse it."""
        vault, _, rest = version.partition("/keys/")
        key, _, version = rest.partition("/")
        reference = {"keyvaulturi": vault, "keyname": key, "keyversion": version}
        encryption = {"keySource": CUSTOMER_KEYS, "keyvaultproperties": reference}
        estate, identifier = self.bench.azure.estate, ResourceId.parse(account.id)
        self.disturbed[identifier.name] += 1
        self.others.add(identifier.name)
        with estate.arm.resources.lock, suppress(ArmError):
            resource = estate.arm.resources.get(identifier)
            estate.storage.patch(resource, {"properties": {"encryption": encryption}})
            estate.arm.resources.notify(resource)

    # -- writes ----------------------------------------------------------------------------------

    def judge(self, resource: Resource, request: Body) -> None:
        """Note what is wrong with a write of ours that reaches the service."""
        encryption, name = request["properties"]["encryption"], resource.id.name
        truth = self.bench.azure.estate.truth
        before = self._held(as_written(resource.body), truth.sealed_by(resource.id) or "")
        if encryption.get("keySource") != CUSTOMER_KEYS:
            self._wrong.append(f"{name}: the customer-managed key is switched off")
            return
        after = self._held(as_written(request), "")
        sent, self.is_sent = self.is_sent, False
        if self.late:
            return
        if after.key != before.key or before.pinned is None or after.pinned is None:
            self._wrong.append(f"{name}: not ours to write to: {before}, sent {after}")
        elif after.pinned <= before.pinned or after.pinned < before.in_use:
            self._wrong.append(f"{name}: not raised: {before}, sent {after}")
        elif not sent:
            self.judge_right(resource.id.name, str(resource.id), after.key, after.pinned)

    def judge_right(self, name: str, resource: str, key: str, version: int) -> None:
        """Note why the rotation whose write this is may not write at this moment."""
        head = self.bench.row(KeyHead, *KeyHead(key=key).address)
        rotation = self.bench.rotation(head.active) if head.active else None
        if rotation is None or rotation.target != self.versions(key)[version]:
            self._wrong.append(f"{name}: its rotation moves nothing (any more): {head}")
        elif head.paused or head.cancelled:
            self._wrong.append(f"{name}: written to while paused or cancelled: {head}")
        else:
            kept = self.bench.steps.ledger.load(rotation.id, digest(resource))
            work = kept.row if kept else None
            if work is None or work.stage is not Stage.OPEN or work.next != "repoint":
                self._wrong.append(f"{name}: nothing is to be written: {work}")
            elif work.intent is None or not any(c.before for c in work.consumers):
                self._wrong.append(f"{name}: no intent, or no before, was saved: {work}")

    def count(self, resource: Resource) -> None:
        """Count a write that the service accepted."""
        if self.late:
            self.disturbed[resource.id.name] += 1
            return
        written = as_written(resource.body)
        key = _key_of(written)
        target = f"{key}/{written['keyversion']}"
        run = [rotation.id for rotation in self.rotations(key) if rotation.target == target][-1]
        self.writes[resource.id.name, run] += 1

    # -- rows ------------------------------------------------------------------------------------

    def rotations(self, key: str) -> list[Rotation]:
        """Return every rotation of a key, oldest first."""
        found = []
        for version in self.versions(key):
            target, run = KeyVersion.parse(version), 1
            while kept := self.bench.rows.load(Rotation, rotation_id(target, run), "rotation"):
                found.append(kept.row)
                run += 1
        return sorted(found, key=lambda rotation: rotation.opened_at)

    def check(self) -> None:
        """Assert what must hold after every step."""
        now, self.is_sent = self.bench.clock.now(), False
        for key in self.keys:
            for rotation in self.rotations(key):
                works = [kept.row for kept in self.bench.steps.ledger.all(rotation.id)]
                self._check_index(rotation.id, works)
                for work in works:
                    self._check_verdict(rotation, work, self._looked_at or now, now)
                    self._seen[work.address] = work
                if rotation.outcome is not None:
                    _check_end(rotation, works)
        for (name, rotation_id_), count in self.writes.items():
            assert count <= 1 + self.disturbed[name], f"{rotation_id_} wrote {count} times: {name}"
        assert not self._wrong, "\n".join(self._wrong)
        self._looked_at = now

    def _check_index(self, rotation: str, works: list[Work]) -> None:
        """An entry for exactly what is not done, and each tells what its work does."""
        expected = {digest(w.resource): Outstanding.of(w) for w in works if w.stage != Stage.DONE}
        entries = [
            kept.row
            for stage in (Stage.OPEN, Stage.CONFIRM, Stage.UNSETTLED)
            for kept in self.bench.steps.ledger.outstanding(rotation, stage)
        ]
        assert Counter(e.resource for e in entries) == Counter(expected.keys()), rotation
        for entry in entries:
            told = expected[entry.resource]
            sent = {"due_at": entry.due_at, "nudged_at": entry.nudged_at, "nudges": entry.nudges}
            assert replace(told, **sent) == entry

    def _check_verdict(
        self, rotation: Rotation, work: Work, since: datetime, now: datetime
    ) -> None:
        """What was proven since the last look was so in truth; every verdict has a reason."""
        before = self._seen.get(work.address)
        if before is not None and before.seq == work.seq:
            return
        head = self.bench.row(KeyHead, *KeyHead(key=rotation.key).address)
        is_active = head.active == rotation.id and not head.cancelled
        if is_active and before and before.stage is Stage.CONFIRM and work.stage is Stage.DONE:
            assert rotation.phase in (Phase.CLOSING, Phase.CONFIRMING), f"not read again: {work}"
        for consumer in work.consumers:
            assert consumer.verdict is None or consumer.reason, work
            is_reverted = consumer.verdict is Verdict.REVERTED
            assert not is_reverted or _name_of(work) in self.others, f"by nobody else: {work}"
            if consumer.verdict not in PROVEN:
                continue
            is_new = before is None or before.consumers != work.consumers
            if is_new or (is_active and work.stage is Stage.DONE):
                used = self._used(work.resource, since, now)
                assert rotation.target in used, f"{consumer.verdict}, but used {used}: {work}"

    def _used(self, resource: str, since: datetime, until: datetime) -> set[str]:
        history = self.bench.azure.estate.truth.history(resource)
        spans = pairwise([*history, (None, "")])
        return {
            version
            for (start, version), (end, _) in spans
            if start is not None and start <= until and (end is None or end >= since)
        }

    # -- the end ---------------------------------------------------------------------------------

    def check_rest(self, account: Account) -> None:
        """Assert that an account is where it belongs, or that a verdict tells why it is not."""
        held = self.held(account)
        if held is None:
            return
        newest = self.newest_usable(held.key)
        rotations = self.rotations(held.key)
        if newest is None or not rotations:
            return
        kept = self.bench.steps.ledger.load(rotations[-1].id, digest(account.id))
        verdicts = {c.verdict for c in kept.row.consumers} if kept else set()
        if held.in_use == newest and held.pinned in (None, newest):
            assert verdicts <= PROVEN, (account.id, kept)
            assert verdicts, account.id
            return
        assert verdicts, f"{account.id} was not looked at: {held}, belongs on {newest}"
        assert verdicts <= EXPLAINED, f"{account.id}: {held}, belongs on {newest}: {kept}"
        is_current_usable = newest == len(self.versions(held.key)) - 1
        is_stranded = not self.bench.azure.estate.truth.can_read(account.id)
        is_ahead = max(held.pinned or 0, held.in_use) > newest
        follows_unusable = held.pinned is None and not is_current_usable
        assert is_stranded or is_ahead or follows_unusable, (
            f"{account.id}: {held} for no reason, belongs on {newest}: {kept}"
        )


def _check_end(rotation: Rotation, works: list[Work]) -> None:
    """Nothing of an ended rotation is without a verdict; of a completed one, all was read again."""
    for work in works:
        assert work.stage is not Stage.OPEN, (rotation, work)
        assert work.consumers, (rotation, work)
        assert all(c.verdict and c.reason for c in work.consumers), (rotation, work)
        if rotation.outcome is Outcome.COMPLETED:
            assert work.stage is Stage.DONE, (rotation, work)


def _name_of(work: Work) -> str:
    return work.resource.rpartition("/")[2]


def _key_of(written: Body) -> str:
    return f"{written['keyvaulturi'].rstrip('/')}/keys/{written['keyname']}"
