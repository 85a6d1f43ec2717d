"""The composition root of the command line: the use cases without a deployment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from shared.adapters.policies import parse as parse_policy
from shared.adapters.redaction import redacted
from shared.adapters.sign_in import SignedIn, sign_in
from shared.domain.clouds import Cloud
from shared.domain.errors import NotAllowedError
from shared.domain.rows import Lane, Row
from shared.ports import Kept, Rows, Surroundings, Vaults
from shared.settings import Settings, Storage
from shared.usecases.examine import Examine
from shared.usecases.pace import Pace
from shared.usecases.plan_key import PlanKey
from shared.usecases.search import SearchEstate
from shared.usecases.show_keys import ShowKeys
from shared.usecases.take_inventory import TakeInventory
from shared.wiring.adapters import Adapters

if TYPE_CHECKING:
    from shared.adapters.arm.client import ArmClient

__all__ = ["Laptop", "parse_policy", "redacted"]


class NoRows:
    """Nothing was ever kept, and nothing can be: on a laptop there is no storage of ours.

    The pace of this one run is, in memory: searches plan their requests by it.
    """

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, str], Kept[Lane]] = {}

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        """See ``Rows.load``."""
        if row_type is not Lane:
            return None
        return cast("Kept[T] | None", self._lanes.get((partition, key)))

    def scan[T: Row](
        self,
        row_type: type[T],  # noqa: ARG002 - the port's form
        partition: str,  # noqa: ARG002
        *,
        where: str = "",  # noqa: ARG002
    ) -> Iterator[Kept[T]]:
        """See ``Rows.scan``."""
        return iter(())

    def insert[T: Row](self, row: T) -> Kept[T] | None:
        """See ``Rows.insert``."""
        return self._keep(row)

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        """See ``Rows.replace``."""
        del kept
        return self._keep(row)

    def commit(self, *changes: object) -> None:
        """See ``Rows.commit``."""
        raise _read_only(changes)

    def _keep[T: Row](self, row: T) -> Kept[T]:
        if not isinstance(row, Lane):
            raise _read_only(row)
        self._lanes[row.address] = Kept(row, "")
        return Kept(row, "")


def _read_only(what: object) -> NotAllowedError:
    return NotAllowedError(f"the command line keeps no rows: {type(what).__name__}")


@dataclass(frozen=True, slots=True)
class VaultsOf:
    """Every vault of a cloud, where the app has an allow-list: who calls has their own rights.

    A token still goes to hosts of Key Vault alone.
    """

    cloud: Cloud

    def __contains__(self, host: object) -> bool:
        """Return whether a host is that of a vault or managed HSM."""
        try:
            return isinstance(host, str) and self.cloud.vault_host(host) == host
        except NotAllowedError:
            return False


@dataclass(frozen=True)
class LaptopAdapters(Adapters):
    """Adapters under the identity of who calls; throttled requests wait, and are sent again.

    Attributes:
        default_credential: See ``sign_in``.
    """

    default_credential: bool = False

    @cached_property
    def credential(self) -> SignedIn:
        """Who sits here."""
        return sign_in(default=self.default_credential)

    @cached_property
    def arm(self) -> "ArmClient":
        """Azure Resource Manager."""
        from azure.core.pipeline.policies import RetryPolicy

        from shared.adapters.arm.client import ArmClient

        # Only what reads is sent from here, POST being a query.
        methods = frozenset({"GET", "POST"})
        retry = RetryPolicy(retry_total=6, retry_connect=1, method_whitelist=methods)
        return ArmClient(self.settings.cloud, self.credential, retry)

    @cached_property
    def vaults(self) -> Vaults:
        """The key vaults of the cloud."""
        from shared.adapters.key_vault.vaults import AzureVaults

        return AzureVaults(VaultsOf(self.settings.cloud), self.credential)

    @cached_property
    def rows(self) -> Rows:
        """None."""
        return NoRows()

    @cached_property
    def surroundings(self) -> Surroundings:
        """What lies around."""
        from shared.adapters.arm.surroundings import ArmSurroundings

        return ArmSurroundings(self.arm)


@dataclass(frozen=True)
class Laptop:
    """Builds the use cases that need no deployment, each once.

    Attributes:
        policy: Path of a policy; empty: there is none.
        config_sources: See ``Settings.config_sources``.
        sandbox_clock: See ``Settings.sandbox_clock``.
        default_credential: See ``sign_in``.
    """

    cloud: Cloud
    policy: str = ""
    config_sources: tuple[str, ...] = ()
    sandbox_clock: str = ""
    default_credential: bool = False

    @cached_property
    def adapters(self) -> LaptopAdapters:
        """What they are built on."""
        settings = Settings(
            cloud=self.cloud,
            vaults=frozenset(),
            sweep_schedule="",
            policy=self.policy,
            app_service_auth=False,
            config_sources=self.config_sources,
            blob_canary="",
            client_id="",
            topic="",
            storage=Storage(connection_string="", blob_url="", queue_url="", table_url=""),
            telemetry="",
            sandbox_clock=self.sandbox_clock,
        )
        return LaptopAdapters(settings, self.default_credential)

    @cached_property
    def take_inventory(self) -> TakeInventory:
        """What ``keyturn inventory`` and ``keyturn verify`` call."""
        out = self.adapters
        return TakeInventory(
            estate=self._estate, resources=out.resources, vaults=out.vaults, clock=out.clock
        )

    @cached_property
    def plan_key(self) -> PlanKey:
        """What ``keyturn plan`` calls."""
        return PlanKey(estate=self._estate, **self._shared("resources"))

    @cached_property
    def show_keys(self) -> ShowKeys:
        """What ``keyturn versions`` calls."""
        return ShowKeys(allowed=frozenset(), **self._shared())

    @cached_property
    def examine(self) -> Examine:
        """What ``keyturn doctor`` calls."""
        out = self.adapters
        return Examine(
            resources=out.resources,
            vaults=out.vaults,
            registry=out.registry,
            surroundings=out.surroundings,
            who=lambda: out.credential.who(f"https://{self.cloud.arm}/.default"),
        )

    def token(self, scope: str) -> str:
        """Return a token of who calls, for the app."""
        return self.adapters.credential.get_token(scope).token

    @property
    def now(self) -> Callable[[], Any]:
        """Return what tells the time."""
        return self.adapters.clock.now

    def _shared(self, *names: str) -> dict[str, Any]:
        wanted = ("vaults", "rows", "clock", "policies", *names)
        return {name: getattr(self.adapters, name) for name in wanted}

    @cached_property
    def _estate(self) -> SearchEstate:
        out = self.adapters
        return SearchEstate(
            inventory=out.inventory,
            resources=out.resources,
            files=out.files,
            rows=out.rows,
            pace=Pace(rows=out.rows, clock=out.clock),
            sources=self.config_sources,
        )
