"""Courses of a simulated cohort beside what was planted in it.

``cytoflow-car simulate COHORT --patients 20``, ``cytoflow-car run COHORT --out RESULTS`` and
``cytoflow-car outcome RESULTS --out OUTCOME`` first; then
``python tests/benchmarks/courses.py COHORT OUTCOME`` tells in how many patients Cmax (within 10 %),
Tmax, persistence and recovery are those of the truth, and whether patients, events and time are the
same in every table. The truth of a course is made from the truth of its files by the same
definitions: what a laboratory could know at best from these draws.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).resolve().parents[1]))
from outcome_sums import differing, sums

#: A share that an assay of 26,000 T cells must see, in percent.
_SEEN = 0.05
_LEAST_T = 26_000
_APLASIA = 2.0


def main() -> None:
    """Print the shares, and the courses that differ."""
    cohort, outcome = map(Path, sys.argv[1:3])
    sheet = pd.read_csv(cohort / "samples.csv")
    truth = pd.read_csv(cohort / "truth.csv").merge(
        sheet[["file", "patient_id", "specimen", "day", "timing", "car_target"]], on="file"
    )
    infusions = pd.read_csv(cohort / "infusions.csv")
    courses = pd.read_csv(outcome / "courses.csv")
    recoveries = pd.read_csv(outcome / "recoveries.csv")
    told = [
        *_cars(truth, infusions, courses),
        *_recoveries(truth, recoveries),
    ]
    table = pd.DataFrame(told, columns=["what", "course", "planted", "found", "right"])
    print(table.groupby("what")["right"].agg(["mean", "sum", "count"]).to_string())
    whole = table.groupby(["what", table["course"].str.split().str[0]])["right"].all()
    print("of patients, every course right:")
    print(whole.groupby("what").agg(["mean", "sum", "count"]).to_string())
    print(table[~table["right"]].to_string())
    added = sums(outcome)
    print(added.to_string())
    print("differing:", ", ".join(differing(added)) or "none")


def _cars(truth: pd.DataFrame, infusions: pd.DataFrame, courses: pd.DataFrame) -> list[tuple]:
    rows = []
    for item in infusions.itertuples():
        own = truth[
            (truth["patient_id"] == item.patient_id)
            & (truth["car_target"] == item.car_target)
            & (truth["measurement"] == "car_t_percent_of_t")
            & (truth["specimen"] == "PB")
        ]
        found = courses[
            (courses["USUBJID"] == item.patient_id)
            & (courses["INFSEQ"] == item.infusion)
            & (courses["SPEC"] == "PB")
            & (courses["PARAMCD"] == "car_t_percent_of_t")
        ]
        if found.empty or own.empty:
            continue
        course, name = found.iloc[0], f"{item.patient_id} infusion {item.infusion}"
        since = own.assign(day=own["day"] - item.day).sort_values("day")
        later = infusions[
            (infusions["patient_id"] == item.patient_id)
            & (infusions["infusion"] == item.infusion + 1)
        ]
        until = float(later["day"].iloc[0] - item.day) if len(later) else float("inf")
        cycle = since[(since["day"] >= 0) & (since["day"] <= until)]
        highest = cycle.loc[cycle["value"].idxmax()]
        right = abs(course["cmax"] / highest["value"] - 1) <= 0.1
        rows.append(("cmax", name, highest["value"], course["cmax"], bool(right)))
        rows.append(
            ("tmax", name, highest["day"], course["tmax"], highest["day"] == course["tmax"])
        )
        after = since[since["day"] > 0]
        seen = after[after["value"] >= _SEEN]["day"]
        last = seen.max() if len(seen) else None
        later = after[after["day"] > (last if last is not None else 0)]
        # With fewer T cells a negative is indeterminate, and ends nothing.
        gone = later[later["n_denominator"] >= _LEAST_T]["day"]
        first = gone.min() if len(gone) else None
        planted = (last, first)
        told = (_known(course["persists_after"]), _known(course["persists_until"]))
        rows.append(("persistence, both ends", name, planted, told, planted == told))
        # An open end is right, but says less.
        least = later["day"].min() if len(later) else 0
        holds = (told[0] or 0) <= (last or 0) and (told[1] is None or told[1] >= least)
        rows.append(("persistence, interval holds", name, planted, told, holds))
    return rows


def _recoveries(truth: pd.DataFrame, recoveries: pd.DataFrame) -> list[tuple]:
    rows = []
    for item in recoveries[recoveries["SPEC"] == "BM"].itertuples():
        own = truth[
            (truth["patient_id"] == item.USUBJID)
            & (truth["measurement"] == item.measurement)
            & (truth["specimen"] == "BM")
            & (truth["day"] > 0)
        ].sort_values("day")
        after, run, found = None, [], (None, None)
        for day, value in zip(own["day"], own["value"], strict=True):
            if value > _APLASIA:
                run.append(day)
                if len(run) == 2:
                    found = (after, run[0])
                    break
            else:
                after, run = day, []
        planted = found if found[1] is not None else (after, run[0] if run else None)
        told = (_known(item.after), _known(item.by))
        name = f"{item.USUBJID} {item.measurement}"
        rows.append(("recovery", name, planted, told, planted == told))
    return rows


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value


if __name__ == "__main__":
    main()
