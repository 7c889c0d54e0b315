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
    """A test that groups share one hazard.

    Attributes
    ----------
    degrees
        Of freedom: groups at risk at an event, less one.
    groups
        All of them.
    flags
        As of estimates, and NEVER_AT_RISK, ``:`` and the label: everybody of the group was
        censored before the first event, and the test does without it.
    """

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
        The group was known only later and that is not allowed, a patient has no value, fewer than
        two groups were at risk at an event, or the first took everybody who was.

    References
    ----------
    Mantel, Cancer Chemotherapy Reports 50 (1966) 163-170.
    """
    from lifelines.statistics import multivariate_logrank_test

    groups, flags = split(follow_ups, group, allow_immortal_time=allow_immortal_time)
    events = [item.time for items in groups.values() for item in items if item.event]
    first = min(events, default=math.inf)
    at_risk = [
        (item.time, label, bool(item.event))
        for label, items in groups.items()
        for item in items
        if item.time >= first
    ]
    tested = {label for _, label, _ in at_risk}
    if len(tested) < 2:
        raise OutcomeError(
            f"{len(events)} events, at which {len(tested)} of {len(groups)} groups of "
            f"{group.name!r} were at risk",
            expected="two groups at risk at an event",
        )
    if len(at_risk) == events.count(first):
        raise OutcomeError(
            f"everybody at risk had an event at {first:g}, in all groups of {group.name!r}",
            expected="an event that leaves somebody without",
        )
    found = multivariate_logrank_test(*zip(*at_risk, strict=True))
    never = tuple(
        f"NEVER_AT_RISK:{label if isinstance(label, str) else f'{label:g}'}"
        for label in groups
        if label not in tested
    )
    return LogRank(
        chi2=float(found.test_statistic),
        degrees=len(tested) - 1,
        p_value=float(found.p_value),
        groups=totals_of(groups),
        flags=(*flags, *never, *event_flags(len(events), setting)),
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
