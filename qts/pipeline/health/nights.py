"""What tonight needs: the pinned run as it was, and a last night that went well."""

from collections.abc import Iterator

from qts.errors import StoreError
from qts.pipeline.command_record import read_command_record, say_how_it_ended
from qts.pipeline.health.finding import Finding, Place
from qts.pipeline.pinned import PINNED, read_pin
from qts.pipeline.predict import weights_print
from qts.training.checkpoint import open_run


def check_pinned(place: Place) -> Iterator[Finding]:
    """Say whether the pinned run is there with the weights it had."""
    if place.loaded is None:
        return
    runs = place.loaded.path(place.loaded.config.store.runs)
    if not (runs / PINNED).is_file():
        return
    try:
        pin = read_pin(place.loaded)
        weights = weights_print(open_run(runs, pin.run))
    except StoreError as error:
        yield Finding("pinned run", error.message, "missing", error.hint or "pin another: qts runs pin RUN")
        return
    if weights != pin.weights:
        hint = "restore them, or say that they are meant: qts runs pin RUN"
        yield Finding("pinned run", f"the weights of {pin.run} have changed since {pin.pinned}", "careful", hint)
    else:
        yield Finding("pinned run", f"{pin.run}, pinned {pin.pinned}")


def check_last_night(place: Place) -> Iterator[Finding]:
    """Say how the last night ended."""
    found = read_command_record(place.loaded.path(place.loaded.config.store.path), "nightly") if place.loaded else None
    if found is None:
        return
    ended = say_how_it_ended(found)
    if found["code"] == 0:
        yield Finding("last night", ended)
        return
    error = found.get("error")
    told = error if isinstance(error, dict) else {}
    hint = str(told.get("hint") or "run qts nightly by hand and see")
    yield Finding("last night", f"{ended}: {told.get('message') or 'no message'}", "careful", hint)
