"""Two keys of one array, rotated at the same moment, through the real host and its queue."""

from sandbox.arm.several_keys import reference
from tests.e2e.stage import Stage, verdicts


def test_two_keys_of_one_array_that_rotate_at_once_both_end_right(running: Stage) -> None:
    keys = [running.key(), running.key()]
    namespaces = [
        running.azure.estate.resource(
            f"Microsoft.{service}/namespaces",
            running.new_name("ns"),
            subscription=running.subscription,
            key=keys[0],
            more=[keys[1]],
        )
        for service in ("EventHub", "ServiceBus")
    ]

    targets = [running.rotate(key) for key in keys]
    reports = [running.ended(target) for target in targets]

    names = [each.id.rpartition("/")[2] for each in namespaces]
    assert [each["state"] for each in reports] == ["completed", "completed"]
    assert [verdicts(each) for each in reports] == [dict.fromkeys(names, "verified")] * 2
    truth = running.azure.estate.truth
    for each in namespaces:
        assert [truth.version_in_use(reference(each.id, n)) for n in (0, 1)] == targets
        # The second was planned on what the first had written: neither took the other's back.
        assert truth.writes(each.id) == 2
