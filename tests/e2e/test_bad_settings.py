"""With a bad setting nothing runs, and every problem is named at once."""

from collections.abc import Callable

import pytest

from sandbox.azure import LocalAzure
from sandbox.functions_host.process import FunctionsHostFailedError
from tests.e2e.stage import deployed


def test_bad_settings_are_refused_all_at_once_and_no_function_is_served(
    local_azure: Callable[[float], LocalAzure],
) -> None:
    bad = {
        "KEYTURN_CLOUD": "AzureMoonCloud",
        "KEYTURN_VAULTS": "kv1, kv_2, https://kv3.vault.azure.net",
        "KEYTURN_SUBSCRIPTIONS": "production",
        "KEYTURN_AUTH": "nobody",
        "KEYTURN_POLICY": "http://example.com/keyturn.yaml",
        "KEYTURN_SWEEP_SCHEDULE": "daily",
        "KEYTURN_TOPIC_ENDPOINT": "http://keyturn.example",
    }

    with (
        local_azure(60) as azure,
        pytest.raises(FunctionsHostFailedError) as refused,
    ):
        azure.start_app(deployed(), bad)

    said = str(refused.value)
    assert "Keyturn's settings have 8 problem(s):" in said
    assert "KEYTURN_CLOUD is 'AzureMoonCloud', not one of AzureCloud" in said
    assert "KEYTURN_VAULTS: 'kv_2' is no vault" in said
    assert "KEYTURN_VAULTS: 'https://kv3.vault.azure.net' is no vault" in said
    assert "KEYTURN_SUBSCRIPTIONS is a setting of the policy now: subscriptions" in said
    assert "KEYTURN_AUTH is 'nobody', neither 'keys' nor 'app_service'" in said
    assert "KEYTURN_POLICY is 'http://example.com/keyturn.yaml', neither a path" in said
    assert "KEYTURN_SWEEP_SCHEDULE is 'daily', not six fields" in said
    assert "KEYTURN_TOPIC_ENDPOINT is 'http://keyturn.example'" in said
    assert azure.host is None


def test_an_app_that_manages_no_vault_is_refused(
    local_azure: Callable[[float], LocalAzure],
) -> None:
    with (
        local_azure(60) as azure,
        pytest.raises(FunctionsHostFailedError, match="KEYTURN_VAULTS names no vault"),
    ):
        azure.start_app(deployed(), {})
