"""Who reaches a vault over the network."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from sandbox.key_vault.errors import forbidden_by_connection, forbidden_by_firewall

CALLER_ADDRESS = "20.61.99.12"
"""From where every HTTP request seems to come: a public address, and of no trusted service."""


@dataclass(slots=True)
class Network:
    """The firewall of a vault; open to all unless it is told otherwise."""

    public: bool = True
    """``publicNetworkAccess``: without it, the rules below count for nothing."""
    default: Literal["Allow", "Deny"] = "Allow"
    """What happens to a caller whom no rule names."""
    trusted_services: bool = True
    """``bypass``: whether Azure's own trusted services get in whatever the rules say."""
    addresses: tuple[str, ...] = ()
    """The public addresses and ranges that get in, such as ``20.61.0.0/16``."""
    subnets: tuple[str, ...] = ()
    """Resource ids of the subnets that get in; nobody here calls from one."""

    @property
    def touched(self) -> bool:
        """Whether a vault shows ``networkAcls`` (recorded: it does not while all is open)."""
        return self != Network(public=self.public)

    def check(self, principal: str, *, trusted: bool, vault: str) -> None:
        """Refuse a caller that the firewall shuts out.

        Args:
            principal: Object id of the caller.
            trusted: Whether it is one of the services that ``bypass`` means; who is not calls
                from ``CALLER_ADDRESS``.
            vault: Name and location, as refusals show them.

        Raises:
            KeyVaultError: 403.
        """
        if trusted and self.trusted_services:
            return
        if not self.public:
            raise forbidden_by_connection(principal, vault)
        caller = ip_address(CALLER_ADDRESS)
        named = any(caller in ip_network(each) for each in self.addresses)
        if self.default == "Deny" and (trusted or not named):
            address = "" if trusted else CALLER_ADDRESS
            raise forbidden_by_firewall(principal, vault, address)
