"""What uses which key, from a laptop: real clients, real host names, a signed-in Azure CLI."""

import csv
import io
from typing import Any

import msgspec
import pytest

from sandbox.faults import Answer, Fault
from tests.cli.desk import KEYS, ME, READER, Desk, plain
from tests.cli.estates import VAULT, Small

KEY = f"{VAULT}/cmk-payments"


def by_name(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["name"]: row for row in rows}


# -- inventory -----------------------------------------------------------------------------------


def test_the_inventory_has_every_consumer_with_its_form_and_version(
    desk: Desk, found: Small
) -> None:
    ran = desk.run_apart("inventory", "-o", "json")
    rows = by_name(ran.json())
    told = {name: (row["form"], row["names"], row["inUse"]) for name, row in rows.items()}
    assert told == {
        "cg-batch": ("pinned", found.old, None),
        "cosmos-orders": ("following", None, found.old),
        "stinvoices": ("following", None, found.old),
        "stledger": ("pinned", found.old, found.old),
        "stmoved": ("pinned", found.new, found.new),
        "stmoved/tenant-a": ("pinned", found.old, found.old),
    }
    assert {row["newest"] for row in rows.values()} == {found.new}
    assert {name for name, row in rows.items() if row["state"] == "current"} == {"stmoved"}
    assert "6 consumers in 2 readable subscriptions: 1 current, 5 stale." in ran.err
    assert ran.code == 3


def test_what_would_break_is_who_names_uses_or_follows_the_version(
    desk: Desk, found: Small
) -> None:
    def broken(version: str) -> set[str]:
        rows = desk.run("inventory", "--if-disabled", version, "-o", "json").json()
        return {str(row["name"]) for row in rows if row["ifDisabled"] == "breaks"}

    old = broken(found.old.rpartition("/")[2])
    assert old == {"cg-batch", "cosmos-orders", "stinvoices", "stledger", "stmoved/tenant-a"}
    # Those that name no version follow the newest one, whenever their service comes to it.
    assert broken(found.new) == {"stmoved", "stinvoices", "cosmos-orders"}
    elsewhere = found.old.replace(VAULT, "kv-restored")
    assert broken(elsewhere) == set(), "a restored key keeps its version ids"
    as_in_some_bodies = found.old.replace(".net/", ".net:443/").upper()
    assert broken(as_in_some_bodies) == old


@pytest.mark.parametrize("args", [(), ("--key", KEY)])
def test_a_version_that_no_key_has_is_no_all_clear(desk: Desk, args: tuple[str, ...]) -> None:
    ran = desk.run("inventory", "--if-disabled", "0" * 32, *args)
    assert ran.code == 3
    assert ran.err.endswith("No key that was looked at has this version.\n")


def test_a_version_of_a_key_that_nothing_uses_breaks_nothing(desk: Desk) -> None:
    unused = desk.azure.estate.vault(VAULT).create_key("cmk-unused")
    ran = desk.run("inventory", "--key", f"{VAULT}/cmk-unused", "--if-disabled", unused)
    assert ran.code == 0
    assert "nothing would break" in ran.err


def test_what_is_only_configured_is_not_said_to_be_in_use(desk: Desk, found: Small) -> None:
    estate = desk.azure.estate
    made = estate.container_group("cg-new", subscription=found.research, key=found.new)
    args = ("--subscription", found.research, "--if-disabled", found.old)
    try:
        ran = desk.run("inventory", *args, "-o", "json")
    finally:
        estate.delete(made)
    rows = by_name(ran.json())
    assert (rows["cg-new"]["state"], rows["cg-new"]["ifDisabled"]) == ("current", "unknown")
    assert rows["cg-batch"]["ifDisabled"] == "breaks", "it names the version"
    assert "1 current (1 as configured), 1 stale" in ran.err
    assert "1 would break, 1 cannot be told" in ran.err


def test_a_key_that_does_not_exist_is_not_found(desk: Desk) -> None:
    ran = desk.run("inventory", "--key", f"{VAULT}/no-such-key")
    assert (ran.code, ran.out) == (5, "")
    assert "no-such-key" in ran.err.splitlines()[-1]


def test_the_inventory_of_a_subscription_has_no_other(desk: Desk, found: Small) -> None:
    for name in ("Research", found.research):
        rows = desk.run("inventory", "--subscription", name, "-o", "json").json()
        assert [row["name"] for row in rows] == ["cg-batch"]


def test_a_management_group_is_searched_below(desk: Desk, found: Small) -> None:
    estate = desk.azure.estate
    estate.management_group("mg-lab", {found.research: "Research"})
    estate.management_group("mg-empty", {})
    group = "/providers/Microsoft.Management/managementGroups"
    estate.arm.rbac.allow(ME, READER, f"{group}/mg-lab")
    estate.arm.rbac.allow(ME, READER, f"{group}/mg-empty")
    rows = desk.run("inventory", "--management-group", "mg-lab", "-o", "json").json()
    assert [row["name"] for row in rows] == ["cg-batch"]
    empty = desk.run("inventory", "--management-group", "mg-empty")
    assert (empty.code, empty.out) == (2, "")
    assert "no subscription lies below 'mg-empty'" in empty.err


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["--key", KEY], 6),
        (["--vault", VAULT, "--key", "cmk-payments"], 6),
        (["--vault", VAULT], 6),
        (["--vault", "kv-another"], 0),
    ],
)
def test_keys_and_vaults_narrow_the_inventory(desk: Desk, args: list[str], names: int) -> None:
    assert len(desk.run("inventory", *args, "-o", "json").json()) == names


def test_nothing_found_says_where_was_searched_and_is_fine(desk: Desk) -> None:
    ran = desk.run("inventory", "--vault", "kv-another")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "No consumer found in 2 readable subscriptions.\n"


def test_a_fresh_read_sees_what_the_inventory_does_not_know_yet(desk: Desk, found: Small) -> None:
    graph, account = desk.azure.estate.resource_graph, "stlate"
    made = desk.azure.estate.storage_account(
        account, subscription=found.research, key=found.old, version="pinned"
    )
    stale_row = desk.azure.estate.arm.resources.snapshot(desk.azure.clock.now())
    body = next(body for identifier, body in stale_row if identifier.name == account)
    page = {"data": [body], "totalRecords": 1, "count": 1, "resultTruncated": "false"}
    try:
        desk.azure.estate.arm.rbac.allow(ME, {"*"}, f"/subscriptions/{found.research}")
        _patch(desk, made.id, found.new)
        for fresh, version in ((False, found.old), (True, found.new)):
            desk.azure.faults.add(
                Fault(method="POST", path="*ResourceGraph*", answer=Answer(200, page))
            )
            args = ["--subscription", found.research, *(["--fresh"] if fresh else [])]
            rows = by_name(desk.run("inventory", *args, "-o", "json").json())
            assert rows[account]["names"] == version
    finally:
        desk.azure.estate.delete(made)
        assert graph is not None


def _patch(desk: Desk, account: str, version: str) -> None:
    import requests  # noqa: PLC0415 - here alone

    token = desk.azure.tokens.issue("https://management.azure.com", principal=ME)
    encryption = {
        "keySource": "Microsoft.Keyvault",
        "keyvaultproperties": {
            "keyvaulturi": f"https://{VAULT}.vault.azure.net",
            "keyname": "cmk-payments",
            "keyversion": version.rpartition("/")[2],
        },
    }
    answer = requests.patch(
        f"https://management.azure.com{account}?api-version=2024-01-01",
        json={"properties": {"encryption": encryption}},
        headers={"Authorization": f"Bearer {token}"},
        proxies={"https": desk.azure.serving.proxy.url},
        verify=str(desk.azure.serving.ca_file),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def test_a_subscription_that_cannot_be_read_whole_is_no_success(desk: Desk) -> None:
    hidden = desk.azure.estate.subscription("Hidden")
    rbac, scope = desk.azure.estate.arm.rbac, f"/subscriptions/{hidden}"
    rbac.allow(ME, {"Microsoft.Resources/subscriptions/read"}, scope)
    try:
        ran = desk.run("inventory", "--vault", "kv-another")
    finally:
        rbac.revoke(ME, scope)
    assert ran.code == 3
    assert "1 not readable" in ran.err
    assert "keyturn doctor" in ran.err


def test_a_plan_of_what_cannot_be_read_whole_is_no_success(desk: Desk, found: Small) -> None:
    key = desk.azure.estate.vault(VAULT).create_key("cmk-planned").rpartition("/")[0]
    assert desk.run("plan", key).code == 0
    hidden = desk.azure.estate.subscription("Hidden")
    rbac, scope = desk.azure.estate.arm.rbac, f"/subscriptions/{hidden}"
    rbac.allow(ME, {"Microsoft.Resources/subscriptions/read"}, scope)
    try:
        half = desk.run("plan", key)
    finally:
        rbac.revoke(ME, scope)
    readable = [f"/subscriptions/{each}" for each in (found.payments, found.research)]
    for each in readable:
        rbac.revoke(ME, each)
    try:
        none = desk.run("plan", key)
    finally:
        for each in readable:
            rbac.allow(ME, READER, each)
    for ran in (half, none):
        assert ran.code == 3
        assert "keyturn doctor" in ran.err


def test_a_name_that_two_subscriptions_have_means_neither(desk: Desk) -> None:
    rbac = desk.azure.estate.arm.rbac
    twins = [desk.azure.estate.subscription(name) for name in ("Twin", "twin")]
    for each in twins:
        rbac.allow(ME, READER, f"/subscriptions/{each}")
    try:
        ran = desk.run("inventory", "--subscription", "Twin")
    finally:
        for each in twins:
            rbac.revoke(ME, f"/subscriptions/{each}")
    assert (ran.code, ran.out) == (2, "")
    assert all(each in ran.err for each in twins)


def test_a_vault_that_cannot_be_read_leaves_its_consumers_unknown(desk: Desk, found: Small) -> None:
    vault = desk.azure.estate.vault("kv-closed", subscription=found.research)
    old = vault.create_key("cmk")
    account = desk.azure.estate.storage_account(
        "stclosed", subscription=found.research, key=old, version="pinned"
    )
    try:
        ran = desk.run("inventory", "--vault", "kv-closed", "-o", "json")
    finally:
        desk.azure.estate.delete(account)
    (row,) = ran.json()
    assert (ran.code, row["state"], row["newest"]) == (3, "unknown", None)
    assert "403" in str(row["problem"])


def test_throttled_requests_wait_and_are_sent_again(desk: Desk) -> None:
    said = {"error": {"code": "RateLimiting", "message": "wait"}}
    answer = Answer(429, said, {"retry-after": "1"})
    desk.azure.faults.add(Fault(method="POST", path="*ResourceGraph*", times=2, answer=answer))
    assert len(desk.run("inventory", "-o", "json").json()) == 6


# -- one key -------------------------------------------------------------------------------------


def test_versions_come_newest_first_and_say_which_is_current(desk: Desk, found: Small) -> None:
    ran = desk.run("versions", KEY, "-o", "json")
    told = [(row["version"], row["current"], row["problem"]) for row in ran.json()]
    assert told == [(found.new, True, None), (found.old, False, None)]
    assert ran.code == 0
    assert desk.run("versions", found.old, "-o", "json").json() == ran.json()


def test_a_current_version_that_cannot_be_used_needs_somebody(desk: Desk, found: Small) -> None:
    vault = desk.azure.estate.vault("kv-dark", subscription=found.research)
    vault.grant(ME, KEYS)
    vault.create_key("cmk")
    newest = vault.rotate("cmk")
    vault.set_enabled(newest, False)
    ran = desk.run("versions", "kv-dark/cmk")
    assert ran.code == 3
    assert "disabled" in ran.out
    assert "follow the current one all the same" in ran.err


def test_verify_proves_by_the_rule_of_each_kind(desk: Desk, found: Small) -> None:
    ran = desk.run("verify", KEY, "-o", "json")
    rows = by_name(ran.json())
    proven = {name: row["level"] for name, row in rows.items() if row["proven"]}
    assert proven == {"stmoved": "reported"}
    assert rows["stledger"]["seen"] == f"currentVersionedKeyIdentifier is {found.old}"
    assert ran.code == 3


def test_the_plan_says_what_a_rotation_would_do(desk: Desk) -> None:
    ran = desk.run("plan", KEY, "-o", "json")
    actions = {row["name"]: row["action"] for row in ran.json()}
    assert actions == {
        "cg-batch": "manual",
        "cosmos-orders": "verify",
        "stinvoices": "verify",
        "stledger": "repoint",
        "stmoved": "verify",
        "stmoved/tenant-a": "repoint",
    }
    assert ran.code == 3
    new = desk.run("plan", KEY, "--new-version", "-o", "json").json()
    assert by_name(new)["stmoved"]["action"] == "repoint"


def test_the_plan_is_made_under_the_policy(desk: Desk) -> None:
    (desk.folder / "observe.yaml").write_text("defaults: {mode: observe}\n")
    rows = by_name(desk.run("plan", KEY, "--policy", "observe.yaml", "-o", "json").json())
    assert rows["stledger"]["action"] == "manual"
    (desk.folder / "bad.yaml").write_text("modes: 1\n")
    bad = desk.run("plan", KEY, "--policy", "bad.yaml")
    assert (bad.code, bad.out) == (1, "")
    assert "keyturn policy check FILE" in bad.err


def test_nothing_is_written_by_what_reads(desk: Desk) -> None:
    before = len(desk.azure.front_door.traffic())
    for args in (["inventory", "--fresh"], ["plan", KEY], ["verify", KEY], ["doctor"]):
        desk.run(*args)
    sent = {(c.method, c.path.rpartition("/")[2]) for c in desk.azure.front_door.traffic()[before:]}
    assert {method for method, _ in sent} <= {"GET", "POST"}
    assert {path for method, path in sent if method == "POST"} == {"resources"}


# -- policy --------------------------------------------------------------------------------------


def test_a_policy_is_checked_without_a_network_and_every_problem_listed(desk: Desk) -> None:
    (desk.folder / "p.yaml").write_text("version: 2\ndefaults: {mode: yes, windows: 1}\n")
    ran = desk.run("policy", "check", "p.yaml", "-o", "json", env={"HTTPS_PROXY": "", "PATH": ""})
    assert ran.code == 1
    assert [str(row["problem"]).partition(":")[0] for row in ran.json()] == [
        "#/version",
        "#/defaults/mode",
        "#/defaults/windows",
    ]
    good = desk.run("policy", "check", "-", stdin="version: 1\n")
    assert (good.code, good.out) == (0, "")
    assert "- is good: 0 rules" in good.err
    absent = desk.run("policy", "check", "nowhere.yaml")
    assert absent.code == 1
    assert "No such file or directory" in absent.out


def test_a_policy_to_begin_with_names_the_keys_that_were_found_and_is_good(desk: Desk) -> None:
    begun = desk.run("policy", "init", "--subscription", "Payments")
    assert f'  - "{KEY}"  # 5 consumers' in begun.out
    assert begun.code == 0
    assert desk.run("policy", "check", "-", stdin=begun.out).code == 0


def test_a_policy_to_begin_with_says_what_could_not_be_read(desk: Desk) -> None:
    said = {"error": {"code": "AuthorizationFailed", "message": "You\nmay: not."}}
    path = "*/stmoved/encryptionScopes"
    desk.azure.faults.add(Fault(method="GET", path=path, answer=Answer(403, said), times=None))
    begun = desk.run("policy", "init")
    assert begun.code == 3
    assert "# 1 consumer could not be read, and may use a key that\n" in begun.out
    (named,) = [line for line in begun.out.splitlines() if "stmoved/encryptionScopes" in line]
    assert named.startswith("#   /subscriptions/")
    assert "may: not." in named
    warned = begun.err.splitlines()[-1]
    assert warned.startswith("keyturn: 1 consumer could not be read")
    assert "stmoved/encryptionScopes" in warned
    desk.azure.faults.clear()
    assert desk.run("policy", "check", "-", stdin=begun.out).code == 0


def test_a_policy_to_begin_with_looks_into_deployment_configs_too(desk: Desk) -> None:
    source = "https://stnowhere.blob.core.windows.net/configs"
    for args, env in ((("--config-source", source), {}), ((), {"KEYTURN_CONFIG_SOURCES": source})):
        begun = desk.run("policy", "init", "--vault", VAULT, *args, env=env)
        assert begun.code == 3
        assert "stnowhere" in begun.out, "it could not be read, and is named"


def test_a_policy_to_begin_with_says_where_could_not_be_searched(desk: Desk) -> None:
    hidden = desk.azure.estate.subscription("Hidden")
    rbac, scope = desk.azure.estate.arm.rbac, f"/subscriptions/{hidden}"
    rbac.allow(ME, {"Microsoft.Resources/subscriptions/read"}, scope)
    try:
        begun = desk.run("policy", "init", "--vault", VAULT)
    finally:
        rbac.revoke(ME, scope)
    assert begun.code == 3
    assert "# What could not be searched may use keys that are not named here" in begun.out
    assert "1 not readable" in begun.out


# -- how it is written ---------------------------------------------------------------------------


def test_every_form_says_the_same(desk: Desk) -> None:
    rows = desk.run("inventory", "-o", "json").json()
    yaml = msgspec.yaml.decode(desk.run("inventory", "-o", "yaml").out)
    assert yaml == rows
    read = list(csv.DictReader(io.StringIO(desk.run("inventory", "-o", "csv").out)))
    assert read == [{name: value or "" for name, value in row.items()} for row in rows]


def test_nothing_is_cut_or_coloured_where_it_is_piped(desk: Desk) -> None:
    ran = desk.run_apart("inventory", env={"COLUMNS": "40", "TERM": "xterm-256color"})
    assert "\x1b" not in ran.out + ran.err
    assert len(ran.out.splitlines()) == 7
    assert all("…" not in line and not line.endswith(" ") for line in ran.out.splitlines())
    assert "storage account with its file shares" in ran.out


@pytest.mark.parametrize("columns", [200, 100, 60, 30])
def test_a_narrow_terminal_has_fewer_columns_and_no_broken_lines(desk: Desk, columns: int) -> None:
    shown = plain(desk.on_terminal("inventory", columns=columns).out)
    table = [line for line in shown.splitlines() if line.endswith(("STATE", "stale", "current"))]
    assert len(table) == 7
    assert all(len(line.rpartition("\r")[2]) <= columns for line in table)
    assert ("no room here for" in shown) == (columns < 200)


def test_progress_is_shown_on_a_terminal_and_quiet_has_none(desk: Desk) -> None:
    assert "Searching 2 readable subscriptions: " in plain(desk.on_terminal("inventory").out)
    quiet = desk.on_terminal("inventory", "--quiet").out
    assert "Searching" not in quiet
    assert "readable subscriptions" not in quiet


def test_no_color_is_heeded(desk: Desk) -> None:
    assert "\x1b[33mstale" in desk.on_terminal("inventory").out
    assert "\x1b[33m" not in desk.on_terminal("inventory", env={"NO_COLOR": "1"}).out
