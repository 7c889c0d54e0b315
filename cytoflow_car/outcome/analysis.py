"""The analyses of one endpoint: each model beside the others, and which of them are biased."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self

from cytoflow_car.errors import OutcomeError
from cytoflow_car.outcome.cox import Penalty, fit_cox, fit_cox_time_dependent
from cytoflow_car.outcome.curves import Transform, cumulative_incidence, kaplan_meier
from cytoflow_car.outcome.follow_up import Covariate, Estimate, FollowUp, SurvivalSetting, split
from cytoflow_car.outcome.log_rank import compare_groups
from cytoflow_car.outcome.time_dependent import Change, Landmark, build_rows, take_landmark

Kind = Literal[
    "survival", "cumulative_incidence", "events", "log_rank", "cox", "firth",
    "landmark_events", "landmark_firth", "time_dependent_cox", "time_dependent_firth",
    "correlation",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is analysed.

    Attributes
    ----------
    name
        Parameter code, such as ``LFS``.
    follow_ups
        Of every patient; an event of `competing` ends follow-up, but is not the endpoint's.
    competing
        Events that keep a patient from the endpoint's.
    event
        Whose incidence is told even where nobody had it; empty for those that happened.
    flags
        Of every incidence.
    """

    name: str
    follow_ups: tuple[FollowUp, ...]
    competing: frozenset[str] = frozenset()
    event: str = ""
    flags: tuple[str, ...] = ()

    @property
    def censored_at_competing(self) -> tuple[FollowUp, ...]:
        """The follow-ups, censored where a competing event came."""
        return tuple(
            replace(item, event="") if item.event in self.competing else item
            for item in self.follow_ups
        )


@dataclass(frozen=True, slots=True)
class Becoming:
    """What some patients become during follow-up.

    Attributes
    ----------
    changes
        From 0 to 1 when it was known, and back where it was lost again.
    unmeasured
        Patients of whom nobody knows; they count as not having become it.
    never_lost
        Patients who cannot become it, since they never were otherwise; they count likewise.
    """

    name: str
    changes: tuple[Change, ...]
    unmeasured: frozenset[str] = frozenset()
    never_lost: frozenset[str] = frozenset()

    @classmethod
    def for_good(cls, name: str, times: Mapping[str, float]) -> Self:
        """Return what is never lost again, by the patients' times."""
        return cls(name, tuple(Change(who, name, time, 1.0) for who, time in times.items()))

    def changes_of(self, follow_ups: Iterable[FollowUp]) -> tuple[Change, ...]:
        """Return the changes of the patients who are followed."""
        followed = {item.patient_id for item in follow_ups}
        return tuple(item for item in self.changes if item.patient_id in followed)

    def doubts_of(self, follow_ups: Iterable[FollowUp]) -> tuple[str, ...]:
        """Return UNMEASURED and NEVER_LOST, ``:`` and of how many patients who are followed."""
        followed = {item.patient_id for item in follow_ups}
        doubts = {"UNMEASURED": self.unmeasured, "NEVER_LOST": self.never_lost}
        return tuple(
            f"{flag}:{len(who & followed)}" for flag, who in doubts.items() if who & followed
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of an endpoint.

    Attributes
    ----------
    times
        At which survival is told.
    landmarks
        At which the clock starts anew.
    groups
        What patients are compared by; one known only later needs `allow_immortal_time`.
    becomings
        What they become: by landmark, and as a time-dependent covariate.
    """

    times: tuple[float, ...] = ()
    landmarks: tuple[float, ...] = ()
    groups: tuple[Covariate, ...] = ()
    becomings: tuple[Becoming, ...] = ()
    allow_immortal_time: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One number of an analysis.

    Attributes
    ----------
    estimate
        None where it was refused or cannot be had, and `reason` says why.
    label
        Of counts, the group.
    """

    endpoint: str
    kind: Kind
    subject: str
    label: str = ""
    at: float | None = None
    estimate: Estimate | None = None
    statistic: float | None = None
    reason: str = ""

    @property
    def is_biased(self) -> bool:
        """Whether patients were grouped by what was known only later."""
        flags = self.estimate.flags if self.estimate is not None else ()
        return any(flag.startswith("IMMORTAL_TIME") for flag in flags)


@dataclass(frozen=True, slots=True)
class _Asked:
    endpoint: Endpoint
    question: Question
    setting: SurvivalSetting
    follow_ups: tuple[FollowUp, ...]


def analyse_endpoint(
    endpoint: Endpoint, question: Question, setting: SurvivalSetting = SurvivalSetting()
) -> tuple[Finding, ...]:
    """Take every analysis that a question asks of an endpoint.

    A fixed group is told with and without Firth's penalty, since few events may separate it. What a
    patient becomes is told by landmark and time-dependently. What cannot be had stands there with
    its reason, so that nothing is missing without a word.

    Returns
    -------
    In the order of survival, groups, landmarks, time-dependent models.
    """
    asked = _Asked(endpoint, question, setting, endpoint.censored_at_competing)
    return (
        *_of_curves(asked),
        *(found for group in question.groups for found in _of_known(asked, group)),
        *(found for item in question.becomings for found in _of_becoming(asked, item)),
    )


def _of_curves(asked: _Asked) -> Iterator[Finding]:
    transforms: tuple[Transform, ...] = ("plain", "log-log")
    for transform in transforms:
        curve = kaplan_meier(asked.follow_ups, transform=transform, setting=asked.setting)
        for time in asked.question.times:
            yield Finding(asked.endpoint.name, "survival", "all", "", time, curve.at(time))
    if not asked.endpoint.competing:
        return
    happened = {item.event for item in asked.endpoint.follow_ups}
    for event in sorted({*happened, asked.endpoint.event} - {""}):
        found = cumulative_incidence(asked.endpoint.follow_ups, event, setting=asked.setting)
        for time in asked.question.times:
            estimate = found.at(time)
            estimate = replace(estimate, flags=(*asked.endpoint.flags, *estimate.flags))
            yield Finding(asked.endpoint.name, "cumulative_incidence", event, "", time, estimate)


def _of_known(asked: _Asked, group: Covariate) -> Iterator[Finding]:
    """Yield the analyses of a group among the patients of whom it is known; flag how many not."""
    known = tuple(item for item in asked.follow_ups if item.patient_id in group.values)
    if not known:
        reason = "no patient has a value"
        yield Finding(asked.endpoint.name, "log_rank", group.name, reason=reason)
        return
    missing = len(asked.follow_ups) - len(known)
    for found in _of_group(replace(asked, follow_ups=known), group):
        if found.estimate is not None and missing:
            flags = (f"WITHOUT_VALUE:{missing}", *found.estimate.flags)
            found = replace(found, estimate=replace(found.estimate, flags=flags))
        yield found


def _of_group(asked: _Asked, group: Covariate) -> Iterator[Finding]:
    name = asked.endpoint.name
    yield from _count(asked, "events", group, asked.follow_ups, None)

    yield _or_reason(partial(_test_groups, asked, group), Finding(name, "log_rank", group.name))
    if any(isinstance(value, str) for value in group.values.values()):
        return
    kinds: tuple[tuple[Kind, Penalty], ...] = (("cox", "never"), ("firth", "always"))
    for kind, penalty in kinds:
        yield _or_reason(
            partial(_fit_fixed, asked, group, kind, penalty), Finding(name, kind, group.name)
        )


def _test_groups(asked: _Asked, group: Covariate) -> Finding:
    test = compare_groups(
        asked.follow_ups,
        group,
        allow_immortal_time=asked.question.allow_immortal_time,
        setting=asked.setting,
    )
    estimate = Estimate(
        group.name,
        None,
        None,
        None,
        "",
        f"log-rank, degrees of freedom: {test.degrees}",
        len(asked.follow_ups),
        sum(item.n_events for item in test.groups),
        sum(item.person_time for item in test.groups),
        test.p_value,
        test.flags,
    )
    return Finding(
        asked.endpoint.name, "log_rank", group.name, estimate=estimate, statistic=test.chi2
    )


def _fit_fixed(asked: _Asked, group: Covariate, kind: Kind, penalty: Penalty) -> Finding:
    (estimate,) = fit_cox(
        asked.follow_ups,
        [group],
        allow_immortal_time=asked.question.allow_immortal_time,
        penalty=penalty,
        setting=asked.setting,
    )
    return Finding(asked.endpoint.name, kind, group.name, estimate=estimate)


def _of_becoming(asked: _Asked, item: Becoming) -> Iterator[Finding]:
    """Yield the analyses of what patients become; flag of how many it stands open."""
    flags = item.doubts_of(asked.follow_ups)
    for found in _by_becoming(asked, item):
        if found.estimate is not None:
            estimate = replace(found.estimate, flags=(*flags, *found.estimate.flags))
            found = replace(found, estimate=estimate)
        yield found


def _by_becoming(asked: _Asked, item: Becoming) -> Iterator[Finding]:
    name = asked.endpoint.name
    baseline = {person.patient_id: 0.0 for person in asked.follow_ups}
    changes = item.changes_of(asked.follow_ups)
    for at in asked.question.landmarks:
        try:
            landmark = take_landmark(asked.follow_ups, baseline, changes, item.name, at)
        except OutcomeError as fault:
            yield Finding(name, "landmark_firth", item.name, "", at, reason=str(fault))
            continue
        yield from _count(asked, "landmark_events", landmark.covariate, landmark.follow_ups, at)

        yield _or_reason(
            partial(_fit_landmark, asked, landmark, item.name),
            Finding(name, "landmark_firth", item.name, "", at),
        )
    kinds: tuple[tuple[Kind, Penalty], ...] = (
        ("time_dependent_cox", "never"),
        ("time_dependent_firth", "always"),
    )
    for kind, penalty in kinds:
        yield _or_reason(
            partial(_fit_time_dependent, asked, item, kind, penalty),
            Finding(name, kind, item.name),
        )


def _fit_landmark(asked: _Asked, landmark: Landmark, subject: str) -> Finding:
    (estimate,) = fit_cox(
        landmark.follow_ups, [landmark.covariate], penalty="always", setting=asked.setting
    )
    return Finding(asked.endpoint.name, "landmark_firth", subject, "", landmark.at, estimate)


def _fit_time_dependent(asked: _Asked, item: Becoming, kind: Kind, penalty: Penalty) -> Finding:
    start = {person.patient_id: {item.name: 0.0} for person in asked.follow_ups}
    table = build_rows(asked.follow_ups, start, item.changes_of(asked.follow_ups))
    (estimate,) = fit_cox_time_dependent(table.rows, penalty=penalty, setting=asked.setting)
    return Finding(asked.endpoint.name, kind, item.name, estimate=estimate)


def _count(
    asked: _Asked, kind: Kind, group: Covariate, follow_ups: Sequence[FollowUp], at: float | None
) -> Iterator[Finding]:
    """Count patients and events of each group; counting alone is biased by nothing."""
    groups, flags = split(follow_ups, group, allow_immortal_time=True)
    for label, items in groups.items():
        estimate = Estimate(
            f"events of {group.name} {label:g}" if not isinstance(label, str) else label,
            None,
            None,
            None,
            "",
            "count",
            len(items),
            sum(bool(item.event) for item in items),
            sum(item.time for item in items),
            flags=flags,
        )
        told = label if isinstance(label, str) else f"{label:g}"
        yield Finding(asked.endpoint.name, kind, group.name, told, at, estimate)


def _or_reason(take: Callable[[], Finding], without: Finding) -> Finding:
    try:
        return take()
    except OutcomeError as fault:
        return replace(without, reason=str(fault))
