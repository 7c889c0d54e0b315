"""Whether groups differ in the times to their events."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.follow_up import (
    Covariate,
    FollowUp,
    SurvivalSetting,
    event_flags,
    split,
)


@dataclass(frozen=True, slots=True)
class GroupTotals:
    """What one group contributes; `label` is its value."""

    label: float | str
    n: int
    n_events: int
    person_time: float


@dataclass(frozen=True, slots=True)
class LogRank:
    """A test that groups share one hazard; flags as of estimates."""

    chi2: float
    degrees: int
    p_value: float
    groups: tuple[GroupTotals, ...]
    flags: tuple[str, ...]


def compare_groups(
    follow_ups: Iterable[FollowUp],
    group: Covariate,
    *,
    allow_immortal_time: bool = False,
    setting: SurvivalSetting = SurvivalSetting(),
) -> LogRank:
    """Compare groups by the log-rank test.

    Parameters
    ----------
    group
        Known at the origin.
    allow_immortal_time
        Accept a group that was known only later; the result is flagged IMMORTAL_TIME.

    Raises
    ------
    OutcomeError
        The group was known only later and that is not allowed, a patient has no value, all have
        the same, or there is no event.

    References
    ----------
    Mantel, Cancer Chemotherapy Reports 50 (1966) 163-170.
    """
    from lifelines.statistics import multivariate_logrank_test

    groups, flags = split(follow_ups, group, allow_immortal_time=allow_immortal_time)
    totals = totals_of(groups)
    n_events = sum(item.n_events for item in totals)
    if len(groups) < 2 or not n_events:
        raise OutcomeError(
            f"{len(groups)} groups of {group.name!r} with {n_events} events",
            expected="two groups and an event",
        )
    rows = [
        (item.time, place, bool(item.event))
        for place, items in enumerate(groups.values())
        for item in items
    ]
    found = multivariate_logrank_test(*zip(*rows, strict=True))
    return LogRank(
        chi2=float(found.test_statistic),
        degrees=len(groups) - 1,
        p_value=float(found.p_value),
        groups=totals,
        flags=(*flags, *event_flags(n_events, setting)),
    )


def totals_of(groups: dict[float | str, tuple[FollowUp, ...]]) -> tuple[GroupTotals, ...]:
    """Count patients, events and time of each group."""
    return tuple(
        GroupTotals(
            label,
            len(items),
            sum(bool(item.event) for item in items),
            math.fsum(item.time for item in items),
        )
        for label, items in groups.items()
    )
