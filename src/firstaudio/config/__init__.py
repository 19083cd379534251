"""Every setting, in one list: the dataclasses of `fields` make the file's keys, the environment names and the flags.

Precedence: defaults <- file (TOML) <- environment (`FIRSTAUDIO_<SECTION>_<FIELD>`) <- flags. Unknown keys are errors.
Importing this package is cheap on purpose (`--help` needs the list, not the validation); `load` imports pydantic.
"""

from firstaudio.config.fields import (
    Config,
    EngineConfig,
    EspeakConfig,
    Help,
    KokoroConfig,
    ModelConfig,
    ServerConfig,
    StreamingConfig,
    SyntheticConfig,
)
from firstaudio.config.loading import ENV_CONFIG, OTHER_VARIABLES, load
from firstaudio.config.setting import ENV_PREFIX, Setting, settings
from firstaudio.config.showing import markdown, show

__all__ = [
    "ENV_CONFIG",
    "ENV_PREFIX",
    "OTHER_VARIABLES",
    "Config",
    "EngineConfig",
    "EspeakConfig",
    "Help",
    "KokoroConfig",
    "ModelConfig",
    "ServerConfig",
    "Setting",
    "StreamingConfig",
    "SyntheticConfig",
    "load",
    "markdown",
    "settings",
    "show",
]
