"""Go's way of writing values into messages; it lives in `api`, where admission needs it too."""

from raysail.api.go_text import json_text, number_text, plain_text, quote, type_name, value_text

__all__ = ["json_text", "number_text", "plain_text", "quote", "type_name", "value_text"]
