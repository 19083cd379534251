"""Every setting, in one list: the dataclasses of `fields` make the file's keys, the environment names and the flags.

Precedence: defaults <- file (TOML) <- environment (`FIRSTAUDIO_<SECTION>_<FIELD>`) <- flags. Unknown keys are errors.
Importing this package is cheap on purpose (`--help` needs the list, not the validation); `load` imports pydantic.
"""

from firstaudio.config.fields import (
    CacheConfig,
    Config,
    EngineConfig,
    EspeakConfig,
    Help,
    KokoroConfig,
    ModelConfig,
    ScheduleConfig,
    ServerConfig,
    StreamingConfig,
    SyntheticConfig,
    TelemetryConfig,
    TunerConfig,
)
from firstaudio.config.loading import ENV_CONFIG, OTHER_VARIABLES, load
from firstaudio.config.setting import ENV_PREFIX, Setting, settings
from firstaudio.config.showing import markdown, show

__all__ = [
    "ENV_CONFIG",
    "ENV_PREFIX",
    "OTHER_VARIABLES",
    "CacheConfig",
    "Config",
    "EngineConfig",
    "EspeakConfig",
    "Help",
    "KokoroConfig",
    "ModelConfig",
    "ScheduleConfig",
    "ServerConfig",
    "Setting",
    "StreamingConfig",
    "SyntheticConfig",
    "TelemetryConfig",
    "TunerConfig",
    "load",
    "markdown",
    "settings",
    "show",
]
