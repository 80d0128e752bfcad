"""Where information flows: attribution methods. Each is one class or function with one required verb, `explain`."""
