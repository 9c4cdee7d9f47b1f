"""The promise, checked on any video file: every frame exact, or a named refusal. Run as `python -m tests.oracle FOLDER`."""
