"""Plans over cheap plug-ins, as for the tests of benchmark."""

from tests.benchmark.conftest import make_plan, plug

__all__ = ["make_plan", "plug"]
