"""The least each architecture has to be told; those that are not listed need nothing."""

NEEDED: dict[str, dict[str, object]] = {"bilstm": {"closed_windows": True}}


def minimal(name: str) -> dict[str, object]:
    """Return the keys without which an architecture's Config refuses."""
    return dict(NEEDED.get(name, {}))
