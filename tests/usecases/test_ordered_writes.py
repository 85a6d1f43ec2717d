"""A TDE protector is moved in two writes, in order: its server key, then the protector."""

from dataclasses import dataclass

import pytest

from sandbox.arm.resource_ids import ResourceId
from sandbox.faults import Answer, Fault
from shared.domain.rows import Rotation
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer
from tests.usecases.bench import Bench
from tests.usecases.rotations import carry_out
from tests.usecases.test_every_service import bench  # noqa: F401 - the fixture

SERVER = "Microsoft.Sql/servers/encryptionProtector"


@dataclass
class Protector:
    """A protector of a server on a key, and the bench that it is on."""

    bench: Bench
    key: str
    id: str

    def rotated(self) -> tuple[str, Consumer, Rotation]:
        """Rotate its key; return the new version, and how protector and rotation ended."""
        self.bench.pass_time(minutes=5)
        new = self.bench.new_version(self.key)
        rotation = self.bench.open(self.key)
        ended = carry_out(self.bench, rotation)
        (work,) = (kept.row for kept in self.bench.steps.ledger.all(rotation))
        return new, work.consumers[0], ended

    def server_keys(self) -> set[str]:
        """Return the versions of which there are server keys."""
        keys = self.bench.azure.estate.arm.resources.below(
            self.id.rsplit("/", 2)[0], "Microsoft.Sql/servers/keys"
        )
        return {key.body["properties"]["uri"] for key in keys}


@pytest.fixture
def protector(bench: Bench) -> Protector:  # noqa: F811 - the fixture
    key = bench.key()
    made = bench.azure.estate.resource(
        SERVER, "sql1/current", subscription=bench.subscription, key=key
    )
    return Protector(bench, key, made.id)


def answer_keys(protector: Protector, answer: Answer) -> None:
    """Answer every write of a server key so, and make none."""
    protector.bench.azure.faults.add(
        Fault(answer=answer, method="PUT", path="*/servers/*/keys/*", times=None)
    )


def test_the_server_key_is_made_and_then_the_protector_names_it(protector: Protector) -> None:
    old = protector.server_keys()
    new, consumer, ended = protector.rotated()
    assert consumer.verdict is Verdict.VERIFIED
    assert protector.bench.azure.estate.truth.version_in_use(protector.id) == new
    assert protector.server_keys() == {*old, new}  # backups need the old one
    assert protector.bench.azure.estate.truth.writes(protector.id) == 1
    assert ended.outcome is Outcome.COMPLETED


def test_a_server_key_that_is_refused_fails_the_protector_untouched(protector: Protector) -> None:
    refusal = {"error": {"code": "AzureKeyVaultMissingPermissions", "message": "no rights"}}
    answer_keys(protector, Answer(400, refusal))
    new, consumer, _ = protector.rotated()
    assert consumer.verdict is Verdict.FAILED
    assert "AzureKeyVaultMissingPermissions" in consumer.reason
    assert "Key Vault Crypto Service Encryption User" in consumer.advice
    assert protector.bench.azure.estate.truth.writes(protector.id) == 0
    assert new not in protector.server_keys()


def test_a_server_key_that_does_not_come_fails_the_protector_in_the_end(
    protector: Protector,
) -> None:
    answer_keys(protector, Answer(202, {}))
    _, consumer, _ = protector.rotated()
    assert consumer.verdict is Verdict.FAILED
    assert "is not there an hour later" in consumer.reason
    assert protector.bench.azure.estate.truth.writes(protector.id) == 0


def test_a_protector_that_names_no_server_key_is_refused(protector: Protector) -> None:
    arm = protector.bench.azure.estate.arm
    resource = arm.resources.get(ResourceId.parse(protector.id))
    provider = arm.resources.providers[SERVER.lower()]
    name = {"serverKeyType": "AzureKeyVault", "serverKeyName": "kv_cmk_nothing"}
    with pytest.raises(Exception, match="server key name"):
        provider.replace(resource, {"properties": name}, "2025-01-01")
