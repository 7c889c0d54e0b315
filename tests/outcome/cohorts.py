"""Random cohorts with ties, censoring, competing events and covariates that change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytoflow_car.outcome.follow_up import Covariate, FollowUp
from cytoflow_car.outcome.time_dependent import Change, RiskRow


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


@dataclass(frozen=True)
class SmallCohort:
    """A few patients, who come under observation at `entries`."""

    follow_ups: list[FollowUp]
    entries: list[float]
    arm: Covariate
    dose: Covariate

    @property
    def rows(self) -> list[RiskRow]:
        return [
            RiskRow(
                item.patient_id, entry, item.time, item.event,
                {"dose": float(self.dose.values[item.patient_id])},
            )
            for item, entry in zip(self.follow_ups, self.entries, strict=True)
        ]  # fmt: skip


def make_small_cohort(seed: int) -> SmallCohort:
    """Make 2 to 14 patients of up to four arms, from none with an event to all."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 15))
    names = [f"P{k:02d}" for k in range(n)]
    times = rng.integers(1, 12, n).astype(float)
    entries = np.minimum(rng.integers(0, 8, n), times - 1)
    kinds = rng.choice(["relapse", "death"], n)
    kinds[rng.random(n) > rng.choice([0.1, 0.4, 0.9, 1.0])] = ""
    # The last patient may be the only one of an arm, and be censored before the first event.
    arms = rng.integers(0, rng.integers(1, 4), n).astype(float)
    if seed % 2:
        times[-1], entries[-1], kinds[-1], arms[-1] = 0.5, 0.0, "", 3.0
    doses = rng.normal(size=n) * rng.choice([0.1, 1.0, 1000.0])
    return SmallCohort(
        [FollowUp(*item) for item in zip(names, times.tolist(), kinds.tolist(), strict=True)],
        entries.tolist(),
        Covariate("arm", dict(zip(names, arms.tolist(), strict=True)), known_at=0.0),
        Covariate("dose", dict(zip(names, doses.tolist(), strict=True)), known_at=0.0),
    )
