"""What an address says of where packets go."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Tell whether no packet to a host leaves the machine; False of a name other than localhost.

    Args:
        host: A name or an address, without a port or brackets.
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def is_loopback_address(address: str) -> bool:
    """Tell whether `host:port` is reached from this machine alone; a name is not looked up."""
    return is_loopback(address.rpartition(":")[0].strip("[]"))
