"""Store → processed, memory-mapped windows; step_len and fill are choices of the reader, not of the matrix."""

import time
from dataclasses import dataclass
from pathlib import Path

from qts.config import LoadedConfig
from qts.pipeline.features import Recipe, build_features, check_segments, make_recipe, refuse_stale_store
from qts.pipeline.segments import SampleCounts, make_dataset, refuse_no_samples
from qts.progress import Progress
from qts.store import Store, open_store
from qts.store.confined import confined
from qts.windows import WindowDataset, WindowStore, open_windows, write_windows
from qts.windows.build import read_meta

SEGMENTS = ("train", "valid", "test")


@dataclass(frozen=True)
class WindowResult:
    """What the windows hold."""

    folder: Path
    windows: WindowStore
    datasets: dict[str, WindowDataset]
    """Segment → samples."""
    counts: dict[str, SampleCounts]
    """Segment → where its rows went."""
    is_up_to_date: bool
    seconds: float


def window_folder(loaded: LoadedConfig, recipe: Recipe, store: Store) -> Path:
    """Return where the windows of a recipe live; raises StoreError if that is a link that leads out of the store."""
    return confined(loaded.path(loaded.config.store.path), f"windows/{recipe.fingerprint(store)}")


def are_windows_fresh(loaded: LoadedConfig) -> bool:
    """Return whether windows for this config and store are on disk."""
    store = open_store(loaded.path(loaded.config.store.path))
    return read_meta(window_folder(loaded, make_recipe(loaded), store)) is not None


def build_windows(loaded: LoadedConfig, progress: Progress, *, whole_days: bool = False) -> WindowResult:
    """Bring the windows up to date; refuse segments without a sample.

    With `whole_days` rows without a label are samples too: a cross-section is all that traded, labelled or not.
    """
    started = time.perf_counter()
    recipe = make_recipe(loaded)
    store = open_store(loaded.path(loaded.config.store.path))
    refuse_stale_store(loaded, store)
    check_segments(loaded, store.manifest.first, store.manifest.last)
    folder = window_folder(loaded, recipe, store)
    is_fresh = read_meta(folder) is not None
    if not is_fresh:
        progress.stage("fit processors and lay out the matrix")
        built = build_features(store, recipe)
        progress.count(rows=built.matrix.shape[0])
        _segments(loaded, recipe, built, whole_days=whole_days)  # what has no samples is refused before it is written
        progress.stage("write windows")
        write_windows(folder, built)
        progress.count(rows=built.matrix.shape[0], n_bytes=built.matrix.nbytes)
    windows = open_windows(folder)
    datasets, counts = _segments(loaded, recipe, windows, whole_days=whole_days)
    return WindowResult(folder, windows, datasets, counts, is_fresh, time.perf_counter() - started)


def _segments(
    loaded: LoadedConfig, recipe: Recipe, windows: WindowStore, *, whole_days: bool
) -> tuple[dict[str, WindowDataset], dict[str, SampleCounts]]:
    datasets, counts = {}, {}
    for at, name in enumerate(SEGMENTS):
        following = getattr(recipe.segments, SEGMENTS[at + 1])[0] if at + 1 < len(SEGMENTS) else None
        span = getattr(recipe.segments, name)
        datasets[name], counts[name] = make_dataset(
            windows, loaded.config.window, span, following, needs_label=name != "test" and not whole_days
        )
        refuse_no_samples(name, counts[name], loaded.config.window.step_len)
    return datasets, counts
