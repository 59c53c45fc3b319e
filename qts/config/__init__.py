"""The one config of qts: closed, frozen, explained under each field."""

from qts.config.sources import LoadedConfig, find_config, load_config
from qts.config.space import Dimension
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
    TuneConfig,
    WindowConfig,
)

__all__ = [
    "BarsConfig",
    "CheckActions",
    "CheckConfig",
    "Config",
    "Day",
    "Dimension",
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
    "TuneConfig",
    "WindowConfig",
    "find_config",
    "load_config",
]
