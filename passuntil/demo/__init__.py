"""The bundled pico models, their tasks and job files: data, found by `passuntil.config.bundled`."""
