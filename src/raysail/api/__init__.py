"""The objects: what travels through the API. Types, quantities, selectors, conditions, defaults, validation. No I/O, no asyncio."""
