"""What is there: bars, factors, windows, runs and predictions, each with its last day and size."""

from typing import Any

from qts.config import LoadedConfig
from qts.errors import NoStoreError
from qts.store import Manifest, open_store
from qts.windows.build import read_meta


def status(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Return a row for each dataset, window folder and run; an empty store gives none of the first two."""
    from qts.pipeline.run_record import seeds_of  # noqa: PLC0415 - listing datasets needs no torch
    from qts.training.checkpoint import list_runs  # noqa: PLC0415 - as above

    folder = loaded.path(loaded.config.store.path)
    rows: list[dict[str, Any]] = []
    try:
        manifest: Manifest | None = open_store(folder).manifest
    except NoStoreError:
        manifest = None
    if manifest is not None:
        for name, dataset in manifest.datasets().items():
            rows.append(_row(name, "written", str(manifest.last), dataset.n_rows, dataset.n_bytes))
    for path in sorted((folder / "windows").glob("[!.]*")):
        if meta := read_meta(path):
            size = sum(file.stat().st_size for file in path.iterdir())
            rows.append(_row(f"windows/{path.name}", "written", None, None, size, f"{len(meta['features'])} features"))
    for record in list_runs(loaded.path(loaded.config.store.runs)):
        note = f"{record['model']['name']}, seed {seeds_of(record)}"
        if record["state"] == "done":
            rank_ic = record["best"]["valid_rank_ic"]  # null where no day could be judged
            note += f", valid RankIC {'none' if rank_ic is None else f'{rank_ic:.4f}'} at epoch {record['best_epoch']}"
        rows.append(_row(f"runs/{record['name']}", record["state"], record["segments"]["test"][1], None, None, note))
    return rows


def _row(
    what: str, state: str, last: str | None, n_rows: int | None, n_bytes: int | None, note: str = ""
) -> dict[str, Any]:
    return {"what": what, "state": state, "last": last, "rows": n_rows, "bytes": n_bytes, "note": note}
