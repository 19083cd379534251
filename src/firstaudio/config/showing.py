"""The configuration for people: effective values as TOML, and the page that documents every setting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from firstaudio.config.fields import Config
from firstaudio.config.loading import OTHER_VARIABLES
from firstaudio.config.setting import Setting, settings

_PAGE_HEAD = """\
# Configuration

Made from the settings themselves: `make docs` writes this page, a test holds it equal.

A setting has one name in four places. Later places win: defaults, the file, the environment, flags.

```toml
# firstaudio.toml: firstaudio serve --config firstaudio.toml, or FIRSTAUDIO_CONFIG=firstaudio.toml
[server]
port = 9000
cors_origins = ["https://example.org"]
```

```sh
FIRSTAUDIO_SERVER_PORT=9000 FIRSTAUDIO_ENGINE_NAMES=espeak,synthetic firstaudio serve
firstaudio serve --port 9000 --no-streaming-fast-path-enabled
firstaudio serve --show-config   # the effective values, each with its origin
```

Lists are arrays in the file and comma-separated elsewhere. A key, a section or a `FIRSTAUDIO_` variable that nobody
knows is an error, and so is a value out of range. Give secrets in the file or in the environment: flags can be read
by every user of the machine.
"""


def show(config: Config) -> str:
    """Effective values as TOML that `load` accepts, each with a comment that says where it came from.

    Secrets are left out: only their number is told.
    """
    lines = []
    for section, group in groupby(settings(), lambda setting: setting.section):
        lines += [f"[{section}]", *(_show_line(config, setting) for setting in group), ""]
    return "\n".join(lines)


def _show_line(config: Config, setting: Setting) -> str:
    value = getattr(getattr(config, setting.section), setting.field)
    origin = config.origins.get(setting.key, "default")
    if setting.secret and value:
        # A placeholder in its place would become an accepted key when this output is used as a file.
        return f"# {setting.field}: {len(value)} hidden  # {origin}"
    return f"{setting.field} = {_toml(value)}  # {origin}"


def _toml(value: Any) -> str:
    """One TOML value. JSON's strings are TOML's, but for DEL, which TOML wants escaped."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def markdown() -> str:
    """The page `docs/configuration.md`."""
    lines = [_PAGE_HEAD]
    for section, group in groupby(settings(), lambda setting: setting.section):
        lines += [f"## `[{section}]`", "", "| setting | default | allowed | what it is |", "|---|---|---|---|"]
        lines += [*(_page_row(setting) for setting in group), ""]
    lines += ["## Other environment variables", "", "| variable | what it is |", "|---|---|", *_other_rows()]
    return "\n".join(lines) + "\n"


def _page_row(setting: Setting) -> str:
    names = f"`{setting.key}`<br>`{setting.env}`<br>`{setting.flag}`"
    return f"| {names} | `{_toml(setting.default)}` | {setting.allowed} | {setting.help} |"


def _other_rows() -> Iterator[str]:
    for name, text in OTHER_VARIABLES.items():
        yield f"| `{name}` | {text} |"
