"""Which proxy a request goes through: what the environment of the job says, read as curl and Python read it."""

from __future__ import annotations

from fmsh.connectors.http_message import Url, parse_url
from fmsh.values import raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def proxy_for(url: Url, environment: Mapping[str, str]) -> Url | None:
    """Reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`; the lower-case name goes first.

    Raises: Raised for a proxy that is not spoken to by HTTP.
    """
    text = _variable(environment, f"{url.scheme}_proxy") or _variable(environment, "all_proxy")
    if not text or _is_exempt(url, _variable(environment, "no_proxy")):
        return None
    if "://" not in text:
        text = f"http://{text}"
    if not text.startswith("http://"):
        scheme = text.partition(":")[0]
        raise raised("type", f"a proxy must begin with http://, {url.scheme}_proxy begins with {scheme}://")
    return parse_url(text)


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_exempt(url: Url, exempt: str) -> bool:
    """`no_proxy` lists hosts, domains (with all that is below them), networks, and `*`; each perhaps with a port."""
    for entry in exempt.replace(",", " ").split():
        host, _, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        name = host.strip("[]").lstrip("*").lstrip(".").lower()
        if port and port != str(url.port):
            continue
        if entry == "*" or (name and (url.host.lower() == name or url.host.lower().endswith(f".{name}"))):
            return True
        if "/" in entry and _is_in_network(url.host, entry):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
