"""One writer per resource, and what is remembered of writers that got lost."""

import inspect
from collections.abc import Callable
from datetime import timedelta

import pytest

from sandbox.azurite import Azurite
from shared.adapters.clock import RealClock
from shared.domain import errors
from shared.domain.keys import KeyVersion
from shared.domain.rows import Cause, Lease, Rotation, rotation_id
from shared.ports import Rows
from shared.settings import Settings
from shared.usecases.leases import Leases
from shared.usecases.overdue import LEASE
from shared.wiring import Wiring
from tests.domain.values import ACCOUNT, NOW, OLD, TARGET
from tests.usecases.bench import Forward


def rotation(target: KeyVersion) -> Rotation:
    return Rotation(
        id=rotation_id(target, 1),
        key=str(target.key),
        target=str(target),
        target_created=NOW,
        key_type="RSA",
        run=1,
        cause=Cause(trigger="event", id="e1"),
        opened_at=NOW,
    )


ONE, OTHER = rotation(OLD), rotation(TARGET)


class Died(BaseException):
    """The process is gone."""


@pytest.fixture(name="clock")
def _clock() -> Forward:
    return Forward(RealClock())


@pytest.fixture(name="rows")
def _rows(azurite: Azurite) -> Rows:
    storage = azurite.connection_string(azurite.accounts[-3])
    settings = Settings.from_env({"KEYTURN_VAULTS": "kv1", "AzureWebJobsStorage": storage})
    return Wiring(settings).steer.rows


@pytest.fixture(name="leases")
def _leases(rows: Rows, clock: Forward) -> Leases:
    return Leases(rows, clock)


@pytest.fixture(name="resource")
def _resource(request: pytest.FixtureRequest) -> str:
    return f"{ACCOUNT}-{request.node.name}".replace("[", "-").replace("]", "")


def lost(leases: Leases, resource: str, holder: Rotation) -> None:
    """Take a lease for a write that gets no answer."""
    with pytest.raises(errors.UnansweredError), leases.held(resource, holder):
        raise errors.UnansweredError("no answer")


@pytest.mark.parametrize("second", [ONE, OTHER], ids=["of the same rotation", "of another"])
def test_while_one_step_writes_another_has_to_wait(
    leases: Leases, resource: str, second: Rotation
) -> None:
    with leases.held(resource, ONE) as hold:
        assert timedelta() <= leases.clock.now() + LEASE - hold.until < timedelta(seconds=30)
        with pytest.raises(errors.BusyError, match=ONE.id) as busy, leases.held(resource, second):
            pass
        assert busy.value.retry_after
        assert LEASE - timedelta(seconds=30) < busy.value.retry_after <= LEASE
    with leases.held(resource, second):
        pass


def test_a_resource_is_one_in_whatever_casing_and_others_are_others(
    leases: Leases, resource: str
) -> None:
    with leases.held(resource, ONE):
        with pytest.raises(errors.BusyError), leases.held(resource.upper(), OTHER):
            pass
        with leases.held(f"{resource}x", OTHER):
            pass


def _every_error() -> list[type[errors.KeyturnError]]:
    return [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.KeyturnError) and each is not errors.UnansweredError
    ]


@pytest.mark.parametrize("error", _every_error())
def test_a_lease_is_given_back_after_every_error_that_says_that_no_write_is_under_way(
    leases: Leases, resource: str, error: type[Exception]
) -> None:
    with pytest.raises(error), leases.held(resource, ONE):
        raise error("no")
    with leases.held(resource, OTHER):
        pass
    assert leases.may_be_undone_by(resource) == ()


def unanswered(leases: Leases, resource: str) -> None:
    lost(leases, resource, ONE)


def dead(leases: Leases, resource: str) -> None:
    with pytest.raises(Died), leases.held(resource, ONE):
        raise Died


def unforeseen(leases: Leases, resource: str) -> None:
    def write() -> None:
        with leases.held(resource, ONE) as hold:
            hold.begun = True
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()


@pytest.mark.parametrize("end", [unanswered, unforeseen, dead])
def test_after_a_write_that_may_be_under_way_it_runs_out_by_itself_and_the_next_one_knows(
    leases: Leases,
    clock: Forward,
    resource: str,
    end: Callable[[Leases, str], None],
) -> None:
    end(leases, resource)
    clock.ahead += LEASE - timedelta(seconds=20)
    for second in (ONE, OTHER):
        with pytest.raises(errors.BusyError), leases.held(resource, second):
            pass
    assert leases.may_be_undone_by(resource) == ()
    clock.ahead += timedelta(seconds=21)
    with leases.held(resource, OTHER):
        assert leases.may_be_undone_by(resource) == (ONE.target,)
    assert leases.may_be_undone_by(resource) == (ONE.target,)


def test_what_the_same_rotation_sent_and_never_heard_of_is_remembered_for_the_next(
    leases: Leases, clock: Forward, resource: str
) -> None:
    """Its first write may arrive after its second one was answered."""
    lost(leases, resource, ONE)
    clock.ahead += LEASE
    with leases.held(resource, ONE):
        pass
    with leases.held(resource, OTHER):
        assert leases.may_be_undone_by(resource) == (ONE.target,)


def test_every_version_is_remembered_once_until_nothing_can_hold_its_write_back_any_more(
    leases: Leases, clock: Forward, resource: str
) -> None:
    for holder in (ONE, OTHER, ONE):
        lost(leases, resource, holder)
        clock.ahead += LEASE
    with leases.held(resource, OTHER):
        pass
    assert sorted(leases.may_be_undone_by(resource)) == sorted([ONE.target, OTHER.target])
    clock.ahead += timedelta(days=2) - timedelta(minutes=7)  # since OTHER's was noted, nearly
    assert len(leases.may_be_undone_by(resource)) == 2
    clock.ahead += timedelta(minutes=3)
    assert leases.may_be_undone_by(resource) == (ONE.target,)
    with leases.held(resource, OTHER):
        pass
    clock.ahead += timedelta(minutes=6)
    assert leases.may_be_undone_by(resource) == ()


def test_a_mistake_of_ours_before_any_write_was_begun_keeps_nobody_waiting(
    leases: Leases, resource: str
) -> None:
    with pytest.raises(ZeroDivisionError), leases.held(resource, ONE):
        raise ZeroDivisionError
    with leases.held(resource, OTHER):
        pass
    assert leases.may_be_undone_by(resource) == ()


def test_who_slept_through_its_lease_gives_back_nothing_of_the_next_ones(
    leases: Leases, clock: Forward, rows: Rows, resource: str
) -> None:
    with leases.held(resource, ONE):
        clock.ahead += LEASE
        nexts = leases.held(resource, OTHER)
        nexts.__enter__()
    kept = rows.load(Lease, *Lease(resource=resource, until=NOW).address)
    assert kept
    assert (kept.row.holder, [*kept.row.unanswered]) == (OTHER.id, [ONE.target])
    with pytest.raises(errors.BusyError), leases.held(resource, ONE):
        pass


class Overtaken:
    """Rows that somebody else takes the lease in, right before we do."""

    def __init__(self, rows: Rows, theirs: Lease) -> None:
        self._rows = rows
        self._theirs = theirs

    def load[T: Lease](self, row_type: type[T], partition: str, key: str) -> object:
        found = self._rows.load(row_type, partition, key)
        if found is None:
            self._rows.insert(self._theirs)
        else:
            self._rows.replace(found, self._theirs)
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._rows, name)


@pytest.mark.parametrize("known", [False, True])
def test_of_two_that_take_it_at_once_one_gets_it(
    leases: Leases,
    clock: Forward,
    rows: Rows,
    resource: str,
    known: bool,  # noqa: FBT001 - a table
) -> None:
    if known:
        with leases.held(resource, ONE):
            pass
    theirs = Lease(
        resource=resource, holder=OTHER.id, target=OTHER.target, until=clock.now() + LEASE
    )
    late = Leases(Overtaken(rows, theirs), clock)  # type: ignore[arg-type]
    with pytest.raises(errors.RowConflictError), late.held(resource, ONE):
        pass
    with pytest.raises(errors.BusyError, match=OTHER.id), leases.held(resource, ONE):
        pass


def test_a_resource_that_was_never_written_to_can_be_undone_by_nothing(
    leases: Leases, resource: str
) -> None:
    assert leases.may_be_undone_by(resource) == ()
