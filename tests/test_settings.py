"""The settings: read once, checked whole, every problem at once."""

import pytest

from shared.domain.policy import Settings as PolicySettings
from shared.settings import MOVED, Settings, SettingsError

STORAGE = "AzureWebJobsStorage"
GOOD = {"KEYTURN_VAULTS": "kv1", STORAGE: "UseDevelopmentStorage=true"}
LOCAL = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"


def problems(**changed: str) -> list[str]:
    with pytest.raises(SettingsError) as found:
        Settings.from_env({**GOOD, **changed})
    return found.value.problems


def test_what_is_not_set_has_its_default() -> None:
    settings = Settings.from_env(GOOD)
    assert settings.cloud.name == "AzureCloud"
    assert settings.vaults == {"kv1.vault.azure.net"}
    assert settings.sweep_schedule == "0 */15 * * * *"
    assert settings.policy == ""
    assert settings.app_service_auth is False
    assert (settings.config_sources, settings.blob_canary) == ((), "")
    assert settings.client_id == settings.topic == settings.sandbox_clock == ""
    assert settings.telemetry == ""
    assert settings.storage.connection_string == "UseDevelopmentStorage=true"


def test_what_is_set_to_nothing_has_its_default_too() -> None:
    names = [
        "KEYTURN_CLOUD",
        "KEYTURN_SWEEP_SCHEDULE",
        "KEYTURN_POLICY",
        "KEYTURN_AUTH",
        *MOVED,
        "KEYTURN_CONFIG_SOURCES",
        "KEYTURN_BLOB_CANARY",
        "KEYTURN_TOPIC_ENDPOINT",
        "KEYTURN_TELEMETRY",
        "KEYTURN_SANDBOX_CLOCK",
        "AZURE_CLIENT_ID",
    ]
    assert Settings.from_env({**GOOD, **dict.fromkeys(names, " ")}) == Settings.from_env(GOOD)


def test_every_problem_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as found:
        Settings.from_env(
            {
                "KEYTURN_CLOUD": "AzureMars",
                "KEYTURN_VAULTS": "kv_1",
                "KEYTURN_SWEEP_SCHEDULE": "often",
                "KEYTURN_POLICY": "https://example.com/keyturn.yaml",
                "KEYTURN_AUTH": "none",
                "KEYTURN_SUBSCRIPTIONS": "one, two",
                "KEYTURN_VERSIONLESS": "nudge",
                "KEYTURN_CONFIG_SOURCES": "https://example.com/configs",
                "KEYTURN_BLOB_CANARY": "A B",
                "KEYTURN_TOPIC_ENDPOINT": "http://topic",
                "KEYTURN_SANDBOX_CLOCK": "2026-11-23T18:00:00+00:00 x60",
            }
        )
    text = str(found.value)
    assert text.startswith("Keyturn's settings have 13 problem(s):\n  - ")
    for name in (
        "KEYTURN_CLOUD is 'AzureMars'",
        "'kv_1' is no vault",
        "KEYTURN_VAULTS names no vault",
        "KEYTURN_SWEEP_SCHEDULE is 'often'",
        "KEYTURN_POLICY is 'https://example.com/keyturn.yaml'",
        "KEYTURN_AUTH is 'none', neither 'keys' nor 'app_service'",
        "KEYTURN_SUBSCRIPTIONS is a setting of the policy now: subscriptions",
        "KEYTURN_VERSIONLESS is a setting of the policy now: versionless",
        "KEYTURN_CONFIG_SOURCES: not a blob container of AzureCloud",
        "KEYTURN_BLOB_CANARY is 'A B': not the name of a blob container",
        "KEYTURN_TOPIC_ENDPOINT is 'http://topic'",
        f"{STORAGE} is not set",
        "KEYTURN_SANDBOX_CLOCK is for the sandbox alone",
    ):
        assert sum(name in line for line in text.splitlines()) == 1, name


@pytest.mark.parametrize(
    ("cloud", "listed", "vaults"),
    [
        pytest.param("AzureCloud", "kv1", {"kv1.vault.azure.net"}, id="a name"),
        pytest.param("AzureCloud", "KV1.vault.azure.net", {"kv1.vault.azure.net"}, id="a host"),
        pytest.param(
            "AzureCloud", "hsm1.managedhsm.azure.net", {"hsm1.managedhsm.azure.net"}, id="an HSM"
        ),
        pytest.param(
            "AzureCloud",
            " kv1 , ,kv2,kv1.vault.azure.net,",
            {"kv1.vault.azure.net", "kv2.vault.azure.net"},
            id="several, blanks, one twice",
        ),
        pytest.param("AzureChinaCloud", "kv1", {"kv1.vault.azure.cn"}, id="another cloud"),
        pytest.param(
            "AzureUSGovernment",
            "kv1.vault.usgovcloudapi.net",
            {"kv1.vault.usgovcloudapi.net"},
            id="a host of another cloud",
        ),
    ],
)
def test_the_allow_list_holds_hosts(cloud: str, listed: str, vaults: set[str]) -> None:
    env = {**GOOD, "KEYTURN_CLOUD": cloud, "KEYTURN_VAULTS": listed}
    assert Settings.from_env(env).vaults == vaults


@pytest.mark.parametrize(
    "vault",
    ["kv1.evil.example", "https://kv1.vault.azure.net", "kv1.vault.azure.cn", "*", "kv1;kv2"],
)
def test_what_is_no_vault_of_the_cloud_is_a_problem(vault: str) -> None:
    (problem,) = problems(KEYTURN_VAULTS=f"kv1,{vault}")
    assert problem == (
        f"KEYTURN_VAULTS: {vault!r} is no vault of AzureCloud:"
        " expected NAME.vault.azure.net or NAME.managedhsm.azure.net"
    )


@pytest.mark.parametrize("vaults", ["", " ", ","])
def test_no_vault_is_a_problem(vaults: str) -> None:
    assert problems(KEYTURN_VAULTS=vaults) == [
        "KEYTURN_VAULTS names no vault: list those that Keyturn may manage"
    ]


@pytest.mark.parametrize("schedule", ["*/15 * * * *", "0 0 * * * * *", "00:15:00", "x"])
def test_a_schedule_of_other_than_six_fields_is_a_problem(schedule: str) -> None:
    (problem,) = problems(KEYTURN_SWEEP_SCHEDULE=schedule)
    assert "not six fields" in problem


@pytest.mark.parametrize("name", MOVED)
def test_a_setting_that_has_moved_into_the_policy_is_a_problem_that_names_its_new_place(
    name: str,
) -> None:
    assert problems(**{name: "5"}) == [f"{name} is a setting of the policy now: {MOVED[name]}"]
    assert MOVED[name] in PolicySettings.__struct_encode_fields__


@pytest.mark.parametrize(
    ("cloud", "place"),
    [
        ("AzureCloud", "keyturn.yaml"),
        ("AzureCloud", "/etc/keyturn/keyturn.yaml"),
        ("AzureCloud", "https://stpolicy.blob.core.windows.net/policies/prod/keyturn.yaml"),
        ("AzureChinaCloud", "https://stpolicy.blob.core.chinacloudapi.cn/policies/keyturn.yaml"),
    ],
)
def test_the_policy_lies_in_a_file_or_a_blob(cloud: str, place: str) -> None:
    env = {**GOOD, "KEYTURN_CLOUD": cloud, "KEYTURN_POLICY": f" {place} "}
    assert Settings.from_env(env).policy == place


@pytest.mark.parametrize(
    "place",
    [
        "http://stpolicy.blob.core.windows.net/policies/keyturn.yaml",
        "https://stpolicy.blob.core.windows.net/policies",
        "https://stpolicy.blob.core.windows.net",
        "https://stpolicy.blob.core.chinacloudapi.cn/policies/keyturn.yaml",
        "https://stpolicy.blob.core.windows.net.evil.example/policies/keyturn.yaml",
        "https://me@stpolicy.blob.core.windows.net/policies/keyturn.yaml",
        "https://stpolicy.blob.core.windows.net:8443/policies/keyturn.yaml",
        "https://st.policy.blob.core.windows.net/policies/keyturn.yaml",
        "https://evil.example/stpolicy.blob.core.windows.net/keyturn.yaml",
        "file:///etc/keyturn.yaml",
    ],
)
def test_a_policy_at_another_host_or_no_blob_is_a_problem(place: str) -> None:
    (problem,) = problems(KEYTURN_POLICY=place)
    assert problem == (
        f"KEYTURN_POLICY is {place!r}, neither a path in the app's folder nor"
        " 'https://ACCOUNT.blob.core.windows.net/CONTAINER/keyturn.yaml'"
    )


def test_a_signature_in_the_policys_address_is_refused_and_not_repeated() -> None:
    place = "https://stpolicy.blob.core.windows.net/policies/keyturn.yaml?sig=c2VjcmV0"
    (problem,) = problems(KEYTURN_POLICY=place)
    assert "c2VjcmV0" not in problem


@pytest.mark.parametrize(("auth", "is_on"), [("keys", False), (" app_service ", True)])
def test_who_lets_callers_in(auth: str, is_on: bool) -> None:  # noqa: FBT001 - a table
    assert Settings.from_env({**GOOD, "KEYTURN_AUTH": auth}).app_service_auth is is_on


@pytest.mark.parametrize("auth", ["App_Service", "true", "easy", "keys,app_service"])
def test_somebody_else_who_lets_them_in_is_a_problem(auth: str) -> None:
    assert problems(KEYTURN_AUTH=auth) == [
        f"KEYTURN_AUTH is {auth!r}, neither 'keys' nor 'app_service'"
    ]


def test_deployment_configs_lie_in_containers_each_named_once() -> None:
    one, other = (f"https://st1.blob.core.windows.net/{part}" for part in ("a", "abc"))
    sources = [f"{other}/prod/", f"{other}?tag=env=prod", f"{other}/prod/"]
    found = Settings.from_env({**GOOD, "KEYTURN_CONFIG_SOURCES": " , ".join(sources)})
    assert found.config_sources == tuple(sources[:2])
    (problem,) = problems(KEYTURN_CONFIG_SOURCES=f"{sources[0]},{one}")
    assert one in problem


@pytest.mark.parametrize("name", ["canary", "a-1", "000"])
def test_the_canarys_container_is_a_name_and_no_path(name: str) -> None:
    assert Settings.from_env({**GOOD, "KEYTURN_BLOB_CANARY": name}).blob_canary == name
    for wrong in (f"/{name}", f"{name}/x", f"{name}-", name.upper() + "Q"):
        assert len(problems(KEYTURN_BLOB_CANARY=wrong)) == 1


@pytest.mark.parametrize(
    "topic",
    [
        "http://t.westeurope-1.eventgrid.azure.net/api/events",
        "https://t.westeurope-1.eventgrid.azure.net",
        "https://evil.example/api/events",
        "https://t.westeurope-1.eventgrid.azure.net/api/events?x=1",
        "https://me@t.westeurope-1.eventgrid.azure.net/api/events",
        "https://evil.example/x.eventgrid.azure.net/api/events",
    ],
)
def test_a_topic_that_is_none_is_a_problem(topic: str) -> None:
    (problem,) = problems(KEYTURN_TOPIC_ENDPOINT=topic)
    assert "KEYTURN_TOPIC_ENDPOINT" in problem


def test_a_topic_is_taken_as_it_is() -> None:
    topic = "https://keyturn.westeurope-1.eventgrid.azure.net/api/events"
    assert Settings.from_env({**GOOD, "KEYTURN_TOPIC_ENDPOINT": topic}).topic == topic


@pytest.mark.parametrize(
    ("env", "urls"),
    [
        pytest.param(
            {"__accountName": "st1"},
            (
                "https://st1.blob.core.windows.net",
                "https://st1.queue.core.windows.net",
                "https://st1.table.core.windows.net",
            ),
            id="the account's name",
        ),
        pytest.param(
            {"__accountName": "st1", "KEYTURN_CLOUD": "AzureChinaCloud"},
            (
                "https://st1.blob.core.chinacloudapi.cn",
                "https://st1.queue.core.chinacloudapi.cn",
                "https://st1.table.core.chinacloudapi.cn",
            ),
            id="the account's name in another cloud",
        ),
        pytest.param(
            {
                "__blobServiceUri": "https://st1.blob.core.windows.net",
                "__queueServiceUri": "https://st1.queue.core.windows.net/",
                "__tableServiceUri": "https://st1.table.core.windows.net",
            },
            (
                "https://st1.blob.core.windows.net",
                "https://st1.queue.core.windows.net/",
                "https://st1.table.core.windows.net",
            ),
            id="every endpoint",
        ),
        pytest.param(
            {"__accountName": "st1", "__blobServiceUri": "https://st2.blob.core.windows.net"},
            (
                "https://st2.blob.core.windows.net",
                "https://st1.queue.core.windows.net",
                "https://st1.table.core.windows.net",
            ),
            id="one endpoint elsewhere",
        ),
    ],
)
def test_storage_is_reached_by_identity(env: dict[str, str], urls: tuple[str, ...]) -> None:
    named = {
        f"{STORAGE}{name}" if name.startswith("__") else name: value for name, value in env.items()
    }
    storage = Settings.from_env({"KEYTURN_VAULTS": "kv1", **named}).storage
    assert (storage.blob_url, storage.queue_url, storage.table_url) == urls
    assert storage.connection_string == ""


@pytest.mark.parametrize("name", ["__queueServiceUri", "__tableServiceUri", "__blobServiceUri"])
def test_one_endpoint_is_not_enough_nor_are_two(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{STORAGE} is not set"):
        Settings.from_env({"KEYTURN_VAULTS": "kv1", f"{STORAGE}{name}": "https://x"})
    services = {
        f"{STORAGE}__{service}ServiceUri": f"https://st1.{service}.core.windows.net"
        for service in ("blob", "queue", "table")
    }
    del services[f"{STORAGE}{name}"]
    with pytest.raises(SettingsError, match=f"{STORAGE} is not set"):
        Settings.from_env({"KEYTURN_VAULTS": "kv1", **services})


def test_the_sandboxs_clock_is_taken_with_the_sandboxs_storage() -> None:
    clock = "2026-11-23T18:00:00+00:00 x60"
    env = {**GOOD, STORAGE: LOCAL, "KEYTURN_SANDBOX_CLOCK": clock}
    assert Settings.from_env(env).sandbox_clock == clock


@pytest.mark.parametrize(
    "storage",
    [
        "DefaultEndpointsProtocol=https;AccountName=st1;AccountKey=x",
        "UseDevelopmentStorage=true",
        "DefaultEndpointsProtocol=http;AccountName=st1;TableEndpoint=http://10.0.0.1/st1",
    ],
)
def test_the_sandboxs_clock_is_refused_with_any_other_storage(storage: str) -> None:
    clock = "2026-11-23T18:00:00+00:00 x60"
    (problem,) = problems(**{STORAGE: storage, "KEYTURN_SANDBOX_CLOCK": clock})
    assert "for the sandbox alone" in problem


@pytest.mark.parametrize(
    "clock",
    [
        "now",
        "x60",
        "2026-11-23T18:00:00+00:00",
        "2026-11-23T18:00:00 x60",
        "2026-11-23T18:00:00+00:00 x0",
    ],
)
def test_a_clock_of_another_form_is_a_problem(clock: str) -> None:
    (problem,) = problems(**{STORAGE: LOCAL, "KEYTURN_SANDBOX_CLOCK": clock})
    assert "KEYTURN_SANDBOX_CLOCK is" in problem


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AZURE_CLIENT_ID", "my-identity", "AZURE_CLIENT_ID is 'my-identity', no client id"),
        ("KEYTURN_SWEEP_SCHEDULE", "a$ b c d e f", "KEYTURN_SWEEP_SCHEDULE is 'a$ b c d e f', not"),
        ("KEYTURN_TOPIC_ENDPOINT", "https://x.eu-1.eventgrid.evil.example/api/events", "is 'https"),
        (STORAGE, "not a connection string", f"{STORAGE} is no connection string"),
        (STORAGE, "DefaultEndpointsProtocol=https", f"{STORAGE} is no connection string"),
        (
            f"{STORAGE}__accountName",
            "evil.example/",
            f"{STORAGE}__queueServiceUri is 'https://evil",
        ),
        (f"{STORAGE}__queueServiceUri", "https://evil.example", "not 'https://ACCOUNT.queue.core"),
        (f"{STORAGE}__blobServiceUri", "https://evil.example", "not 'https://ACCOUNT.blob.core"),
    ],
)
def test_what_would_fail_later_or_send_a_token_elsewhere_is_a_problem_now(
    name: str, value: str, said: str
) -> None:
    assert any(said in problem for problem in problems(**{name: value}))


def test_the_key_in_a_topics_address_is_not_repeated() -> None:
    topic = "https://x.eu-1.eventgrid.azure.net/api/events?aeg-sas-key=c2VjcmV0"
    (problem,) = problems(KEYTURN_TOPIC_ENDPOINT=topic)
    assert "c2VjcmV0" not in problem


def test_announcements_in_another_cloud_are_refused_as_not_there_yet() -> None:
    topic = "https://x.eu-1.eventgrid.azure.net/api/events"
    found = problems(
        KEYTURN_CLOUD="AzureChinaCloud", KEYTURN_VAULTS="kv1", KEYTURN_TOPIC_ENDPOINT=topic
    )
    assert "KEYTURN_TOPIC_ENDPOINT cannot be used in AzureChinaCloud yet: leave it empty" in found


INSIGHTS = (
    "InstrumentationKey=0b1f6471-1bf0-4dda-aec3-cb9272f09590;"
    "IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;"
    "LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/;ApplicationId=1"
)


def test_telemetry_goes_where_the_hosts_setting_says_if_it_is_wanted() -> None:
    env = {**GOOD, "APPLICATIONINSIGHTS_CONNECTION_STRING": INSIGHTS}
    assert Settings.from_env({**env, "KEYTURN_TELEMETRY": "azure_monitor"}).telemetry == INSIGHTS
    assert Settings.from_env({**env, "KEYTURN_TELEMETRY": "none"}).telemetry == ""
    assert Settings.from_env(env).telemetry == ""


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param("", id="none"),
        pytest.param("InstrumentationKey=s3cret", id="no key and no endpoint"),
        pytest.param(
            INSIGHTS.replace(".azure.com/;Live", ".evil.example/;Live"), id="another's host"
        ),
        pytest.param(INSIGHTS.replace("https://west", "http://west"), id="no tls"),
        pytest.param(INSIGHTS.replace("azure.com/;", "azure.com/?x=s3cret;"), id="a query"),
    ],
)
def test_telemetry_that_is_wanted_needs_a_place_to_go_to(connection: str) -> None:
    (problem,) = problems(
        KEYTURN_TELEMETRY="azure_monitor", APPLICATIONINSIGHTS_CONNECTION_STRING=connection
    )
    assert "APPLICATIONINSIGHTS_CONNECTION_STRING is no connection string" in problem
    assert "s3cret" not in problem


def test_telemetry_goes_to_nowhere_else() -> None:
    (problem,) = problems(KEYTURN_TELEMETRY="otlp")
    assert problem == "KEYTURN_TELEMETRY is 'otlp', neither 'none' nor 'azure_monitor'"
