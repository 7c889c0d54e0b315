"""Random cohorts with ties, censoring, competing events and a covariate that changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytoflow_car.outcome.follow_up import Covariate, FollowUp
from cytoflow_car.outcome.time_dependent import Change


@dataclass(frozen=True)
class Cohort:
    follow_ups: list[FollowUp]
    group: Covariate
    dose: Covariate
    changes: list[Change]

    @property
    def baseline(self) -> dict[str, dict[str, float]]:
        return {
            item.patient_id: {"recovered": 0.0, "dose": float(self.dose.values[item.patient_id])}
            for item in self.follow_ups
        }


def make_cohort(seed: int) -> Cohort:
    """Make 15 to 79 patients; times are multiples of a half, so that many tie."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(15, 80))
    names = [f"P{k:02d}" for k in range(n)]
    group = rng.permutation(np.arange(n) % 2)
    dose = rng.normal(size=n).round(2)
    to_event = np.ceil(2 * rng.exponential(10 * np.exp(-0.5 * group - 0.3 * dose))) / 2
    to_censoring = np.ceil(rng.uniform(2, 25, n))
    kinds = np.where(rng.random(n) < 0.7, "relapse", "death")
    follow_ups = [
        FollowUp(name, float(min(event, end)), str(kind) if event <= end else "")
        for name, event, end, kind in zip(names, to_event, to_censoring, kinds, strict=True)
    ]
    changes = []
    for name in names:
        # Some recover, some of them lose it again, some on the day of their event.
        first, second = np.ceil(rng.exponential(6.0, 2))
        if rng.random() < 0.7:
            changes.append(Change(name, "recovered", float(first), 1.0))
            if rng.random() < 0.3:
                changes.append(Change(name, "recovered", float(first + second), 0.0))
    return Cohort(
        follow_ups,
        Covariate("group", dict(zip(names, group.tolist(), strict=True)), known_at=0.0),
        Covariate("dose", dict(zip(names, dose.tolist(), strict=True)), known_at=0.0),
        changes,
    )
