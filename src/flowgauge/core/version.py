"""The version of this flowgauge, where everything below the roof can read it."""

VERSION = "0.1.0"
