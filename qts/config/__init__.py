"""The one config of qts: closed, frozen, explained under each field."""

from qts.config.sources import LoadedConfig, find_config, load_config
from qts.config.table import Day, Names, OpenTable, Span, Table
from qts.config.tables import (
    BarsConfig,
    CheckActions,
    CheckConfig,
    Config,
    EvalConfig,
    FactorsConfig,
    LabelConfig,
    LimitsConfig,
    ProcessorsConfig,
    SegmentsConfig,
    StoreConfig,
    TrainConfig,
    WindowConfig,
)

__all__ = [
    "BarsConfig",
    "CheckActions",
    "CheckConfig",
    "Config",
    "Day",
    "EvalConfig",
    "FactorsConfig",
    "LabelConfig",
    "LimitsConfig",
    "LoadedConfig",
    "Names",
    "OpenTable",
    "ProcessorsConfig",
    "SegmentsConfig",
    "Span",
    "StoreConfig",
    "Table",
    "TrainConfig",
    "WindowConfig",
    "find_config",
    "load_config",
]
