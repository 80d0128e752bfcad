"""Checks that a method, task or metric keeps the promises that the benchmark relies on, for plug-in authors and this repository.

On the command line `flowgauge check my_file.py`; in a test

    from flowgauge.benchmark.conformance import check_method
    assert all(finding.ok for finding in check_method(MyMethod))
"""

from .files import check_file, parametrize
from .finding import Finding, failed
from .methods import check_method
from .metrics import check_metric
from .tasks import check_task

__all__ = ["Finding", "check_file", "check_method", "check_metric", "check_task", "failed", "parametrize"]
