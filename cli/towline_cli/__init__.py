"""The ``towline`` command: parses, calls the library, renders. Everything heavy loads when used."""
