"""Places that cannot be searched: each is said to be unknown, and keeps nobody else waiting."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.azure import LocalAzure
from sandbox.faults import Answer, Fault
from shared.domain.callers import NOBODY
from shared.domain.resources import digest
from shared.domain.rows import Known, Phase
from shared.domain.steps import Discover
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Wave
from shared.usecases.discover import MOST_PATIENCE
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out, found, head, page, searched, verdicts, waves
from tests.usecases.test_places import CONFIG, FORBIDDEN, last, put, text_of

URL = "https://stconfigs.blob.core.windows.net/configs"
GRAPH = "*/resources"


@pytest.fixture(name="start")
def _start(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bench]]:
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield lambda **settings: in_memory(Bench(azure, settings))


@pytest.fixture(name="bench")
def _bench(start: Callable[..., Bench]) -> Bench:
    return start()


@pytest.fixture(name="shelf")
def _shelf(start: Callable[..., Bench]) -> Bench:
    """A bench with two registered sources of deployment configs."""
    bench = start(KEYTURN_CONFIG_SOURCES=f"{URL}/more/,{URL}/prod/")
    account = bench.azure.estate.storage_account(
        "stconfigs", subscription=bench.subscription, key=None
    )
    bench.azure.blobs.allow(account, {"read", "write", "readTags", "writeTags"})
    put(bench, "readme.txt", "no config")
    return bench


def under(bench: Bench, *sources: str) -> Bench:
    """Return the app with the same rows, and other sources registered."""
    settings = {"KEYTURN_CONFIG_SOURCES": ",".join(sources)}
    return Bench(bench.azure, settings, bench.policy, bench.instead)


def rotated(bench: Bench, key: str) -> str:
    """Make a version and carry its rotation out; return the rotation."""
    bench.later_version(key)
    rotation = bench.open(key)
    carry_out(bench, rotation)
    return rotation


def old_version(bench: Bench) -> str:
    return last(bench.azure.estate.vaults.newest(VAULT, "cmk"))


def pages(bench: Bench, rotation: str, most: int = 40) -> int:
    """Run a search page by page, each in its time; return how many tries it took."""
    step = Discover(rotation=rotation)
    for tries in range(1, most + 1):
        seen = len(bench.life.sent)
        bench.run(step)
        again = [(s, when) for s, when in bench.life.sent[seen:] if isinstance(s, Discover)]
        if not again:
            return tries
        step, when = again[0]
        bench.pass_until(when)
    raise AssertionError(f"the search has not ended after {most} tries")


def first_page_after(bench: Bench, rotation: str, source: str) -> int:
    """Search until a source has been; return the number of the next page."""
    for number in range(20):
        bench.run(Discover(rotation=rotation, page=number))
        if source in searched(bench, rotation).after:
            return number + 1
    raise AssertionError(f"{source} has not been searched")


# -- lists of scopes -------------------------------------------------------------------------------


def test_a_list_of_scopes_that_failed_once_fails_no_later_rotation(bench: Bench) -> None:
    key = bench.key()
    bench.azure.estate.storage_account("plain", subscription=bench.subscription, key=None)
    bench.azure.faults.add(Fault(path="*/plain/encryptionscopes", answer=FORBIDDEN))
    bench.later_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert verdicts(bench, rotation) == {"encryptionScopes": Verdict.UNKNOWN}
    bench.steer.retry(rotation, "mended", NOBODY)
    bench.finish(rotation)
    assert list(bench.rows.scan(Known, digest(key))) == []
    assert bench.rotation(rotated(bench, key)).outcome is Outcome.NOTHING_FOUND


def test_a_scope_whose_account_is_gone_fails_no_later_rotation(bench: Bench) -> None:
    key = bench.key()
    plain = bench.azure.estate.storage_account("plain", subscription=bench.subscription, key=None)
    bench.azure.estate.encryption_scope(plain, "ours", key=key)
    assert bench.rotation(rotated(bench, key)).outcome is Outcome.COMPLETED
    bench.azure.estate.delete(plain)
    second = rotated(bench, key)
    assert verdicts(bench, second) == {"ours": Verdict.GONE}
    assert bench.rotation(second).outcome is Outcome.COMPLETED


def test_an_account_without_such_a_service_has_no_scopes(bench: Bench) -> None:
    key = bench.key()
    bench.azure.estate.storage_account("files", subscription=bench.subscription, key=None)
    said = {"error": {"code": "FeatureNotSupportedForAccount", "message": "no blobs"}}
    bench.azure.faults.add(
        Fault(path="*/files/encryptionscopes", answer=Answer(409, said), times=None)
    )
    assert bench.rotation(rotated(bench, key)).outcome is Outcome.NOTHING_FOUND


def test_a_list_of_scopes_that_fails_for_long_is_unknown_and_keeps_no_one_waiting(
    bench: Bench,
) -> None:
    key = bench.key()
    stone = bench.account("stone", key)
    plain = bench.azure.estate.storage_account("plain", subscription=bench.subscription, key=None)
    ours = bench.azure.estate.encryption_scope(plain, "ours", key=key)
    lists = Fault(path="*/stone/encryptionscopes", answer=Answer(503), times=None)
    bench.azure.faults.add(lists)
    new = bench.later_version(key)
    rotation = bench.open(key)
    pages(bench, rotation)
    asked = len([fault for fault, _ in bench.azure.faults.taken if fault is lists])
    assert asked >= MOST_PATIENCE
    assert bench.rotation(rotation).phase is Phase.MOVING
    assert verdicts(bench, rotation) == {"encryptionScopes": Verdict.UNKNOWN}
    bench.azure.faults.clear()
    bench.finish(rotation)
    assert bench.in_use(stone) == new
    assert bench.in_use(ours) == new
    assert bench.rotation(rotation).outcome is Outcome.FAILED


# -- sources of deployment configs -----------------------------------------------------------------


def test_a_file_whose_source_is_not_registered_any_more_is_not_looked_for(shelf: Bench) -> None:
    key = shelf.key()
    text = CONFIG.format(key="cmk", version=old_version(shelf))
    put(shelf, "prod/web.yaml", text)
    first = rotated(shelf, key)
    assert verdicts(shelf, first) == {"web.yaml": Verdict.VERIFIED}
    moved = text_of(shelf, "prod/web.yaml")
    fewer = under(shelf, f"{URL}/more/")
    for _ in range(2):
        second = rotated(fewer, key)
        assert fewer.rotation(second).outcome is Outcome.NOTHING_FOUND
        assert text_of(shelf, "prod/web.yaml") == moved


def test_an_unreadable_file_that_is_taken_out_as_advised_fails_no_later_rotation(
    shelf: Bench,
) -> None:
    key = shelf.key()
    put(shelf, "prod/web.yaml", CONFIG.format(key="other", version="${V}"))
    first = rotated(shelf, key)
    assert shelf.rotation(first).outcome is Outcome.FAILED
    assert verdicts(shelf, first) == {"web.yaml": Verdict.UNKNOWN}
    fewer = under(shelf, f"{URL}/more/")
    assert fewer.rotation(rotated(fewer, key)).outcome is Outcome.NOTHING_FOUND


def test_a_source_that_cannot_be_listed_is_unknown_and_the_search_goes_on(shelf: Bench) -> None:
    key = shelf.key()
    stone = shelf.account("stone", key)
    assert shelf.rotation(rotated(shelf, key)).outcome is Outcome.COMPLETED
    put(shelf, "prod/web.yaml", CONFIG.format(key="cmk", version=old_version(shelf)))
    shelf.azure.faults.add(Fault(method="POST", path=GRAPH, times=None, answer=page()))
    one_gone = under(shelf, "https://stconfigs.blob.core.windows.net/away/", f"{URL}/prod/")
    second = rotated(one_gone, key)
    assert verdicts(shelf, second) == {
        "": Verdict.UNKNOWN,
        "web.yaml": Verdict.VERIFIED,
        "stone": Verdict.VERIFIED,
    }
    assert shelf.rotation(second).outcome is Outcome.FAILED
    assert shelf.in_use(stone) == shelf.azure.estate.vaults.newest(VAULT, "cmk")


@pytest.mark.parametrize("left", ["more", "prod", ""])
def test_a_source_that_is_taken_out_in_the_middle_of_a_search_is_passed_over(
    shelf: Bench, left: str
) -> None:
    key = shelf.key()
    for place in ("more", "prod"):
        text = CONFIG.format(key="cmk", version=old_version(shelf))
        put(shelf, f"{place}/{place}.yaml", text)
    shelf.later_version(key)
    rotation = shelf.open(key)
    number = first_page_after(shelf, rotation, "/more/")
    fewer = under(shelf, *([f"{URL}/{left}/"] if left else []))
    for page_left in range(number, number + 4):
        fewer.run(Discover(rotation=rotation, page=page_left))
    assert fewer.rotation(rotation).phase is Phase.MOVING
    is_found = {"more.yaml"} | ({"prod.yaml"} if left == "prod" else set())
    assert found(fewer, rotation) == is_found


def test_a_file_that_is_not_understood_keeps_no_other_file_waiting(shelf: Bench) -> None:
    key = shelf.key()
    old = old_version(shelf)
    broken = CONFIG.format(key="cmk", version="${V}")
    put(shelf, "prod/a.yaml", broken)
    put(shelf, "prod/b.yaml", CONFIG.format(key="cmk", version=old))
    new = shelf.later_version(key)
    rotation = shelf.open(key)
    shelf.discover(rotation)
    assert waves(shelf, rotation)["a.yaml"] is Wave.CANARY
    shelf.settle(rotation)
    assert head(shelf, key).paused == ""
    assert carry_out(shelf, rotation).outcome is Outcome.FAILED
    assert verdicts(shelf, rotation) == {"a.yaml": Verdict.UNKNOWN, "b.yaml": Verdict.VERIFIED}
    assert text_of(shelf, "prod/a.yaml") == broken
    assert text_of(shelf, "prod/b.yaml") == CONFIG.format(key="cmk", version=last(new))
