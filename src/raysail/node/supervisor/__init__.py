"""One small process per Pod that owns its containers and outlives the agent: `python -I -S supervisor/__main__.py FOLDER`.

It must stay small and quick to start, so its modules import little of the standard library and nothing else.
"""
