"""What a command tells people of its result: the same object that --json prints, as lines of text."""

from collections.abc import Mapping
from typing import Any

Result = Mapping[str, Any]
"""What a command found, by the keys of its JSON."""

_VALID = {"valid_loss": "valid loss", "valid_ic": "IC", "valid_rank_ic": "RankIC"}
"""Key among a run's best figures → name."""


def ingest_text(found: Result) -> str:
    """Return what an ingest took in and wrote."""
    up_to_date = "up to date: bars and config are what the store was made from"
    news = [f"{found['grown']:,} with new days"] if found["grown"] else []
    news += _names({"restated": found["restated"], "new": found["new"], "gone": found["gone"]})
    size = f"{found['n_rows']:,} rows, {found['n_instruments']:,} instruments, {found['n_days']:,} days"
    lines = [
        up_to_date if found["up_to_date"] else f"wrote {', '.join(found['written'])}",
        *_news(news),
        f"{size}, {found['first']} to {found['last']}",
    ]
    if found["n_quarantined"]:
        lines.append(f"{found['n_quarantined']:,} rows in quarantine: qts query 'FROM quarantine'")
    lines.append(f"{found['n_bytes'] / 1e6:,.0f} MB in {found['store']}, {found['seconds']:.1f} s")
    return "\n".join(lines)


def forecast_text(found: Result) -> str:
    """Return what an ingest would do, and what it would take."""
    names = {"with new days": found["grown"], **{key: found[key] for key in ("restated", "new", "gone")}}
    news = ["every row of the source is taken in"] if found["is_fresh"] else _names(names)
    lines = ["up to date: there is nothing to do", *_news(news)]
    if found["written"]:
        lines[0] = f"would write {', '.join(found['written'])}"
        lines.append(f"stages: {', '.join(found['stages'])}")
        lines.append(f"{'dataset':<24}{'rows read':>14}{'new':>14}{'recomputed':>14}{'files':>7}{'MB':>9}")
        lines += [_planned(dataset) for dataset in found["datasets"]]
        files = f"{found['n_files']:,} files and the manifest"
        lines.append(f"{files}, about {found['n_bytes'] / 1e6:,.0f} MB in {found['store']}")
    memory = f"{found['memory'] / 1e9:.1f} GB of memory at the peak, {found['least_memory'] / 1e9:.1f} GB at least"
    longer = " and more, because it spills to disk" if found["spills"] else ""
    lines.append(f"estimated: {memory}, {found['seconds']:,.1f} s{longer}")
    return "\n".join(lines)


def _planned(dataset: Result) -> str:
    counts = "".join(f"{dataset[key]:>14,}" for key in ("n_read", "n_new", "n_recomputed"))
    return f"{dataset['dataset']:<24}{counts}{dataset['n_files']:>7,}{dataset['n_bytes'] / 1e6:>9,.1f}"


def _news(news: list[str]) -> list[str]:
    return [f"instruments: {'; '.join(news)}"] if news else []


def _names(instruments: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{len(names):,} {what}: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        for what, names in instruments.items()
        if names
    ]


def windows_text(found: Result) -> str:
    """Return how many windows there are of each segment, and where the other rows went."""
    up_to_date = "up to date: store and config are what the windows were made from"
    size = f"{found['rows']:,} rows of {len(found['features'])} features"
    lines = [
        up_to_date if found["up_to_date"] else "wrote the windows",
        f"{size} in {found['folder']}, {found['seconds']:.1f} s",
        *(_segment(name, counts) for name, counts in found["samples"].items()),
    ]
    return "\n".join(lines)


def _segment(name: str, counts: Result) -> str:
    lost = {"no label": counts["no_label"], "purged": counts["purged"], "short history": counts["short_history"]}
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in lost.items() if count)
    left_out = f" (left out: {reasons})" if reasons else ""
    return f"{name}: {counts['samples']:,} samples of {counts['rows']:,} member rows{left_out}"


def training_text(found: Result) -> str:
    """Return how well a training went."""
    up_to_date = "up to date: the same training was done before"
    done = up_to_date if found["up_to_date"] else f"trained in {found['seconds']:.1f} s"
    epoch = f"best epoch {found['best_epoch']} of {found['n_epochs']}"
    return f"{done}\nrun {found['run']}\n{epoch}: {_figures(found['best'])}"


def seeds_text(found: Result) -> str:
    """Return how well each seed went, and how much they differ."""
    best, sd = found["best"], found["best_sd"]
    spread = (f"{label} {best[key]:.4f} ± {sd[key]:.4f}" for key, label in _VALID.items())
    lines = [
        "up to date" if found["up_to_date"] else f"trained in {found['seconds']:.1f} s",
        *(f"seed {member['seed']}: {_figures(member)}" for member in found["members"]),
        f"mean ± sd: {', '.join(spread)}",
        f"run {found['run']}, whose scores are the mean of day ranks",
    ]
    return "\n".join(lines)


def _figures(best: Result) -> str:
    loss, ic, rank_ic = (best[key] for key in _VALID)
    return f"valid loss {loss:.5f}, IC {ic:.4f}, RankIC {rank_ic:.4f}"


def run_text(found: Result) -> str:
    """Return what a run is, how its training and its test went, and what lies in its folder."""
    model = ", ".join(f"{key} {value}" for key, value in found["model"]["config"].items())
    lines = [
        f"run {found['run']}: {found['state']}",
        f"model {found['model']['name']}: {model}",
        f"features {len(found['features'])}, step_len {found['window']['step_len']}, label {found['label']['expr']}",
        *(f"{name} {first} to {last}" for name, (first, last) in found["segments"].items()),
    ]
    if found["state"] == "done":
        lines.append(f"best epoch {found['best_epoch']} of {found['n_epochs']}")
        lines += [f"{label} {_or_none(found['best'][key])}" for key, label in _VALID.items()]
    names = {"ic": "IC", "icir": "ICIR", "rank_ic": "RankIC", "rank_icir": "RankICIR"}
    test = ", ".join(f"{name} {_or_none(found['summary'].get(key))}" for key, name in names.items())
    lines.append(f"test: {test}" if found["summary"] else "test: no report yet; run: qts report")
    return "\n".join([*lines, *(f"{name}  {size:,} bytes" for name, size in found["files"].items())])


def import_text(found: Result) -> str:
    """Return what was taken from a file of weights, and what the model is worth with them."""
    origin = found["imported_from"]
    done = "up to date: the same file was imported before" if found["up_to_date"] else "imported"
    left_out = f", {origin['n_left_out']} left out that stand for nothing" if origin["n_left_out"] else ""
    figures = ", ".join(f"{label} {_or_none(found['best'][key])}" for key, label in _VALID.items())
    return f"{done}: {origin['n_copied']} tensors of {origin['file']}{left_out}\nrun {found['run']}\n{figures}"


def factor_text(found: Result) -> str:
    """Return what a factor is and, where the store holds it, what it is worth."""
    lines = {key.replace("_", " "): value for key, value in found.items() if value not in (None, [])}
    lines["lookback"] = "every row so far" if found["lookback"] is None else f"{found['lookback']} rows"
    lines["crosses"] = "reads other instruments" if found["crosses"] else "reads its own instrument alone"
    lines["in store"] = "not as it is here; run: qts ingest"
    if worth := found["in_store"]:
        share = "none" if worth["coverage"] is None else f"{100 * worth['coverage']:.2f} %"
        lines["in store"] = f"{share} of {worth['rows']:,} member rows, {worth['first']} to {worth['last']}"
        figures = {"RankIC": "rank_ic", "RankICIR": "rank_icir", "IC": "ic", "ICIR": "icir"}
        shown = (f"{label} {_or_none(worth[key])}" for label, key in figures.items())
        lines["worth"] = f"{', '.join(shown)}; mean of {worth['n_days']:,} days, not annualised"
    lines["sql"] = lines.pop("sql")
    return "\n".join(f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in lines.items())


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
