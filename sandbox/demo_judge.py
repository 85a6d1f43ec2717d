"""Whether what happened in the demo is what its scenario says must happen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body
from sandbox.arm.several_keys import reference
from sandbox.azure import LocalAzure
from sandbox.demo_estate import DemoEstate
from sandbox.demo_files import CANARY, SOURCE, DemoFile
from sandbox.demo_kinds import Family
from sandbox.demo_members import PAYMENTS, Member
from sandbox.demo_view import Report

_ARM = "management.azure.com"
_PROVEN = {"verified", "already", "late"}


@dataclass(frozen=True, slots=True)
class Turn:
    """The two versions between which a key was rotated, by their URLs."""

    before: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares what the reports say with the sandbox's ground truth."""

    azure: LocalAzure
    estate: DemoEstate
    files: tuple[DemoFile, ...]
    turns: Mapping[str, Turn]
    """By the name of the key."""
    definitions: Mapping[str, Body]
    """By id, what the container groups were; see ``definitions_of``."""

    @property
    def members(self) -> tuple[Member, ...]:
        """All that is on the keys that were rotated, files included."""
        return (*self.estate.members, *(each.member for each in self.files if each.member))

    def members_of(self, key: str) -> list[Member]:
        """Return what the report on a key must be about."""
        return [each for each in self.members if each.key in {key, ""}]

    def problems(self, reports: Mapping[str, Report]) -> Iterator[str]:
        """Yield what is not as the scenario says: the ground truth judges, not the app.

        Args:
            reports: By the name of the key.
        """
        for key in self.turns:
            yield from self._of_report(key, reports[key])
            yield from self._of_truth(key, reports[key])
        yield from self._of_definitions()
        yield from self._of_others()
        yield from self._of_files()
        yield from self._of_canaries(reports[PAYMENTS])

    def _of_report(self, key: str, report: Report) -> Iterator[str]:
        said = _by_resource(report)
        for member in self.members_of(key):
            consumers = said.pop(member.id.lower(), [])
            verdicts = {consumer["verdict"] for consumer in consumers} or {"missing"}
            for verdict in sorted(verdicts - member.fate.verdicts, key=str):
                yield f"{name_of(member.id)}: its verdict is {verdict}"
            if consumers and len(consumers) != member.references:
                yield f"{name_of(member.id)}: {len(consumers)} references of it are in the report"
            if _is_resource(member.id):
                yield from self._of_resource(member, consumers)
        yield from (f"{resource}: it is in the report, and not on the key" for resource in said)
        yield from _of_preflight(report)
        if report["target"] != self.turns[key].target:
            yield f"{key}: the report is about a rotation to {report['target']}"
        if report["state"] != "failed":
            yield f"{key}: its rotation is {report['state']}, although not all could be proven"

    def _of_resource(self, member: Member, consumers: list[Report]) -> Iterator[str]:
        truth, name, fate = self.azure.estate.truth, name_of(member.id), member.fate
        turn = self.turns.get(member.key)
        is_there = turn and not fate.is_keyless and (fate.moves or not fate.made_again)
        must_use = (turn.target if fate.moves else turn.before) if turn and is_there else None
        for number in range(member.references):
            used = truth.version_in_use(reference(member.id, number))
            if used != must_use:
                yield f"{name}: it uses {used}"
            for consumer in consumers if member.family.tells and member.references == 1 else ():
                if consumer["inUse"] != used:
                    yield f"{name}: it uses {used}, and the report says {consumer['inUse']}"
        for number, other in enumerate(member.others, start=member.references):
            used = truth.version_in_use(reference(member.id, number))
            if used != self.azure.estate.vaults.newest(self.estate.vault, other):
                yield f"{name}: its reference to {other} uses {used}"
        if truth.writes(member.id) != fate.writes:
            yield f"{name}: it was written {truth.writes(member.id)} times"
        made, deleted = truth.creations(member.id), truth.deletions(member.id)
        if not made == deleted == fate.made_again:
            yield f"{name}: it was deleted {deleted} times, and made {made} times"

    def _of_truth(self, key: str, report: Report) -> Iterator[str]:
        """Yield what is called proven and is not, and what is lost, whatever the scenario says."""
        turn, told = self.turns[key], _by_resource(report)
        on_old, on_new = self._users_of(turn.before), self._users_of(turn.target)
        for resource in sorted((on_old | on_new) - told.keys()):
            yield f"{name_of(resource)}: it is on {key}, and the report has lost it"
        for resource, consumers in told.items():
            verdicts = {each["verdict"] for each in consumers}
            proven = verdicts & _PROVEN
            if not proven or not _is_resource(resource):
                continue  # of a file, its bytes are looked at
            if resource not in on_new or (resource in on_old and proven == verdicts):
                yield f"{name_of(resource)}: {min(proven)} is false, it uses another version"

    def _users_of(self, version: str) -> set[str]:
        """Return the ids, in lower case, of the resources of which a reference uses a version."""
        return {
            each.partition("/references/")[0] for each in self.azure.estate.truth.users_of(version)
        }

    def _of_others(self) -> Iterator[str]:
        truth = self.azure.estate.truth
        for resource in self.estate.others:
            if truth.writes(resource) or truth.deletions(resource):
                yield f"{name_of(resource)}: it does not use the key, and was changed"

    def _of_definitions(self) -> Iterator[str]:
        for resource, definition in definitions_of(self.azure, self.estate).items():
            if definition != self.definitions[resource]:
                yield f"{name_of(resource)}: more of it has changed than the version of its key"

    def _of_files(self) -> Iterator[str]:
        turn = self.turns[PAYMENTS]
        old, new = (version.rpartition("/")[2] for version in (turn.before, turn.target))
        for file in self.files:
            found = self._read(file)
            if found != file.after(old, new):
                yield f"{file.path}: its bytes are not what they must be: {found!r}"

    def _of_canaries(self, report: Report) -> Iterator[str]:
        well = {each["resource"].lower() for each in report["consumers"] if each["healthy"]}
        for account in self.estate.with_canary:
            if account.id.lower() not in well:
                yield f"{name_of(account.id)}: no blob was written and read in it"
            with self.azure.blobs.client(account) as client:
                left = list(client.get_container_client(CANARY).list_blob_names())
            if left:
                yield f"{name_of(account.id)}: {len(left)} blobs were left in it"

    def calls(self) -> tuple[int, int]:
        """Return how many writes, and how many reads, of resources Resource Manager has got."""
        to_arm = [call for call in self.azure.front_door.traffic() if call.host == _ARM]
        writes = sum(call.method in {"PATCH", "PUT", "DELETE"} for call in to_arm)
        return writes, sum(call.method == "GET" for call in to_arm)

    def made_again(self, member: Member) -> int:
        """Return how often a resource was made again."""
        return 0 if not _is_resource(member.id) else self.azure.estate.truth.creations(member.id)

    def left_alone(self) -> tuple[int, int]:
        """Return how many resources and files are on other keys, and how many were changed."""
        truth, files = self.azure.estate.truth, [each for each in self.files if not each.member]
        changed = sum(
            bool(truth.writes(each) or truth.deletions(each)) for each in self.estate.others
        )
        changed += sum(self._read(each) != each.content for each in files)
        return len(self.estate.others) + len(files), changed

    def uses_target(self, member: Member) -> bool:
        """Tell whether a resource uses the new version of its key, or a file names it."""
        targets = [self.turns[key].target for key in self.turns if member.key in {key, ""}]
        if member.family is not Family.FILES:
            truth = self.azure.estate.truth
            used = {truth.version_in_use(reference(member.id, n)) for n in range(member.references)}
            return used <= set(targets)
        (file,) = (each for each in self.files if each.member == member)
        content = self._read(file)
        return any(target.rpartition("/")[2].encode() in content for target in targets)

    def _read(self, file: DemoFile) -> bytes:
        return self.azure.blobs.get(self.estate.files_account, SOURCE, file.path)


def definitions_of(azure: LocalAzure, estate: DemoEstate) -> dict[str, Body]:
    """Return what the container groups on the payments key are, without the version of it."""
    resources = azure.estate.arm.resources
    ids = (member.id for member in estate.members if member.family is Family.GROUPS)
    with resources.lock:
        return {each: _lasting(resources.get(ResourceId.parse(each)).body) for each in ids}


def _by_resource(report: Report) -> dict[str, list[Report]]:
    """Return what a report says of each resource, by the id in lower case: a line a reference."""
    said: dict[str, list[Report]] = {}
    for consumer in report["consumers"]:
        said.setdefault(consumer["resource"].lower(), []).append(consumer)
    return said


def _is_resource(name: str) -> bool:
    """Tell whether a report's name is a resource's id, and not a file's URL or what is counted."""
    return name.startswith("/")


_PASSING = {"instanceView", "provisioningState", "ip", "keyVersion"}
"""What a group shows of its state, and the version of its key."""


def _lasting(body: Any) -> Any:  # noqa: ANN401 - any part of a JSON body
    if isinstance(body, dict):
        return {name: _lasting(part) for name, part in body.items() if name not in _PASSING}
    return [_lasting(part) for part in body] if isinstance(body, list) else body


def _of_preflight(report: Report) -> Iterator[str]:
    findings = report["preflight"] or [{"severity": "missing", "text": "it did not take place"}]
    for finding in findings:
        if finding["severity"] != "note":
            yield f"the look ahead: {finding['severity']}: {finding['text']}"


def name_of(resource: str) -> str:
    """Return the name of a resource, a scope's with its account's, and the path of a file."""
    parts = resource.split("/")
    if len(parts) == 1:
        return resource  # something that is counted
    return "/".join(parts[8::2] if resource.startswith("/") else parts[4:])
