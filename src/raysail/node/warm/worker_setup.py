"""In place of Ray's setup_worker.py: sets a worker's variables and becomes it, without importing Ray for that (half a second, or two on a busy machine).

    python worker_setup.py [--serialized-runtime-env-context=JSON] --language=PYTHON WORKER.py ARGUMENTS

The same as RuntimeEnvContext.exec_worker (ray/_private/runtime_env/context.py, 2.60). Whatever it does not know goes to Ray's own program, which lies
beside WORKER.py.
"""

import json
import os
import re
import shlex
import sys

_KNOWN = {"command_prefix", "env_vars", "py_executable", "override_worker_entrypoint", "java_jars"}
_CONTEXT = "--serialized-runtime-env-context="
_LANGUAGE = "--language="


def plan(arguments: list[str], environment: dict[str, str], python: str) -> tuple[list[str], dict[str, str]]:
    """The program to become and its environment."""
    context = [part.removeprefix(_CONTEXT) for part in arguments if part.startswith(_CONTEXT)]
    language = [part.removeprefix(_LANGUAGE) for part in arguments if part.startswith(_LANGUAGE)]
    rest = [part for part in arguments if not part.startswith((_CONTEXT, _LANGUAGE))]
    given = json.loads(context[0]) if len(context) == 1 else {} if not context else None
    if language != ["PYTHON"] or not isinstance(given, dict) or not given.keys() <= _KNOWN:
        worker = next((part for part in rest if part.endswith(".py")), "")
        return [python, os.path.join(os.path.dirname(worker), "setup_worker.py"), *arguments], environment
    after = dict(environment)
    for name, value in (given.get("env_vars") or {}).items():
        after[name] = re.sub(r"\$\{[A-Z0-9_]+\}", "", _expanded(value, after))
    if given.get("override_worker_entrypoint"):
        rest[0] = given["override_worker_entrypoint"]
    # The interpreter is no single word where a tool such as `uv run` stands for it; the prefix is shell text too.
    words = [*(given.get("command_prefix") or ()), "exec", given.get("py_executable") or python, *map(shlex.quote, rest)]
    return ["bash", "-c", " ".join(words)], after


def _expanded(value: str, environment: dict[str, str]) -> str:
    """As os.path.expandvars, in the environment as it is by then."""

    def text(found: "re.Match[str]") -> str:
        return environment.get(found.group(1) or found.group(2), found.group(0))

    return re.sub(r"\$(?:(\w+)|\{([^}]*)\})", text, value, flags=re.ASCII)


if __name__ == "__main__":
    program, variables = plan(sys.argv[1:], dict(os.environ), sys.executable)
    os.execvpe(program[0], program, variables)  # noqa: S606 - it becomes the worker
