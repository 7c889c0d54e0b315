"""Patients, events and time of each endpoint as each outcome table holds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd


def sums(out: Path) -> pd.DataFrame:
    """Add up every table of an outcome folder.

    Returns
    -------
    One row an endpoint and table: columns endpoint, table, patients, events, time. Of a landmark,
    endpoint is as ``LFS after 180`` and ``adtte.csv`` is added up beside it.
    """
    rows = pd.DataFrame(_rows(out), columns=["endpoint", "table", "patients", "events", "time"])
    return rows.astype({"patients": int, "events": int, "time": float})


def differing(found: pd.DataFrame) -> list[str]:
    """Return the endpoints whose tables do not hold the same."""
    rounded = found.assign(time=found["time"].round(6))
    several = rounded.groupby("endpoint")[["patients", "events", "time"]].nunique().max(axis=1)
    return list(several.index[several > 1])


def _rows(out: Path) -> Iterator[tuple[str, str, int, int, float]]:
    adtte, tv = pd.read_csv(out / "adtte.csv"), pd.read_csv(out / "tv.csv")
    statistics = pd.read_csv(out / "statistics.csv")
    for code, own in adtte.groupby("PARAMCD"):
        yield code, "adtte.csv", own["USUBJID"].nunique(), own["EVENT"].sum(), own["AVAL"].sum()
        rows = tv[tv["paramcd"] == code]
        time = (rows["tstop"] - rows["tstart"]).sum()
        # Recoveries are the covariates of these two tables, not their endpoints.
        survival = not code.startswith("TT")
        if survival:
            yield code, "tv.csv", rows["id"].nunique(), rows["event"].sum(), time
        # Of a recovery, what competes has events of its own.
        whole = [("survival", "all"), ("cumulative_incidence", "recovery")]
        for curve in statistics[statistics["endpoint"] == code].itertuples():
            if (curve.analysis, curve.subject) in whole:
                table = f"statistics.csv {curve.analysis}"
                yield code, table, curve.n, curve.n_events, curve.person_time
        for path in sorted(out.glob("landmark_*.csv") if survival else ()):
            at = float(path.stem.split("_", 1)[1])
            table = pd.read_csv(path)
            later, landmark = own[own["AVAL"] > at], table[table["paramcd"] == code]
            name = f"{code} after {at:g}"
            time = later["AVAL"].sum() - at * len(later)
            yield name, "adtte.csv", len(later), later["EVENT"].sum(), time
            events, time = landmark["event"].sum(), landmark["time"].sum()
            yield name, path.name, landmark["id"].nunique(), events, time
