"""A first gating template, written around the channels of a laboratory's own file."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from cytoflow_car.errors import PanelError
from cytoflow_car.fcs import FileHeader
from cytoflow_car.model.events import Channel
from cytoflow_car.preprocess.compensation import fluorescence_channels
from cytoflow_car.preprocess.panel import assign_markers, bare_detector
from cytoflow_car.template import parse_template

_MARKER_BLOCK = re.compile(r"^\[\[markers\]\]\s*?\nname *= *(\"[^\"\n]*\")", re.MULTILINE)
_NAME_LINE = re.compile(r"^name *= *.*$", re.MULTILINE)


def draft_template(name: str, header: FileHeader) -> str:
    """Return a template with a file's detectors and stains, one population and one measurement.

    Scatter is linear, the rest logicle. It can be used as it is and is meant to be added to.
    """
    markers = _markers(header.channels)
    scatter = [marker for marker, _, detector in markers if _is_scatter(detector)]
    first = scatter[0] if scatter else markers[0][0]
    blocks = [
        f"# What the detectors of a tube are stained with. 'stains' are spellings that a file may "
        f"use for\n# the stain ($PnS); 'detectors' count where a channel has no stain.\n"
        f"name = {_text(name)}\n"
        f'version = "0.1.0"\n'
        f'description = "What the tube is for"\n'
        f'specimens = ["PB"]  # PB, CSF, BM\n'
        f"scatter = [{', '.join(map(_text, scatter))}]\n"
    ]
    for marker, stain, detector in markers:
        stains = f"stains = [{_text(stain)}]\n" if stain else ""
        blocks.append(
            f"[[markers]]\nname = {_text(marker)}\n{stains}detectors = [{_text(detector)}]\n"
        )
    blocks.append('[scales.default]\nkind = "logicle"\n')
    blocks.extend(f'[scales.{_text(marker)}]\nkind = "linear"\n' for marker in scatter)
    blocks.append(
        "# Populations, parents before children; positions in the units of the file.\n"
        f'[[populations]]\nname = "cells"\nparent = "root"\n'
        f'gate = {{ method = "fixed", marker = {_text(first)}, keep = "above", at = 10000.0 }}\n'
    )
    blocks.append(
        '[[measurements]]\nmeasure = "count"\nname = "cells_count"\npopulation = "cells"\n'
        'assay = "cells"\n'
    )
    blocks.append(
        "# From how many events on a population counts as seen (lod) and as a number (loq).\n"
        '[[detection]]\nassay = "cells"\nlod_events = 20\nloq_events = 50\n'
    )
    return "\n".join(blocks)


def adapt_template(name: str, model: str, header: FileHeader) -> str:
    """Return a template under a new name, with a note at each marker which channel fits it.

    Parameters
    ----------
    model
        Text of the template whose gates are taken over.
    """
    markers = {marker.name: marker for marker in parse_template(model, where=name).markers}

    def note(block: re.Match[str]) -> str:
        marker = replace(markers[json.loads(block[1])], optional=True)
        try:
            column = assign_markers(header.channels, [marker]).get(marker.name)
            found = "no channel" if column is None else _describe(header.channels[column])
        except PanelError as error:
            found = error.problem
        return f"# In the file: {found}\n{block[0]}"

    text = _NAME_LINE.sub(f"name = {_text(name)}", model, count=1)
    channels = "".join(f"#   {_describe(channel)}\n" for channel in header.channels)
    return f"# Channels of the file:\n{channels}\n{_MARKER_BLOCK.sub(note, text)}"


def _markers(channels: tuple[Channel, ...]) -> list[tuple[str, str, str]]:
    """Return (marker, stain, detector) of scatter and of one pulse measure of every colour."""
    fluorescent = fluorescence_channels(channels)
    areas = {
        channel.detector[:-2].upper()
        for channel in channels
        if channel.detector.upper().endswith("-A")
    }
    found: list[tuple[str, str, str]] = []
    for index, channel in enumerate(channels):
        is_second = channel.detector[-2:].upper() == "-H" and channel.detector[:-2].upper() in areas
        if not _is_scatter(channel.detector) and (index not in fluorescent or is_second):
            continue
        stain = channel.marker or ""
        if bare_detector(stain) == bare_detector(channel.detector):
            stain = ""
        marker = stain.split()[0] if stain.split() else channel.detector
        if any(marker == name for name, _, _ in found):
            marker = channel.detector
        found.append((marker, stain, channel.detector))
    return found


def _is_scatter(detector: str) -> bool:
    return bare_detector(detector).startswith(("FSC", "SSC"))


def _describe(channel: Channel) -> str:
    return f"{channel.detector} ({channel.marker})" if channel.marker else channel.detector


def _text(value: str) -> str:
    """Return a TOML string."""
    return json.dumps(value, ensure_ascii=False)
