"""What to explain: instances, the model head they need and the quantity of interest, as plain data."""

from .declare import task
from .fingerprint import fingerprint
from .instance import GAP, Instance, Quantity, Task
from .registry import TASKS, load_task

__all__ = ["GAP", "TASKS", "Instance", "Quantity", "Task", "fingerprint", "load_task", "task"]
