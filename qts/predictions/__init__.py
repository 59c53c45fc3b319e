"""What was published, night by night: one score a key, older versions kept, each with what it was made of."""

from qts.predictions.book import Book, read_book
from qts.predictions.manifest import BookManifest, Lineage, Synced
from qts.predictions.upsert import BookWriter, DayFigures, Upserted

__all__ = ["Book", "BookManifest", "BookWriter", "DayFigures", "Lineage", "Synced", "Upserted", "read_book"]
