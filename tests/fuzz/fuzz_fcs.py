"""Look for files that the FCS reader does not bear, guided by coverage; see README.md.

``python tests/fuzz/fuzz_fcs.py CORPUS [options of libFuzzer]``. Needs ``atheris`` beside the
package. CORPUS is a folder that gains a file for each new way through the reader.
"""

from __future__ import annotations

import os
import resource
import sys
import warnings
from pathlib import Path

import atheris  # type: ignore[import-untyped]
import numpy as np

# Imported before the instrumentation begins, which therefore touches the reader alone.
from cytoflow_car.errors import CytoflowCarError
from cytoflow_car.model.events import Events

with atheris.instrument_imports(include=["cytoflow_car"]):
    from cytoflow_car.fcs import read_fcs, read_header, read_keywords

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fcs"))
from made import small
from valid_files import make_files

MOST_SECONDS = 2
#: That one file may take.
MOST_MEGABYTES = 200
HEADER_BYTES = 58

#: A file in memory: libFuzzer ends the process without leave to clear up.
_FILE = os.memfd_create("a.fcs")
_PATH = f"/proc/self/fd/{_FILE}"


def make_seeds() -> list[bytes]:
    """Return valid files, and such as cytometers write although the standard does not."""
    odd: list[dict[str, str | None]] = [
        {"P2N": "TIME", "TIMESTEP": "0,01", "P2G": "0.01"},
        {"P1N": "Time-MSW", "P2N": "Time-LSW", "TIMESTEP": "0.1"},
        {"P1S": "", "P2S": "CD19 / PE", "CYT": "Accuri C6", "FIL": ""},
        {"DATATYPE": "I", "P1B": "32", "P1R": "262144", "P2E": "4,0", "P2R": "1024.0"},
        {"DATATYPE": "I", "P1B": "20", "P2B": "12", "P1R": "1048576"},
        {"DATATYPE": "A", "P1B": "4", "P2B": "4"},
        {"DATATYPE": "A", "P1B": "*", "P2B": "*"},
        {"P2DATATYPE": "I", "P2R": "4294967296"},
        {"TOT": "0"},
        {"TOT": "7", "MODE": None},
        {"BYTEORD": "4, 3, 2, 1", "SPILL": "2,FSC-A,CD19-A,1,0.1,0.2,1", "DATE": "3/4/2020"},
        {"BEGINSTEXT": "58", "ENDSTEXT": "90", "NEXTDATA": "58"},
    ]
    return [file.content for file in make_files().values()] + [small(**changed) for changed in odd]


def read_all(content: bytes) -> None:
    """Read a file in every way: any exception but our errors, and any disagreement, is a find."""
    highest = _count_megabytes()
    os.ftruncate(_FILE, 0)
    os.pwrite(_FILE, content, 0)
    for dataset in (None, 2):
        try:
            read_keywords(_PATH, dataset)
            header = read_header(_PATH, dataset)
        except CytoflowCarError as error:
            refuse_hidden(error)
            header = None
        try:
            sample = read_fcs(_PATH, dataset)
        except CytoflowCarError as error:
            refuse_hidden(error)
            continue
        assert header is not None, "events are read, their header is refused"
        assert set(header.flags) <= set(sample.flags)
        assert isinstance(sample.events, Events)
        values = sample.events.values
        assert values.shape == (header.n_events, len(header.channels))
        # Touches every byte, so that a view beyond the end of the file would not stay unseen.
        np.isfinite(values).sum()
    assert _count_megabytes() - highest < MOST_MEGABYTES, "it takes too much memory"


def refuse_hidden(error: CytoflowCarError) -> None:
    """Let through what the reader took for a file that cannot be opened: here it can."""
    if isinstance(error.__cause__, OSError):
        raise error.__cause__


def _count_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def mutate_part(content: bytes, most_bytes: int, seed: int) -> bytes:
    """Change a file anywhere, or TEXT alone with HEADER put right again."""
    try:
        end = int(content[18:26]) + 1
    except ValueError:
        end = 0
    if seed % 2 or not HEADER_BYTES < end <= len(content):
        return bytes(atheris.Mutate(content, most_bytes))
    rest = content[end:]
    text = bytes(atheris.Mutate(content[HEADER_BYTES:end], most_bytes - HEADER_BYTES - len(rest)))
    begin = HEADER_BYTES + len(text)
    offsets = (HEADER_BYTES, begin - 1, begin, begin + len(rest) - 1)
    header = content[:10] + "".join(f"{offset:>8}" for offset in offsets).encode("ascii")
    return header + content[42:HEADER_BYTES] + text + rest


def main() -> None:
    """Run libFuzzer with our seeds and limits; options on the command line override these."""
    warnings.simplefilter("error")
    corpus = Path(sys.argv[1])
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(make_seeds()):
        (corpus / f"seed_{number:02}").write_bytes(content)
        read_all(content)
    limits = [
        f"-timeout={MOST_SECONDS}",
        # The fuzzer's own tables grow by hundreds of bytes a run; `read_all` measures the reader.
        "-rss_limit_mb=4096",
        "-max_len=4096",
        f"-dict={Path(__file__).with_name('fcs.dict')}",
    ]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[1:]], read_all, custom_mutator=mutate_part)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
