"""The one config of qts: closed, frozen, explained under each field."""

from qts.config.backtest import BacktestConfig, Fee
from qts.config.nightly import NightlyConfig
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
    WalkConfig,
    WindowConfig,
)

__all__ = [
    "BacktestConfig",
    "BarsConfig",
    "CheckActions",
    "CheckConfig",
    "Config",
    "Day",
    "Dimension",
    "EvalConfig",
    "FactorsConfig",
    "Fee",
    "LabelConfig",
    "LimitsConfig",
    "LoadedConfig",
    "Names",
    "NightlyConfig",
    "OpenTable",
    "ProcessorsConfig",
    "SegmentsConfig",
    "Span",
    "StoreConfig",
    "Table",
    "TrainConfig",
    "TuneConfig",
    "WalkConfig",
    "WindowConfig",
    "find_config",
    "load_config",
]
