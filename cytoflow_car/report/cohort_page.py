"""The page of a cohort: its patients, what failed, what waits for review, survival."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cytoflow_car.report.contents import RunContents
from cytoflow_car.report.html import (
    Cell,
    Content,
    Row,
    element,
    interval,
    number,
    page,
    table,
    warning,
)
from cytoflow_car.report.notices import GRAVE, footer, simulated_warning
from cytoflow_car.report.words import counted, doubts, glossary, meaning
from cytoflow_car.tables.cells import Line
from cytoflow_car.tables.meanings import (
    CALLS,
    COURSE_FLAGS,
    QC_FLAGS,
    RECOVERY_STATES,
    SURVIVAL_FLAGS,
)


def cohort_page(run: RunContents) -> str:
    """Return the page of all patients of a run."""
    sections = [
        ("patients", "Patients", _patients(run)),
        ("survival", "Survival", _survival(run)),
        ("failures", "Failures", [_failures(run)]),
        ("review", "For review", [_review(run)]),
        ("quality", "Quality of batches", [_batches(run)]),
        ("versions", "Versions", [_versions(run)]),
    ]
    links = [element("li", element("a", text, href=f"#{name}")) for name, text, _ in sections]
    content: list[Content] = [
        element("h1", run.name),
        *simulated_warning(run),
        _counts(run),
        *_warnings(run),
        element("nav", element("ul", *links), aria_label="On this page"),
    ]
    for name, text, body in sections:
        content += [element("h2", text, id=name), *body]
    return page(f"{run.name}: report", *content, footer(run))


def _counts(run: RunContents) -> Content:
    review = {line["sample_id"] for line in _of_review(run)}
    return element(
        "p",
        f"{len(run.patients)} patient{'' if len(run.patients) == 1 else 's'}, ",
        number(run.record, "n_files", rounded=False),
        " files, ",
        number(run.record, "n_results", rounded=False),
        " results, ",
        number(run.record, "n_failures", rounded=False),
        f" failures; {len(review)} specimens for review. Analysed {run.record['ended'][:10]}.",
    )


def _warnings(run: RunContents) -> Iterator[Content]:
    if run.simulated is None:
        yield warning(
            "the study folder is not at hand: whether the study is simulated, relapse and death "
            "are not known here; days of infusions are those of the results."
        )
    if run.failures:
        yield warning(
            element("a", "files failed", href="#failures"), "; their numbers are missing."
        )
    if _of_review(run):
        yield warning(
            element("a", "gates wait for a person's review", href="#review"),
            "; numbers that rest on them may change.",
        )
    samples: dict[str, set[str]] = {}
    for patient in run.patients:
        for line in patient.measurements:
            for flag in line.flags:
                if flag.partition(":")[0] in GRAVE:
                    samples.setdefault(flag, set()).add(line["sample_id"])
    for flag, names in samples.items():
        n = len(names)
        yield warning(f"{flag}, {n} specimen{'' if n == 1 else 's'}: {meaning(flag)}.")
    drifting = {line["batch"] for line in _of_batches(run) if line["flag"] == "DRIFT"} - {""}
    if drifting:
        yield warning(
            element("a", f"batches drift: {', '.join(sorted(drifting))}", href="#quality")
        )
    alone = {line["sample_id"] for line in run.qc if line["flag"] == "DRIFT"} - {""}
    if alone:
        n = len(alone)
        yield warning(
            f"{n} specimen{' drifts' if n == 1 else 's drift'} from the others of the run, told on "
            "the pages of their patients."
        )
    if any(_is_biased(line) for line in run.statistics or ()):
        yield warning(
            element("a", "some comparisons are biased by immortal time", href="#survival"),
            ": patients were grouped by what was known only later.",
        )
    if run.without_follow_up:
        who = ", ".join(run.without_follow_up)
        yield warning(f"no follow-up is known of {who}: not in survival.")


def _patients(run: RunContents) -> Iterator[Content]:
    link = {item.patient_id: element("a", item.patient_id, href=item.page) for item in run.patients}
    if run.statistics is None:
        yield element(
            "p",
            "Days are from infusion 1. Peaks and persistence, recovery and survival need the "
            "tables of outcome.",
        )
        yield _patients_of_run(run)
        return
    yield element(
        "p",
        "Days are from infusion 1; of peak and persistence after infusion 2 they are from that. "
        "CAR T cells are in % of T cells in blood, without background where a control tells it.",
    )
    rows: list[Row] = []
    for item in run.patients:
        line = item.summary
        if line is None:
            rows.append([link[item.patient_id], *[""] * 15])
            continue
        rows.append(
            [
                link[item.patient_id],
                _infusions(line),
                *(
                    Cell(cell, "some")
                    for n in (1, 2)
                    for cell in (_peak(line, n), _persistence(line, n))
                ),
                line["csf_car_t"] or "not known",
                *(Cell(_recovery(line, antigen), "some") for antigen in ("cd19", "cd22")),
                Cell(_mrd(line), "some"),
                *(_antigen(line, antigen) for antigen in ("cd19", "cd22")),
                _day(line, "relapse_day"),
                _day(line, "death_day"),
                _day(line, "last_follow_up_day"),
                Cell(doubts(line.flags, "doubts", COURSE_FLAGS), "text"),
            ]
        )
    yield table(
        "Patients",
        ["Patient", "Infusions", "Peak after infusion 1", "Persistence after infusion 1",
         "Peak after infusion 2", "Persistence after infusion 2", "CAR T in CSF",
         "CD19+ B cells of marrow", "CD22+ B cells of marrow", "MRD",
         "CD19 of blasts", "CD22 of blasts", "Relapse", "Death", "Last follow-up", "Doubts"],
        rows,
    )  # fmt: skip
    lines = [item.summary for item in run.patients if item.summary is not None]
    states = {line[f"recovery_{name}_state"] for line in lines for name in ("cd19", "cd22")}
    calls = {line["mrd_last_call"] for line in lines}
    flags = [flag for line in lines for flag in line.flags]
    if states | calls | set(flags):
        yield element("h3", "What the words mean")
        yield glossary(sorted(filter(None, states)), "states", RECOVERY_STATES)
        yield glossary(sorted(filter(None, calls)), "calls", CALLS)
        yield glossary(flags, "doubts", COURSE_FLAGS)


def _infusions(line: Line) -> Cell:
    second = line["infusion_2_day"]
    more = [", second on day ", number(line, "infusion_2_day")] if second else []
    return Cell((number(line, "n_infusions"), *more))


def _peak(line: Line, infusion: int) -> list[Content]:
    if not line[f"cmax_{infusion}"]:
        return []
    return [
        number(line, f"cmax_{infusion}", unit="%"),
        " on day ",
        number(line, f"tmax_{infusion}"),
        *(
            [", AUC ", number(line, f"auc_{infusion}", unit="% × days")]
            if line[f"auc_{infusion}"]
            else []
        ),
    ]


def _persistence(line: Line, infusion: int) -> list[Content]:
    after, until = f"persists_after_{infusion}", f"persists_until_{infusion}"
    if not line[after]:
        return []
    end: list[Content] = [", negative on day ", number(line, until)]
    return [
        "detected to day ",
        number(line, after),
        *(end if line[until] else [", no negative after it"]),
    ]


def _recovery(line: Line, antigen: str) -> list[Content]:
    told: list[Content] = []
    for ending, words in (
        ("after", "last aplastic on day "),
        ("by", "first positive on day "),
        ("known_on", "confirmed on day "),
    ):
        column = f"recovery_{antigen}_{ending}"
        if line[column]:
            told += [", ", words, number(line, column)]
    state = line[f"recovery_{antigen}_state"]
    return [state.lower(), *told] if state else []


def _mrd(line: Line) -> list[Content]:
    told: list[Content] = []
    if line["mrd_first_negative"]:
        told += ["first negative on day ", number(line, "mrd_first_negative"), "; "]
    if line["mrd_last_call"]:
        told += [f"last {line['mrd_last_call']} on day ", number(line, "mrd_last_day")]
    return told


def _antigen(line: Line, antigen: str) -> Content:
    change = line[f"{antigen}_change"]
    return (line[f"{antigen}_baseline"] or "unknown") + (f", then {change}" if change else "")


def _day(line: Line, column: str) -> Content:
    return element("span", "day ", number(line, column)) if line[column] else "none known"


def _patients_of_run(run: RunContents) -> Content:
    """Return what the results alone say of each patient."""
    rows: list[Row] = []
    for item in run.patients:
        own = [line for line in item.measurements if line["use"] == "report"]
        car = [line for line in own if line["measurement"] == "car_t_percent_of_t"]
        blood = [
            line for line in car if line["specimen"] == "PB" and line["status"] == "QUANTIFIED"
        ]
        highest = max(blood, key=lambda line: float(line[counted(line)]), default=None)
        calls = [line for line in own if line["call"] and line["day"] and line["specimen"] == "BM"]
        calls = [line for line in calls if line["measurement"] == "blast_percent_of_nucleated"]
        last = max(calls, key=lambda line: float(line["day"]), default=None)
        rows.append(
            [
                element("a", item.patient_id, href=item.page),
                ", ".join(
                    "day unknown" if mark.day is None else f"day {mark.day:g}"
                    for mark in item.infusions
                )
                or "none known",
                f"{len({line['specimen_id'] for line in item.measurements})}",
                "" if highest is None else _on_day(highest, counted(highest), " %"),
                _on_day(last, "call"),
                *(_antigen_of_run(own, antigen) for antigen in ("cd19", "cd22")),
                *(
                    f"day {item.events[name]:g}" if name in item.events else "none known"
                    for name in ("relapse", "death", "last_follow_up")
                ),
            ]
        )
    return table(
        "Patients, by the results alone",
        ["Patient", "Infusions", "Draws",
         "Highest quantified CAR T of T in blood, without background where known",
         "Last call of MRD in marrow", "CD19 of blasts", "CD22 of blasts", "Relapse", "Death",
         "Last follow-up"],
        rows,
    )  # fmt: skip


def _on_day(line: Line | None, column: str, unit: str = "") -> Content:
    if line is None:
        return ""
    day = number(line, "day")
    return element("span", number(line, column), f"{unit} on day ", day)


def _antigen_of_run(own: Sequence[Line], antigen: str) -> Content:
    lines = [
        line
        for line in own
        if line["measurement"] == f"blast_{antigen}_abc"
        and line["specimen"] == "BM"
        and line["day"]
    ]
    lines.sort(key=lambda line: float(line["day"]))
    statuses = [line["antigen_status"] for line in lines if line["antigen_status"]]
    changes = [line["antigen_change"] for line in lines if line["antigen_change"]]
    return ", then ".join([*statuses[:1], *changes[-1:]])


def _survival(run: RunContents) -> Iterator[Content]:
    if run.statistics is None:
        yield element("p", "No outcome folder was given.")
        return
    yield element(
        "p",
        "Probabilities of survival and incidence are from 0 to 1; a hazard ratio above 1 is a "
        f"higher hazard. Times are days from {run.origin}. At risk are patients who were "
        "followed up to that day, the day itself included.",
    )
    rows: list[Row] = []
    for line in run.statistics:
        what = line["analysis"].replace("_", " ")
        rows.append(
            [
                Cell((f"{line['endpoint']} {what}",), "short"),
                line["subject"] + (f": {line['group']}" if line["group"] else ""),
                Cell((number(line, "at"),), "amount"),
                Cell((number(line, "estimate"),), "amount"),
                Cell(_interval(line), "amount"),
                Cell((number(line, "p_value"),), "amount"),
                Cell((number(line, "n", rounded=False),), "amount"),
                Cell((number(line, "n_events", rounded=False),), "amount"),
                Cell((_at_risk(line, run),), "amount"),
                element("strong", "biased by immortal time") if _is_biased(line) else "",
                Cell(
                    [
                        *doubts(line.flags, "survival", SURVIVAL_FLAGS),
                        "; " if line.flags and line["reason"] else "",
                        line["reason"],
                    ],
                    "text",
                ),
            ]
        )
    yield table(
        "Estimates",
        ["Endpoint and analysis", "Of, by", "At day", "Estimate", "95 % interval", "p", "Patients",
         "Events", "At risk", "Bias", "Doubts"],
        rows,
    )  # fmt: skip
    flags = [flag for line in run.statistics for flag in line.flags]
    yield glossary(flags, "survival", SURVIVAL_FLAGS)


def _interval(line: Line) -> list[Content]:
    ends = interval(line, "ci_low", "ci_high")
    # Without an interval it still tells the rows of one estimate apart.
    return [*ends, f" ({line['transform']})"] if line["transform"] else ends


def _at_risk(line: Line, run: RunContents) -> Content:
    """Count who is at risk at the time of a curve; empty of what has none."""
    if line["analysis"] not in ("survival", "cumulative_incidence") or not line["at"]:
        return ""
    at = float(line["at"])
    times = [own["AVAL"] for own in run.follow_ups if own["PARAMCD"] == line["endpoint"]]
    n = sum(float(time) >= at for time in times if time)
    return element(
        "span", f"{n}", class_="number", data_at_risk=line["at"], data_endpoint=line["endpoint"]
    )


def _is_biased(line: Line) -> bool:
    return line["immortal_time"] == "yes"


def _failures(run: RunContents) -> Content:
    rows: list[Row] = [
        [
            line["sample_id"],
            line["template"],
            line["code"],
            Cell((line["message"],), "text"),
        ]
        for line in run.failures
    ]
    return table("Files that failed", ["Sample", "Template", "Kind", "Message"], rows)


def _of_review(run: RunContents) -> list[Line]:
    return [line for line in run.qc if line["flag"] == "REVIEW"]


def _review(run: RunContents) -> Content:
    pages = {line["sample_id"]: item.page for item in run.patients for line in item.measurements}
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in _of_review(run):
        reasons.setdefault((line["sample_id"], line["template"]), []).append(line["value"])
    rows: list[Row] = []
    for (sample_id, template), texts in reasons.items():
        name: Content = sample_id
        if sample_id in pages:
            name = element("a", sample_id, href=pages[sample_id])
        items = [element("li", text) for text in texts]
        rows.append([name, template, Cell((element("ul", *items),), "text")])
    return table("Gates to look at", ["Sample", "Template", "Why"], rows)


def _of_batches(run: RunContents) -> list[Line]:
    """Return the findings that are of no single specimen."""
    return [line for line in run.qc if line["flag"] and not line["sample_id"]]


def _batches(run: RunContents) -> Content:
    rows: list[Row] = [
        [
            line["batch"],
            line["template"],
            line["check"].replace("_", " "),
            Cell((number(line, "value", unit=line["unit"]),)),
            line["item"],
            Cell((line["limit"],), "text"),
            f"{line['flag']}: {meaning(line['flag'], QC_FLAGS)}",
        ]
        for line in _of_batches(run)
    ]
    columns = ["Batch", "Template", "Check", "Found", "Of", "Limit", "Meaning"]
    return table("Findings of batches", columns, rows)


def _versions(run: RunContents) -> Content:
    rows: list[Row] = [
        ["cytoflow-car of the run", run.record["cytoflow_car"]],
        ["cytoflow-car of the report", run.version],
        ["Python", run.record["python"]],
        ["Seed", number(run.record, "seed", rounded=False)],
        *([f"template {name}", version] for name, version in run.templates.items()),
    ]
    return table("Versions", ["What", "Version"], rows)
