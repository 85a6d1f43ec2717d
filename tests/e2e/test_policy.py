"""The policy holds for the running app, and what it says next takes hold within a minute."""

from shared.adapters.policies import KEPT_FOR
from tests.e2e.stage import Stage, consumer, verdicts

OBSERVE = """\
manage: ["*/cmk*"]
defaults: {mode: observe}
rules:
- keys: ["*/cmk-free"]
  mode: auto
"""


def test_what_may_only_be_observed_is_told_and_moved_once_the_policy_lets_it_be(
    stage: Stage,
) -> None:
    key, free = stage.key("cmk-held"), stage.key("cmk-free")
    held, moved = stage.account("stheld", key), stage.account("stfree", free)
    stage.start(policy=OBSERVE)

    told = stage.ended(stage.rotate(key))
    assert told["state"] == "failed"
    assert consumer(told, "stheld")["reason"] == "the policy lets Keyturn only observe it"
    assert stage.writes(held) == 0
    assert verdicts(stage.ended(stage.rotate(free))) == {"stfree": "verified"}
    assert stage.writes(moved) == 1

    stage.write_policy({"mode": "auto"})
    clock = stage.azure.clock
    read_again = clock.now() + KEPT_FOR
    stage.until(lambda: clock.now() > read_again, 10, "the minute")
    target = stage.rotate(key)
    assert verdicts(stage.ended(target)) == {"stheld": "verified"}
    assert stage.in_use(held) == target


def test_while_the_policy_is_wrong_nothing_begins_and_the_log_says_what_is_wrong(
    stage: Stage,
) -> None:
    key = stage.key()
    account = stage.account("stwaits", key)
    stage.start(policy="defaults: {mode: perhaps, failureLimit: 0}")

    target = stage.rotate(key)
    stage.until(lambda: "cannot be used" in stage.log(), 20, "a word in the log")
    assert "#/defaults/mode: 'perhaps' is not one of" in stage.log()
    assert "#/defaults/failureLimit: 0 is less than the minimum of 1" in stage.log()
    assert (stage.rotations(), stage.writes(account)) == ([], 0)

    stage.write_policy({"mode": "auto"})
    assert verdicts(stage.ended(target)) == {"stwaits": "verified"}
