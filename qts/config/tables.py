"""One class for each table of qts.toml, and the Config that holds them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, model_validator

from qts.config.backtest import BacktestConfig
from qts.config.nightly import NightlyConfig
from qts.config.space import Space
from qts.config.table import Day, Names, OpenTable, Span, Table, to_tuple


def _to_path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


FilePath = Annotated[Path, BeforeValidator(_to_path)]
"""A path; a relative one starts at the config file's folder."""

OpenTables = Annotated[tuple[OpenTable, ...], BeforeValidator(to_tuple)]
"""A list of tables, each with a name."""

Seed = Annotated[int, Field(ge=0, le=2**62)]
"""A number that every generator takes."""

Days = Annotated[tuple[PositiveInt, ...], BeforeValidator(to_tuple)]
"""Numbers of days."""


class BarsConfig(Table):
    """Where daily bars come from and how to read them."""

    source: Literal["parquet", "csv", "duckdb", "qlib_bin"] = "parquet"
    """Kind of bar source."""
    path: FilePath = Path("bars.parquet")
    """A file, a glob or a folder; a database file for `duckdb`; a data folder for `qlib_bin`."""
    table: str | None = None
    """The table to read, for `duckdb`."""
    query: str | None = None
    """A SELECT to read instead of a table, for `duckdb`."""
    columns: dict[str, str] = Field(default={})
    """Our column name → the source's, only where they differ: `{ instrument = "symbol", datetime = "date" }`."""
    date_format: str | None = None
    """How dates are written when they are text, as in strptime; ISO and common forms are known without it."""
    groups: Names = ()
    """Columns of text to keep, such as `industry`; what `by=` of a cross-sectional operator may name."""
    universe: FilePath | None = None
    """Dated membership: a CSV with instrument, start, end, or Qlib's instruments file. None: every instrument, always."""
    benchmark: str | None = None
    """An instrument of the bars, or a file with bars of the index."""
    benchmark_instrument: str | None = None
    """Which instrument of the benchmark's file; needed if it holds several."""

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if self.source == "duckdb" and (self.table is None) == (self.query is None):
            raise ValueError('source = "duckdb" needs either table or query')
        if self.source != "duckdb" and (self.table or self.query):
            raise ValueError('table and query belong to source = "duckdb"')
        return self


Action = Literal["fail", "warn", "ignore"]
"""What is done about a finding: refuse the bars, tell it and go on, or only count it."""

RowAction = Literal["fail", "quarantine", "warn", "ignore"]
"""The same for a rule that judges rows: `quarantine` puts the rows aside, tells it and goes on without them."""


class CheckActions(Table):
    """What the data gate does about each rule's findings: fail | quarantine | warn | ignore."""

    duplicate: RowAction = "fail"
    """Rows of a key that stands twice; if they are equal, all but one."""
    future: RowAction = "fail"
    """Rows dated after today."""
    non_positive: RowAction = "quarantine"
    """A price that is zero or negative."""
    crossed: RowAction = "quarantine"
    """A high under the low, or an open or close outside of both by more than `tolerance`."""
    negative_volume: RowAction = "quarantine"
    """A volume below zero."""
    bad_factor: RowAction = "warn"
    """An `adj_factor` that is zero or negative: a backtest takes it for unknown."""
    stray_day: RowAction = "quarantine"
    """Rows of a day that only a handful of instruments have: under `stray_share` of the usual number, or on a weekend of a
    market that has none under `thin_share`."""
    partial_bar: RowAction = "warn"
    """Some of the four prices are missing while others, or a volume, are there."""
    jump: RowAction = "warn"
    """A close that moves by more than `jump` from one bar to the next, while the adjustment factor stays or is absent."""
    flat_tail: Action = "warn"
    """Instruments whose last `flat_bars` bars or more have the same four prices."""
    stale_tail: Action = "warn"
    """Instruments without a bar in the last `stale_days` days; where there is a universe, only its members of the last day."""
    thin_day: Action = "warn"
    """Days on which fewer instruments than `thin_share` of the usual number have a bar."""
    calendar_hole: Action = "warn"
    """More than `gap_days` days between one day of the calendar and the next."""
    absent_member: Action = "warn"
    """Members of the universe that have no bars."""
    percent_change: Action = "warn"
    """A column `change` in percent, where close over the close before says a fraction."""
    volume_in_lots: Action = "warn"
    """Amount is about 100 times volume times price: volume counts lots of 100."""
    unordered: Action = "ignore"
    """Rows of the source that stand behind a later day of their instrument; qts sorts them."""
    missing_bar: RowAction = "ignore"
    """Suspended days as rows without prices and volume."""
    zero_volume: RowAction = "ignore"
    """Suspended days as carried prices with volume 0."""
    missing_volume: RowAction = "ignore"
    """Suspended days as carried prices without a volume."""


class CheckConfig(Table):
    """What the data gate lets in."""

    tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-4
    """Share by which a price may lie outside its day's low and high before it counts as crossed: vendors round."""
    jump: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.45
    """Rise from one close to the next that is too large; a fall is too large if the way back up would be: 0.45 means
    +45 % or -31 %. New listings may rise 44 % on their first day."""
    flat_bars: Annotated[int, Field(ge=2)] = 20
    """Last bars with the same prices that make a flat tail."""
    stale_days: PositiveInt = 30
    """Days without a bar before the calendar's end that make a stale tail."""
    gap_days: PositiveInt = 14
    """Days from one day of the calendar to the next that no holidays explain any more."""
    thin_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the usual number of instruments, the median of the 20 days around, under which a day is thin."""
    stray_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The same share, under which a day is taken for a mistake."""
    actions: CheckActions = Field(default_factory=CheckActions)
    """Rule → fail | quarantine | warn | ignore, only where it is to differ: `{ duplicate = "quarantine" }`."""


class StoreConfig(Table):
    """Where results live."""

    path: FilePath = Path(".qts")
    """The store's folder."""
    runs: FilePath = Path("runs")
    """The folder of training runs."""
    predictions: FilePath = Path("predictions")
    """The folder of what `qts nightly` publishes."""


class FactorsConfig(Table):
    """Which factors are computed, and which the model sees."""

    set: str = "alpha158"
    """A factor set that comes with qts (`qts factors` lists them) or the path of one of your own."""
    select: Annotated[Names, Field(min_length=1)] | None = None
    """The factors the model sees, in factor-set order whatever the order here. None: all."""
    custom: dict[str, str] = Field(default={})
    """Factors of your own: name → expression."""


class LabelConfig(Table):
    """What is predicted."""

    expr: str = "Ref($close, -2)/Ref($close, -1) - 1"
    """An expression that may look ahead; the default buys at tomorrow's close and sells a day later."""


class SegmentsConfig(Table):
    """Named spans of time, first and last day included."""

    train: Span
    """What the weights and the processors are fitted on."""
    valid: Span
    """What early stopping watches."""
    test: Span
    """What the report is about."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        spans = {"train": self.train, "valid": self.valid, "test": self.test}
        for name, (first, last) in spans.items():
            if first > last:
                raise ValueError(f"{name} ends ({last}) before it starts ({first})")
        for (name, before), (next_name, after) in zip(list(spans.items())[:-1], list(spans.items())[1:], strict=True):
            if after[0] <= before[1]:
                raise ValueError(f"{next_name} starts ({after[0]}) before {name} has ended ({before[1]})")
        return self


class ProcessorsConfig(Table):
    """Transformations, in order; fitted on the train segment."""

    features: OpenTables = (
        OpenTable.model_validate({"name": "robust_zscore"}),
        OpenTable.model_validate({"name": "fillna"}),
    )
    """What is done to factors before a model sees them."""
    label: OpenTables = (OpenTable.model_validate({"name": "cs_rank"}),)
    """What is done to the label before training; the report always uses the raw label."""


class WindowConfig(Table):
    """What one model input is."""

    step_len: PositiveInt = 20
    """Bars in one window, the newest last, its own bar included."""
    fill: Literal["none", "ffill", "ffill+bfill"] = "ffill"
    """What stands in for days an instrument has no row: nothing (NaN), the row before, or else the row after."""
    history: Literal["instrument", "universe"] = "instrument"
    """`instrument`: every row the instrument has; `universe`: only the rows while it was a member, as Qlib does."""
    relative_to: dict[str, str] = Field(default={})
    """Feature → feature: the window of the one is divided by the newest value of the other, plus 1e-12."""
    standardise: Literal["none", "robust"] = "none"
    """`robust`: after that, each step of each feature is (x - median) / (1.4826 median deviation) over the train windows,
    clipped at 3, and what is missing becomes 0."""


class TrainConfig(Table):
    """How the weights are found."""

    epochs: PositiveInt = 200
    """Epochs at most."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    """Learning rate."""
    batch_size: PositiveInt = 800
    """Samples in one step."""
    days_per_step: PositiveInt = 1
    """Cross-sections in one step, where the architecture or the loss takes whole days."""
    patience: PositiveInt = 10
    """Epochs without a better validation metric before training stops."""
    metric: Literal["loss", "ic", "rank_ic"] = "loss"
    """What early stopping judges on every row of the valid segment."""
    loss: Literal["mse", "mae", "huber", "ic", "rank_ic", "listwise"] = "mse"
    """The training loss, over samples that have a label; `ic`, `rank_ic` and `listwise` are of one cross-section each."""
    huber_delta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Error from which `huber` grows in proportion instead of as a square."""
    sample_weight: str | None = None
    """Weight of each train sample: a factor's name or an expression; scaled to a mean of 1."""
    half_life_days: Annotated[float, Field(gt=0)] | None = None
    """Trading days after which a train sample weighs half. None: age does not matter."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Adam as published, Adam with decoupled decay, or gradient descent."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of `sgd`."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Pull of the weights towards zero: added to the gradient; with `adamw` decoupled, biases and norms left alone."""
    schedule: Literal["constant", "cosine", "linear", "plateau"] = "constant"
    """How `lr` moves: not at all, down to zero over all `epochs`, or halved when the validation metric stands still."""
    warmup_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Epochs in which `lr` rises from zero."""
    clip_value: Annotated[float, Field(ge=0)] = 3.0
    """Each gradient element is clipped to ± this; 0: not at all."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """The length of the whole gradient is clipped to this; 0: not at all."""
    seed: Seed = 0
    """Seed of the initial weights and of the order of samples."""
    init_from: str | None = None
    """A run, or a file of weights, to start from; every weight of the same name and shape is taken over."""
    init_only: Names = ()
    """Parts of the network that are taken over, as `["rnn"]`; none: all."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """auto | cpu | cuda | cuda:1; `auto` takes a GPU if there is one."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Of matrix products: 32-bit, NVIDIA's shortened 32-bit, or 16-bit with 32-bit sums; weights are always 32-bit."""
    deterministic: bool = False
    """Only algorithms that give the same bits each time, where a device has others; the CPU gives them anyway."""
    log: Annotated[Names, Field(examples=[["tensorboard"]])] = ()
    """Where the history goes besides the run folder: tensorboard, mlflow; each needs its extra."""


class TuneConfig(Table):
    """How hyper-parameters are searched for; trials are compared on the valid segment alone."""

    sampler: Literal["grid", "random", "tpe"] = "random"
    """`grid`: every combination, in the order of the file; `random`: independent draws; `tpe`: Optuna's estimator, which
    draws where trials before did well."""
    trials: PositiveInt | None = None
    """Trials at most. None: 20; with `grid` all there are."""
    metric: Literal["loss", "ic", "rank_ic"] = "rank_ic"
    """What trials are compared by: the figure of the valid segment at the epoch a trial's training chose."""
    seed: Seed = 0
    """Seed of the draws; the trainings have that of `[train]`."""
    prune: bool = False
    """Stop a trial whose best epoch is behind the median that five finished trials or more had at the same epoch."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """After so long no other trial begins; the next call goes on. None: no limit."""
    presets: bool = False
    """Try small, medium, large and deep, four known sizes of recurrent models, instead of `space`."""
    space: Space = Field(default={}, examples=[{"train.lr": {"low": 1e-4, "high": 1e-2, "log": True}}])
    """Key → its values: `"model.hidden_size" = [32, 64]` or `"train.lr" = { low = 1e-4, high = 1e-2, log = true }`."""


class EvalConfig(Table):
    """How scores are judged."""

    min_names: PositiveInt = 10
    """Names with score and label a day needs; a day with fewer has no IC."""
    quantiles: Annotated[int, Field(ge=2)] = 5
    """Groups by score in the quantile returns."""
    long_short_share: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of names in the long and in the short side."""
    days_per_year: PositiveInt = 252
    """Days a year, for annual figures."""
    horizons: Annotated[Days, Field(min_length=1)] = (1, 2, 3, 5, 10, 20)
    """Days held, for the returns that scores are also judged by."""
    lag: NonNegativeInt = 1
    """Days from a score to the close at which those returns begin."""
    turnover_lags: Annotated[Days, Field(min_length=1)] = (1, 5, 10)
    """Days between two scores of a name, for rank autocorrelation and turnover."""
    group_by: Names = ()
    """Columns of `[bars] groups` that IC is broken down by, and taken out of the scores, as `["industry"]`."""
    max_lost: Annotated[float, Field(ge=0, le=1)] = 0.35
    """Share of the rows with a label that may be without a score; above it the evaluation fails, once the report is written."""
    bootstrap: NonNegativeInt = 1000
    """Draws of whole blocks of days for an interval; 0: none."""
    seed: Seed = 0
    """Seed of those draws."""


class WalkConfig(Table):
    """Retraining along the calendar: folds whose test parts lie end to end."""

    step_days: PositiveInt = 250
    """Trading days that each fold is tested on."""
    train: Literal["expanding", "rolling"] = "expanding"
    """`expanding`: every fold learns from the first train day on; `rolling`: from as many days as the first fold has."""
    first: Day | None = None
    """First day that is tested. None: that of the test segment."""
    last: Day | None = None
    """Last day that is tested. None: that of the test segment."""
    embargo_days: NonNegativeInt | None = None
    """Trading days left out before valid and before test, at least as many as the label looks ahead. None: just as many."""
    processes: PositiveInt = 1
    """Folds that are trained at once, each in a process of its own. They share the cores: more than 1 pays where one
    training leaves some idle."""


_UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


class LimitsConfig(Table):
    """What a run may use of the machine."""

    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*(MB|GB|MiB|GiB)$")] | None = None
    """Memory of an ingest, as "4GB": past it work is cut smaller and spills to disk, and what cannot fit is refused.
    None: the engine's own limit."""
    threads: PositiveInt | None = None
    """Threads. None: every core."""
    temp_folder: FilePath | None = None
    """Where work that spills lies meanwhile. None: inside the store."""

    @property
    def n_bytes(self) -> int | None:
        """The memory in bytes."""
        if self.memory is None:
            return None
        number = self.memory.rstrip("MGiB ")
        return int(float(number) * _UNITS[self.memory[len(number) :].strip()])


class Config(Table):
    """Everything one qts.toml says."""

    bars: BarsConfig = BarsConfig()
    """Bars."""
    check: CheckConfig = CheckConfig()
    """The data gate."""
    store: StoreConfig = StoreConfig()
    """Store."""
    factors: FactorsConfig = FactorsConfig()
    """Factors."""
    label: LabelConfig = LabelConfig()
    """Label."""
    segments: SegmentsConfig | None = None
    """Segments; needed from `qts window` on."""
    processors: ProcessorsConfig = ProcessorsConfig()
    """Processors."""
    window: WindowConfig = WindowConfig()
    """Windows."""
    model: OpenTable = OpenTable(name="gru")
    """The architecture: `name`, and the keys `qts models NAME` lists."""
    train: TrainConfig = TrainConfig()
    """Training."""
    tune: TuneConfig = TuneConfig()
    """Search."""
    eval: EvalConfig = EvalConfig()
    """Evaluation."""
    backtest: BacktestConfig = BacktestConfig()
    """Backtest."""
    walk: WalkConfig = WalkConfig()
    """Walk-forward."""
    nightly: NightlyConfig = NightlyConfig()
    """Nightly scores."""
    limits: LimitsConfig = LimitsConfig()
    """Limits."""
