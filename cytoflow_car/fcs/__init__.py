"""FCS files in and out: a reader for FCS 2.0 to 3.2, a writer for FCS 3.1."""

from cytoflow_car.fcs.inspection import Inspection, inspect_file, is_repair
from cytoflow_car.fcs.reader import FileHeader, hash_file, read_fcs, read_header, read_keywords
from cytoflow_car.fcs.writer import write_fcs

__all__ = [
    "FileHeader",
    "Inspection",
    "hash_file",
    "inspect_file",
    "is_repair",
    "read_fcs",
    "read_header",
    "read_keywords",
    "write_fcs",
]
