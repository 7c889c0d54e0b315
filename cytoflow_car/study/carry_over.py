"""Carry-over: specimens that were run directly after one full of what they are searched for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from cytoflow_car.errors import FcsError
from cytoflow_car.fcs import read_header
from cytoflow_car.job import SampleJob, SampleResult
from cytoflow_car.qc.acquisition import Check
from cytoflow_car.study.plan import StudyPlan

#: (instrument, date, time), and the sample that was run then.
_Run = tuple[tuple[str, str, tuple[int, ...]], str]


def find_carry_over(
    plan: StudyPlan, results: Iterable[SampleResult]
) -> dict[tuple[str, str], Check]:
    """Check every specimen whose template asks for it against the run before.

    Runs of the study's files, controls among them, are put in order by ``$DATE`` and ``$BTIM`` on
    each instrument; neither reaches the results. A file that states none has no place in the order.

    Returns
    -------
    By (sample_id, template): the highest percent of the template's carry-over measurements in the
    sample before. Left out where the sample before has none of them.
    """
    asked = {
        (sample.job.sample_id, sample.job.template.name): sample.job
        for sample in plan.samples
        if sample.job.template.acquisition.carry_over
    }
    if not asked:
        return {}
    measured = _highest_percents(results)
    before = _samples_before([*(item.job for item in plan.samples), *plan.control_jobs.values()])
    found = {}
    for key, job in asked.items():
        setting = job.template.acquisition
        previous = before.get(job.sample_id)
        values = [
            (measured[previous, name], name)
            for name in setting.carry_over
            if previous is not None and (previous, name) in measured
        ]
        if values:
            value, name = max(values)
            found[key] = Check(
                "carry_over",
                value,
                "%",
                f"less than {setting.carry_over_percent:g} % of {name} in {previous}, run before",
                "CARRY_OVER" if value >= setting.carry_over_percent else "",
            )
    return found


def _highest_percents(results: Iterable[SampleResult]) -> dict[tuple[str, str], float]:
    """Return percents by (sample_id, measurement), with the events that quality control marked."""
    highest: dict[tuple[str, str], float] = {}
    for result in results:
        for item in result.measurements:
            values = [value for value in (item.value, item.value_before_qc) if value is not None]
            if item.unit == "%" and values:
                key = (result.sample_id, item.name)
                highest[key] = max(*values, highest.get(key, 0.0))
    return highest


def _samples_before(jobs: Iterable[SampleJob]) -> Mapping[str, str]:
    """Return the sample that was run directly before each; of several runs, before the first."""
    runs: set[_Run] = set()
    for sample_id, sources in {job.sample_id: job.sources for job in jobs}.items():
        for source in sources:
            try:
                header = read_header(source.path, source.dataset)
            except (FcsError, OSError):
                continue
            if header.acquired_on and header.began_at:
                clock = tuple(int(number) for number in re.findall(r"\d+", header.began_at))
                place = (header.instrument, header.acquired_on, clock)
                runs.add((place, sample_id))
    before: dict[str, str] = {}
    for (earlier, previous), (later, sample_id) in pairwise(sorted(runs)):
        # The first run of a day follows a start-up with its cleaning.
        if earlier[:2] == later[:2] and previous != sample_id:
            before.setdefault(sample_id, previous)
    return before
