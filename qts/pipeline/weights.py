"""What each train sample counts for: a factor of the store, and its age."""

from datetime import date

import numpy as np

from qts.columns import SAMPLE_WEIGHT
from qts.config import LoadedConfig
from qts.pipeline.recipes import expand_factors
from qts.pipeline.window import WindowResult
from qts.store import Store, open_store
from qts.training.sample_weights import make_weights


def train_weights(loaded: LoadedConfig, windows: WindowResult) -> np.ndarray | None:
    """Return (n_train_samples,) weights of mean 1, or None if all weigh the same."""
    train = loaded.config.train
    if train.sample_weight is None and train.half_life_days is None:
        return None
    samples = windows.datasets["train"].samples
    given = None
    if train.sample_weight is not None:
        known = {name for factors in expand_factors(loaded) for name in factors.names}
        column = train.sample_weight if train.sample_weight in known else SAMPLE_WEIGHT
        names, days = windows.windows.instruments[samples.instrument], windows.windows.calendar[samples.day]
        given = column_of(open_store(loaded.path(loaded.config.store.path)), column, names, days)
    return make_weights(samples.day, given, train.half_life_days)


def column_of(store: Store, column: str, names: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Return (n,) values of a stored column for (instrument, datetime) pairs, NaN where the store has none."""
    first, last = (date.fromisoformat(str(day)) for day in (days.min(), days.max()))
    panel = store.read([column], first, last)
    calendar = store.calendar()
    code = np.searchsorted(panel.instruments, names)
    code = np.where(code < len(panel.instruments), code, 0)
    day = np.searchsorted(calendar, days)
    day = np.where(day < len(calendar), day, 0)
    is_known = (panel.instruments[code] == names) & (calendar[day] == days)
    wanted = code.astype(np.int64) * len(calendar) + day
    have = panel.instrument.astype(np.int64) * len(calendar) + panel.day
    if not len(have):
        return np.full(len(names), np.nan)
    at = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
    return np.where(is_known & (have[at] == wanted), panel.values[at, 0], np.nan)
