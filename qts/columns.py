"""Canonical column names of every panel qts reads or writes."""

INSTRUMENT = "instrument"
DATETIME = "datetime"
KEYS = (INSTRUMENT, DATETIME)

OPEN, HIGH, LOW, CLOSE = "open", "high", "low", "close"
VOLUME, AMOUNT, VWAP = "volume", "amount", "vwap"
ADJ_FACTOR = "adj_factor"

REQUIRED_FIELDS = (OPEN, HIGH, LOW, CLOSE, VOLUME)
OPTIONAL_FIELDS = (AMOUNT, VWAP, ADJ_FACTOR)
FIELDS = REQUIRED_FIELDS + OPTIONAL_FIELDS

FIELD_ALIASES = {"factor": ADJ_FACTOR}
"""Other spellings of a field; Qlib's data calls the adjustment ratio `factor`."""

LABEL = "label"
HAS_BAR = "has_bar"
"""Beside the label: whether the instrument traded that day; a suspended day is a row without a bar."""
SCORE = "score"
SAMPLE_WEIGHT = "sample_weight"
"""The factor that an expression for sample weights becomes; no model sees it."""

START, END = "start", "end"
"""The membership interval of a universe, both ends inclusive."""
