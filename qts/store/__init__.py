"""The on-disk feature store: plain Parquet parts, and a manifest that says which of them count."""

from qts.store.manifest import Dataset, Manifest, Part, fingerprint
from qts.store.read import PanelRows, Store, open_store
from qts.store.write import StoreWriter

__all__ = ["Dataset", "Manifest", "PanelRows", "Part", "Store", "StoreWriter", "fingerprint", "open_store"]
