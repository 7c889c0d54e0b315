"""Times to events of a study's patients, and what they are compared by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cytoflow_car.outcome.analysis import Becoming, Endpoint
from cytoflow_car.outcome.follow_up import Covariate, FollowUp
from cytoflow_car.outcome.recovery import Recovery, RecoveryState
from cytoflow_car.outcome.time_dependent import Change
from cytoflow_car.study.courses import CohortCourses, recoveries_of
from cytoflow_car.study.records import RecoveryRule, Study, StudyDefinitions

#: What ends the time in which a patient may recover.
_COMPETING = ("relapse", "death")
#: An event on the day of the origin came after it, at an hour that nobody knows.
_SAME_DAY = 0.5


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A patient who is not in an endpoint, and why."""

    endpoint: str
    patient_id: str
    why: str


def endpoints_of(
    study: Study, patients: Sequence[str], courses: CohortCourses, left_out: list[LeftOut]
) -> tuple[Endpoint, ...]:
    """Return LFS and OS, and the times to recovery where these were looked at.

    Relapse and death compete with a recovery, which counts from the day on which it was known: the
    incidence is that of a documented recovery, and everybody is followed alike, looked at or not.

    Parameters
    ----------
    left_out
        Those of whom follow-up is not known are noted here.
    """
    survival = {"LFS": study.definitions.lfs_events, "OS": ("death",)}
    recoveries: dict[str, Mapping[str, Recovery]] = {}
    rule = primary_rule(study.definitions)
    if rule is not None:
        recoveries["TTBCR"] = {
            item.patient_id: item.recovery for item in courses.b_cells if item.rule == rule
        }
    recoveries["TTIGR"] = courses.globulins
    found = []
    for code in (*survival, *(code for code, known in recoveries.items() if known)):
        competing = {"transplant"} if study.definitions.transplant == "competing" else set()
        if code not in survival:
            competing.update(_COMPETING)
        follow_ups = []
        for patient in patients:
            item = _follow_up(study, patient, survival.get(code, _COMPETING))
            if isinstance(item, FollowUp) and code in recoveries:
                item = _until_recovery(study, item, recoveries[code].get(patient))
            if isinstance(item, FollowUp):
                follow_ups.append(item)
            else:
                left_out.append(LeftOut(code, patient, item))
        if not follow_ups:
            continue
        endpoint = Endpoint(code, tuple(follow_ups), frozenset(competing))
        if code in recoveries:
            became = _becoming("", recoveries[code], dict.fromkeys(patients, 0.0))
            flags = became.doubts_of(follow_ups)
            endpoint = replace(endpoint, event="recovery", flags=flags)
        found.append(endpoint)
    return tuple(found)


def primary_rule(definitions: StudyDefinitions) -> RecoveryRule | None:
    """Return the rule that TTBCR follows: the first of marrow, of CD19 where there is one."""
    rules = [rule for rule in recoveries_of(definitions) if rule.definition.specimen == "BM"]
    of_cd19 = (rule for rule in rules if "_cd19_" in rule.measurement)
    return next(of_cd19, rules[0] if rules else None)


def origin_day(study: Study, patient: str) -> float | None:
    """Return the day from infusion 1 on which survival begins; None where that is not known."""
    number = study.definitions.survival_origin
    if number == 1 and not study.infusions:
        return 0.0
    return next(
        (
            item.day
            for item in study.infusions
            if (item.patient_id, item.number) == (patient, number)
        ),
        None,
    )


def origin_dates(study: Study) -> Mapping[str, date]:
    """Return the date on which survival begins, of the patients of whom it is known."""
    return {
        item.patient_id: item.infused_on
        for item in study.infusions
        if item.number == study.definitions.survival_origin and item.infused_on is not None
    }


def _follow_up(study: Study, patient: str, ends: Sequence[str]) -> FollowUp | str:
    """Return the first of some events, else the end of follow-up; or why it is not known.

    A transplant before the origin is history.
    """
    facts, origin = study.patients.get(patient), origin_day(study, patient)
    rule, infusion = study.definitions.transplant, f"infusion {study.definitions.survival_origin}"
    if facts is None:
        return "no row in patients.csv"
    if origin is None:
        return f"no {infusion}"
    times = {event: day - origin for event, day in facts.days.items()}
    for event in ends:
        if event in times and times[event] < 0:
            return f"{event} before {infusion}"
    # An event counts before the transplantation of the same day.
    happened = [(times[event] or _SAME_DAY, event) for event in ends if event in times]
    if rule != "ignore" and times.get("transplant", 0.0) > 0:
        happened.append((times["transplant"], "transplant"))
    if happened:
        time, event = min(happened, key=lambda item: item[0])
        if event == "transplant" and rule == "censor":
            return FollowUp(patient, time, ended_by=event)
        return FollowUp(patient, time, event)
    known = [times[name] for name in ("last_follow_up", "death") if name in times]
    if not known and facts.dates.keys() - facts.days.keys():
        return "dates alone, and no date of infusion 1 to count from"
    if not known:
        return "no last follow-up in patients.csv"
    return FollowUp(patient, max(known)) if max(known) > 0 else f"not followed after {infusion}"


def _until_recovery(study: Study, end: FollowUp, found: Recovery | None) -> FollowUp | str:
    """Return the first recovery after the origin where it came before what ends follow-up.

    Whoever is recovered at the origin is not at risk of it, whatever comes later.
    """
    origin = origin_day(study, end.patient_id)
    assert origin is not None
    changes = [(day - origin, back) for day, back in (found.changes if found else ())]
    at_origin = [back for time, back in changes if time <= 0]
    if at_origin and at_origin[-1]:
        return f"recovered at infusion {study.definitions.survival_origin}"
    time = next((time for time, back in changes if back and time > 0), None)
    if time is None:
        return end
    # What is known on the day of the relapse did not precede it, but on the last day of observation
    # it counts, whose hour only the specimen tells.
    if time < end.time if end.event else math.floor(time) <= end.time:
        return FollowUp(end.patient_id, min(time, end.time), "recovery")
    return end


def becomings_of(study: Study, patients: Sequence[str], courses: CohortCourses) -> list[Becoming]:
    """Return what patients become, from the day on which it was known."""
    by_name: dict[str, dict[str, Recovery]] = {}
    for item in courses.b_cells:
        name = f"recovered_{item.rule.measurement}_{item.rule.definition.name}"
        by_name.setdefault(name, {})[item.patient_id] = item.recovery
    if study.labs:
        by_name[f"recovered_{study.definitions.immunoglobulin.name}"] = dict(courses.globulins)
    return [
        _becoming(name, found, {patient: origin_day(study, patient) for patient in patients})
        for name, found in by_name.items()
    ]


def _becoming(
    name: str, found: Mapping[str, Recovery], origins: Mapping[str, float | None]
) -> Becoming:
    changes = [
        Change(patient, name, day - origin, float(back))
        for patient, origin in origins.items()
        if origin is not None and patient in found
        for day, back in found[patient].changes
    ]
    states = {patient: found[patient].state for patient in origins if patient in found}
    return Becoming(
        name,
        tuple(changes),
        frozenset(
            patient
            for patient in origins
            if states.get(patient, RecoveryState.UNKNOWN) is RecoveryState.UNKNOWN
        ),
        frozenset(
            patient for patient, state in states.items() if state is RecoveryState.NEVER_APLASTIC
        ),
    )


def groups_of(study: Study, patients: Sequence[str]) -> Iterator[Covariate]:
    """Yield what was known of patients before infusion 1 and is not the same in all."""
    tp53 = {
        name: float(facts.tp53 == "mutated")
        for name, facts in study.patients.items()
        if name in patients and facts.tp53 in ("mutated", "wild")
    }
    if len(set(tp53.values())) == 2:
        yield Covariate("tp53=mutated", tp53, known_at=0.0)
