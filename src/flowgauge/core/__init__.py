"""What every folder uses: errors, declarations and registries of plug-ins. It imports nothing heavy and no other folder."""
