"""The floor: errors, the plug-in registry and plug-in settings. Imports nothing heavy and nothing of the other folders."""
