"""Clusters, their names, and residual disease, on an anchor scale that specimens share."""
