"""Which addresses can be asked or posted to."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from firstaudio.errors import ConfigError


def parse_url(setting: str, url: str) -> SplitResult:
    """The parts of an http:// or https:// address.

    Args:
        setting: Which setting it is of, for the error; the address itself may be a secret and is not shown.
        url: As it was given.

    Raises:
        ConfigError: Nothing could be sent there.
    """
    try:
        parts = urlsplit(url)
        is_fit = url.isascii() and url.isprintable() and " " not in url and parts.scheme in ("http", "https")
        if is_fit and (parts.hostname or "").encode("idna") and parts.port != 0:
            return parts
    except ValueError:  # of a port or a host that cannot be
        pass
    raise ConfigError(f"{setting} is no address; give http://host/path or https://host/path, in ASCII")
