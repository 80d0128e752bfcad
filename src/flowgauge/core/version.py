"""The version of flowgauge, for records, bundles and the command line."""

VERSION = "0.1.0"
