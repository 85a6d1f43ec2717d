"""Where consumers are looked for beside Resource Graph: under accounts, and in registered files."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest

from sandbox.azure import LocalAzure
from sandbox.faults import Answer, Fault, throttled
from shared.domain.resources import digest
from shared.domain.rows import Known, Lane
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Work
from tests.usecases.bench import Bench
from tests.usecases.rotations import carry_out

PLACES = ("prod", "more")
FORBIDDEN = Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no"}})
CONFIG = """\
# who asks: platform team
name: web            # stays
properties:
  encryptionProperties:
    vaultBaseUrl: https://kv-bench.vault.azure.net
    keyName: {key}
    keyVersion: "{version}"   # by Keyturn
"""


@pytest.fixture(name="start")
def _start(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bench]]:
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield lambda **settings: Bench(azure, settings)


def work_on(bench: Bench, rotation: str) -> Mapping[str, Work]:
    """Return the work of a rotation by the last part of the resource's id."""
    return {w.row.resource.rpartition("/")[2]: w.row for w in bench.steps.ledger.all(rotation)}


def verdicts(bench: Bench, rotation: str) -> dict[str, Verdict | None]:
    return {name: w.consumers[0].verdict for name, w in work_on(bench, rotation).items()}


def last(version: str) -> str:
    return version.rpartition("/")[2]


# -- encryption scopes -----------------------------------------------------------------------------


def test_a_scope_is_found_under_an_account_that_uses_no_key_itself(
    start: Callable[..., Bench],
) -> None:
    bench = start()
    key, other = bench.key(), bench.key("other")
    plain = bench.azure.estate.storage_account("plain", subscription=bench.subscription, key=None)
    ours = bench.azure.estate.encryption_scope(plain, "ours", key=key)
    theirs = bench.azure.estate.encryption_scope(plain, "theirs", key=other)
    bench.azure.estate.encryption_scope(plain, "platform", key=None)
    new = bench.later_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert verdicts(bench, rotation) == {"ours": Verdict.VERIFIED}
    assert bench.in_use(ours) == new
    assert (bench.writes(ours), bench.writes(theirs), bench.writes(plain)) == (1, 0, 0)
    assert work_on(bench, rotation)["ours"].location == "westeurope"


def test_a_list_of_scopes_is_read_to_its_last_page(start: Callable[..., Bench]) -> None:
    bench = start()
    bench.azure.estate.arm.page_size = 2
    key = bench.key()
    plain = bench.azure.estate.storage_account("plain", subscription=bench.subscription, key=None)
    names = {f"s{number}" for number in range(5)}
    for name in names:
        bench.azure.estate.encryption_scope(plain, name, key=key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert set(work_on(bench, rotation)) == names


def test_scopes_that_cannot_be_listed_are_unknown_and_fail_the_rotation(
    start: Callable[..., Bench],
) -> None:
    bench = start()
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    bench.azure.faults.add(Fault(path="*/stone/encryptionscopes", answer=FORBIDDEN, times=None))
    rotation = bench.open(key)
    bench.discover(rotation)
    assert bench.finish(rotation).outcome is Outcome.FAILED
    assert verdicts(bench, rotation) == {
        "stone": Verdict.VERIFIED,
        "encryptionScopes": Verdict.UNKNOWN,
    }
    (consumer,) = work_on(bench, rotation)["encryptionScopes"].consumers
    assert "AuthorizationFailed" in consumer.reason
    assert consumer.advice
    assert bench.writes(account) == 1


def test_a_scope_whose_account_is_deleted_meanwhile_is_no_trouble(
    start: Callable[..., Bench],
) -> None:
    bench = start()
    key = bench.key()
    plain = bench.azure.estate.storage_account("plain", subscription=bench.subscription, key=None)
    bench.azure.estate.encryption_scope(plain, "ours", key=key)
    bench.new_version(key)
    gone = Answer(404, {"error": {"code": "ResourceNotFound", "message": "gone"}})
    bench.azure.faults.add(Fault(path="*/plain/encryptionscopes", answer=gone))
    rotation = bench.open(key)
    bench.discover(rotation)
    assert work_on(bench, rotation) == {}
    bench.azure.estate.delete(plain)
    assert bench.finish(rotation).outcome is Outcome.NOTHING_FOUND


# -- deployment configs ----------------------------------------------------------------------------


@pytest.fixture(name="shelf")
def _shelf(start: Callable[..., Bench]) -> Bench:
    """A bench with a container of deployment configs in an account on platform keys."""
    url = "https://stconfigs.blob.core.windows.net/configs"
    bench = start(KEYTURN_CONFIG_SOURCES=",".join(f"{url}/{p}/" for p in PLACES))
    account = bench.azure.estate.storage_account(
        "stconfigs", subscription=bench.subscription, key=None
    )
    bench.azure.blobs.allow(account, {"read", "write", "readTags", "writeTags"})
    bench.azure.blobs.put("stconfigs", "configs", "readme.txt", b"no config")
    return bench


def put(bench: Bench, path: str, text: str) -> str:
    return bench.azure.blobs.put("stconfigs", "configs", path, text.encode())


def text_of(bench: Bench, path: str) -> str:
    return bench.azure.blobs.get("stconfigs", "configs", path).decode()


def test_a_tagged_file_that_is_named_unlike_a_config_does_not_vanish(
    start: Callable[..., Bench],
) -> None:
    url = "https://stconfigs.blob.core.windows.net/configs"
    bench = start(KEYTURN_CONFIG_SOURCES=f"{url}?tag=env=prod")
    account = bench.azure.estate.storage_account(
        "stconfigs", subscription=bench.subscription, key=None
    )
    bench.azure.blobs.allow(account, {"read", "write", "find"})
    for path, tags in (("deploy.tpl", {"env": "prod"}), ("readme.txt", {"env": "test"})):
        put(bench, path, "no config")
        with bench.azure.blobs.client(account) as service:
            service.get_blob_client("configs", path).set_blob_tags(tags)
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert bench.finish(rotation).outcome is Outcome.FAILED
    assert verdicts(bench, rotation) == {"deploy.tpl": Verdict.UNKNOWN}
    (consumer,) = work_on(bench, rotation)["deploy.tpl"].consumers
    assert "named unlike a config" in consumer.reason


def test_a_file_is_brought_to_the_target_and_keeps_every_other_byte(shelf: Bench) -> None:
    key = shelf.key()
    old = last(shelf.azure.estate.vaults.newest("kv-bench", "cmk"))
    for path in ("prod/web.yaml", "more/api.yml"):
        put(shelf, path, CONFIG.format(key="cmk", version=old))
    put(shelf, "prod/other.yaml", CONFIG.format(key="other", version=old))
    put(shelf, "elsewhere/web.yaml", CONFIG.format(key="cmk", version=old))
    new = shelf.later_version(key)
    rotation = shelf.open(key)
    shelf.discover(rotation)
    ended = shelf.finish(rotation)
    assert ended.outcome is Outcome.COMPLETED
    assert verdicts(shelf, rotation) == {
        "web.yaml": Verdict.VERIFIED,
        "api.yml": Verdict.VERIFIED,
    }
    assert "3 deployment files" in str(ended.scope)
    for path in ("prod/web.yaml", "more/api.yml"):
        assert text_of(shelf, path) == CONFIG.format(key="cmk", version=last(new))
    assert text_of(shelf, "prod/other.yaml") == CONFIG.format(key="other", version=old)
    assert text_of(shelf, "elsewhere/web.yaml") == CONFIG.format(key="cmk", version=old)


def test_a_malformed_file_is_unknown_and_never_written(shelf: Bench) -> None:
    key = shelf.key()
    broken = "properties: [\n"
    put(shelf, "prod/broken.yaml", broken)
    put(shelf, "prod/free.yaml", CONFIG.format(key="cmk", version=""))
    shelf.new_version(key)
    rotation = shelf.open(key)
    shelf.discover(rotation)
    assert shelf.finish(rotation).outcome is Outcome.FAILED
    assert verdicts(shelf, rotation) == {
        "broken.yaml": Verdict.UNKNOWN,
        "free.yaml": Verdict.MANUAL,
    }
    assert text_of(shelf, "prod/broken.yaml") == broken
    assert shelf.calls("PUT") == []


def test_a_source_that_cannot_be_listed_is_unknown_and_fails_the_rotation(shelf: Bench) -> None:
    key = shelf.key()
    account = shelf.account("stone", key)
    shelf.new_version(key)
    shelf.azure.faults.add(Fault(host="stconfigs.blob*", answer=Answer(403), times=None))
    rotation = shelf.open(key)
    shelf.discover(rotation)
    ended = shelf.finish(rotation)
    assert ended.outcome is Outcome.FAILED
    told = {w.row.resource: w.row.consumers[0] for w in shelf.steps.ledger.all(rotation)}
    assert told.pop(account.id).verdict is Verdict.VERIFIED
    assert {consumer.verdict for consumer in told.values()} == {Verdict.UNKNOWN}
    assert set(told) == {f"https://stconfigs.blob.core.windows.net/configs/{p}/" for p in PLACES}
    assert shelf.writes(account) == 1


def test_a_file_that_somebody_changes_between_our_read_and_our_write_is_read_again(
    shelf: Bench,
) -> None:
    key = shelf.key()
    old = last(shelf.azure.estate.vaults.newest("kv-bench", "cmk"))
    put(shelf, "prod/web.yaml", CONFIG.format(key="cmk", version=old))
    new = shelf.later_version(key)
    rotation = shelf.open(key)
    (step,) = shelf.discover(rotation)
    changed = CONFIG.format(key="cmk", version=old) + "tags: {team: other}\n"
    shelf.azure.faults.add(
        Fault(method="HEAD", after=lambda _path: put(shelf, "prod/web.yaml", changed))
    )
    shelf.run(step)
    assert text_of(shelf, "prod/web.yaml") == changed
    assert shelf.finish(rotation).outcome is Outcome.COMPLETED
    assert text_of(shelf, "prod/web.yaml") == changed.replace(old, last(new))


def test_a_file_whose_account_is_throttled_lets_its_host_rest(shelf: Bench) -> None:
    key = shelf.key()
    old = last(shelf.azure.estate.vaults.newest("kv-bench", "cmk"))
    put(shelf, "prod/web.yaml", CONFIG.format(key="cmk", version=old))
    shelf.later_version(key)
    rotation = shelf.open(key)
    wait = timedelta(minutes=4)
    shelf.azure.faults.add(Fault(path="*/web.yaml", times=None, answer=throttled(wait)))
    until = shelf.clock.now() + wait
    shelf.search(rotation)
    lane = shelf.row(Lane, *Lane(lane="stconfigs.blob.core.windows.net").address)
    assert lane.blocked_until
    assert lane.blocked_until >= until


def test_of_what_does_not_say_which_version_it_uses_the_one_that_it_names_is_remembered(
    shelf: Bench,
) -> None:
    """Else nobody could tell which versions a file was ever seen on."""
    key = shelf.key()
    old = shelf.azure.estate.vaults.newest("kv-bench", "cmk")
    put(shelf, "prod/web.yaml", CONFIG.format(key="cmk", version=last(old)))
    new = shelf.later_version(key)
    carry_out(shelf, shelf.open(key))
    (known,) = [kept.row for kept in shelf.rows.scan(Known, digest(key))]
    assert list(known.versions.values()) == [(old, new)]


def test_of_what_says_which_version_it_uses_that_is_remembered(
    start: Callable[..., Bench],
) -> None:
    bench = start()
    key = bench.key()
    account = bench.account("stone", key)
    old, new = bench.in_use(account), bench.later_version(key)
    carry_out(bench, bench.open(key))
    (known,) = [kept.row for kept in bench.rows.scan(Known, digest(key))]
    assert list(known.versions.values()) == [(old, new)]
