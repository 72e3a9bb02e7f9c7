"""As much of `wget` as probes use, for machines that lack it: one GET, the body to stdout or a file."""

from __future__ import annotations

import sys
from typing import NoReturn

_WITH_VALUE = ("-T", "--timeout", "-t", "--tries", "-O", "--output-document", "-U", "--user-agent", "--header")


def parse(argv: list[str]) -> tuple[str, float, str]:
    """(URL, time-out in seconds, output file, `-` for stdout). Raises ValueError without a URL."""
    timeout, output, url = 900.0, "", ""
    rest = list(argv)
    while rest:
        part = rest.pop(0)
        name, equals, value = part.partition("=") if part.startswith("--") else (part, "", "")
        if not part.startswith("--") and part.startswith("-") and len(part) > 2 and part[:2] in _WITH_VALUE:
            name, equals, value = part[:2], "=", part[2:]
        if part.startswith("-q") and len(part) > 2 and part[1:].startswith("qO"):
            name, equals, value = "-O", "=" if len(part) > 3 else "", part[3:]
        if name in _WITH_VALUE:
            value = value if equals else (rest.pop(0) if rest else "")
            timeout = float(value) if name in ("-T", "--timeout") else timeout
            output = value if name in ("-O", "--output-document") else output
        elif not part.startswith("-"):
            url = part if "://" in part else f"http://{part}"
    if not url:
        raise ValueError("wget: missing URL")
    return url, timeout, output or url.rstrip("/").rsplit("/", 1)[-1] or "index.html"


def main() -> NoReturn:
    """Entry of the `wget` shim; exit codes as wget's: 4 network failure, 8 the server's refusal, 2 usage."""
    import urllib.error
    import urllib.request

    try:
        url, timeout, output = parse(sys.argv[1:])
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - the caller's own URL
            data = answer.read()
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"wget: server returned error: HTTP {error.code}\n")
        sys.exit(8)
    except OSError as error:
        sys.stderr.write(f"wget: {error}\n")
        sys.exit(4)
    if output == "-":
        sys.stdout.buffer.write(data)
    else:
        with open(output, "wb") as file:  # noqa: PTH123 - pathlib is not worth its start-up time here
            file.write(data)
    sys.exit(0)
