r"""Go's regular expressions (RE2 syntax) on Python's `re`.

Schemas and CEL rules bring patterns written for Go. The syntaxes differ where it matters: `$` is the end of the text only, `\\z`, POSIX and Unicode
classes, `\\Q..\\E`, flags in the middle, ASCII-only `\\d \\w \\s \\b`; and Python has what RE2 refuses (look-around, back-references). `compile_pattern`
rewrites a pattern piece by piece and raises `PatternError` for what Go would not compile.
Source: regexp/syntax of Go. Python's engine backtracks: a pattern may be slow where Go's is linear.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache, lru_cache
from typing import Final


class PatternError(ValueError):
    """The pattern is not valid RE2."""


_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7F",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1F\\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\v\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_PERL: Final = {"d": "0-9", "s": "\\t\\n\\f\\r ", "w": "0-9A-Za-z_"}
_BOUNDARY: Final = "(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))"
_PLACES: Final = {"A": "\\A", "z": "\\Z", "b": _BOUNDARY, "B": f"(?!{_BOUNDARY})"}
_REPEAT: Final = re.compile(r"\{(\d+)(,(\d*))?\}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_FLAGS: Final = re.compile(r"([imsU]*)(?:-([imsU]+))?([:)])", re.ASCII)
_MAX_REPEAT: Final = 1000


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern; use `search`, as Go's MatchString does. Raises PatternError."""
    translator = _Translator(pattern)
    translated = translator.translate()
    try:
        return re.compile(translated, re.ASCII if not translator.folds else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"error parsing regexp: {error}: `{pattern}`") from error


@cache
def _unicode_class(name: str) -> str:
    """The members of a general category (`L`, `Lu`, ...) as ranges inside a character class; scripts by character name."""
    ranges: list[str] = []
    start = previous = -1
    by_category = len(name) <= 2
    word = name.upper()
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if by_category:
            member = unicodedata.category(character).startswith(name)
        else:
            member = unicodedata.name(character, "").startswith(word + " ")
        if member:
            if previous != code - 1:
                if start >= 0:
                    ranges.append(f"\\U{start:08x}-\\U{previous:08x}")
                start = code
            previous = code
    if start >= 0:
        ranges.append(f"\\U{start:08x}-\\U{previous:08x}")
    if not ranges:
        raise PatternError(f"error parsing regexp: invalid character class range: `\\p{{{name}}}`")
    return "".join(ranges)


class _Translator:
    """One pass over a pattern. Groups opened by a flag in the middle are closed with the group they stand in."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.out: list[str] = []
        self.folds = False
        """Whether case is ignored anywhere: Go then folds all of Unicode, which Python does only without re.ASCII."""
        self.open: list[list[str]] = [[]]
        """For each open bracket the groups that flags in the middle have opened inside it."""
        self.ungreedy: list[bool] = [False]
        self.multiline: list[bool] = [False]

    def fail(self, what: str) -> PatternError:
        return PatternError(f"error parsing regexp: {what}: `{self.pattern}`")

    def translate(self) -> str:
        repeatable = False
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character in "*+?" or (character == "{" and _REPEAT.match(self.pattern, self.at)):
                self.repeat(repeatable)
                repeatable = False
                continue
            repeatable = True
            if character == "\\":
                self.escape()
            elif character == "[":
                self.out.append(self.char_class())
            elif character == "(":
                repeatable = self.group()
            elif character == ")":
                self.close()
            elif character == "$":
                self.at += 1
                self.assertion("(?=\\n|\\Z)" if self.multiline[-1] else "\\Z")
            elif character == "^":
                self.at += 1
                self.assertion("(?:^|(?<=\\n))" if self.multiline[-1] else "^")
            else:
                if character == "|":
                    self.alternative()
                    repeatable = False
                else:
                    self.out.append("\\{" if character == "{" else character)
                self.at += 1
        if len(self.open) != 1:
            raise self.fail("missing closing )")
        self.out.append(")" * len(self.open[0]))
        return "".join(self.out)

    def assertion(self, text: str) -> None:
        """A place between characters. Go lets it be repeated, Python only in a group."""
        repeated = self.pattern[self.at : self.at + 1] in ("*", "+", "?") or _REPEAT.match(self.pattern, self.at)
        self.out.append(f"(?:{text})" if repeated else text)

    def alternative(self) -> None:
        """Flags hold on both sides of a bar, their groups must not."""
        flags = self.open[-1]
        self.out.append(")" * len(flags) + "|" + "".join(flags))

    def repeat(self, repeatable: bool) -> None:
        if not repeatable:
            raise self.fail("missing argument to repetition operator" if self.at == 0 else "invalid nested repetition operator")
        if self.pattern[self.at] == "{":
            found = _REPEAT.match(self.pattern, self.at)
            assert found is not None  # noqa: S101 - the caller looked
            low, high = int(found[1]), int(found[3]) if found[3] else 0
            if low > _MAX_REPEAT or high > _MAX_REPEAT or (found[3] and high < low):
                raise self.fail("invalid repeat count")
            text = found[0]
        else:
            text = self.pattern[self.at]
        self.at += len(text)
        lazy = self.pattern.startswith("?", self.at)
        if lazy:
            self.at += 1
        self.out.append(text + ("?" if lazy != self.ungreedy[-1] else ""))
        if self.pattern[self.at : self.at + 1] in ("*", "+", "?") or _REPEAT.match(self.pattern, self.at):
            raise self.fail("invalid nested repetition operator")

    def group(self) -> bool:
        """Opens a group, or takes up flags. Returns whether a repetition may follow (never right after an opening)."""
        rest = self.pattern[self.at + 1 :]
        if not rest.startswith("?"):
            self.push("(")
            self.at += 1
            return False
        for opening in ("?P<", "?<"):
            if rest.startswith(opening) and not rest.startswith(("?<=", "?<!")):
                name = _NAME.match(rest, len(opening))
                if not name or not rest.startswith(">", name.end()):
                    raise self.fail("invalid named capture")
                self.push(f"(?P<{name[0]}>" if name[0].isidentifier() else "(")
                self.at += name.end() + 2
                return False
        flags = _FLAGS.match(rest, 1)
        if not flags or (flags[3] == ")" and not flags[1] and not flags[2]):
            raise self.fail("invalid or unsupported Perl syntax")
        self.at += flags.end() + 1
        on, off = flags[1], flags[2] or ""
        python_on = "".join(f for f in dict.fromkeys(on) if f in "is" and f not in off)
        self.folds = self.folds or "i" in python_on
        python_off = "".join(f for f in dict.fromkeys(off) if f in "is")
        opening = f"(?{python_on}{'-' + python_off if python_off else ''}:"
        if flags[3] == ":":
            self.push(opening)
        else:
            self.out.append(opening)
            self.open[-1].append(opening)
        self.ungreedy[-1] = ("U" in on or self.ungreedy[-1]) and "U" not in off
        self.multiline[-1] = ("m" in on or self.multiline[-1]) and "m" not in off
        return False

    def push(self, text: str) -> None:
        self.out.append(text)
        self.open.append([])
        self.ungreedy.append(self.ungreedy[-1])
        self.multiline.append(self.multiline[-1])

    def close(self) -> None:
        if len(self.open) == 1:
            raise self.fail("unexpected )")
        self.out.append(")" * (len(self.open.pop()) + 1))
        self.ungreedy.pop()
        self.multiline.pop()
        self.at += 1

    def escape(self) -> None:
        """A backslash outside a class."""
        letter = self.pattern[self.at + 1 : self.at + 2]
        if not letter:
            raise self.fail("trailing backslash at end of expression")
        if letter in "AbBz":
            self.at += 2
            self.assertion(_PLACES[letter])
        elif letter == "Q":
            end = self.pattern.find("\\E", self.at)
            quoted = self.pattern[self.at + 2 : end if end >= 0 else len(self.pattern)]
            self.out.append(re.escape(quoted))
            self.at += 2 + len(quoted) + (2 if end >= 0 else 0)
        else:
            self.out.append(self.class_escape(outside=True))

    def class_escape(self, *, outside: bool) -> str:
        """A backslash that stands for one character or a set; moves past it."""
        letter = self.pattern[self.at + 1 : self.at + 2]
        lower = letter.lower()
        if lower in _PERL and letter:
            self.at += 2
            if letter.isupper():
                return f"[^{_PERL[lower]}]" if outside else _complement(_PERL[lower])
            return f"[{_PERL[lower]}]" if outside else _PERL[lower]
        if lower == "p":
            return self.unicode_escape(outside=outside)
        if letter == "x":
            found = re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))").match(self.pattern, self.at)
            code = int(found[1] or found[2], 16) if found else -1
            if not found or code > sys.maxunicode:
                raise self.fail("invalid escape sequence")
            self.at += len(found[0])
            return f"\\U{code:08x}"
        if letter in "01234567" and letter:
            found = re.compile(r"\\(0[0-7]{0,2}|[1-7][0-7]{1,2})").match(self.pattern, self.at)
            if not found:
                raise self.fail("invalid escape sequence")
            self.at += len(found[0])
            return f"\\U{int(found[1], 8):08x}"
        if letter in "afnrtv" and letter:
            self.at += 2
            return "\\" + letter
        if letter and ord(letter) < 0x80 and not letter.isalnum():
            self.at += 2
            return "\\" + letter
        raise self.fail("invalid escape sequence")

    def unicode_escape(self, *, outside: bool) -> str:
        found = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))").match(self.pattern, self.at)
        if not found:
            raise self.fail("invalid character class range")
        self.at += len(found[0])
        negated = (found[1] == "P") != (found[2] == "^")
        members = "\\U00000000-\\U0010ffff" if found[3] == "Any" else _unicode_class(found[3] or found[4])
        if not outside:
            return _complement(members) if negated else members
        return f"[{'^' if negated else ''}{members}]"

    def char_class(self) -> str:
        """`[...]`, with POSIX classes and escapes made plain."""
        out = ["["]
        self.at += 1
        if self.pattern.startswith("^", self.at):
            out.append("^")
            self.at += 1
        first = True
        while True:
            if self.at >= len(self.pattern):
                raise self.fail("missing closing ]")
            character = self.pattern[self.at]
            if character == "]" and not first:
                self.at += 1
                break
            first = False
            if self.pattern.startswith("[:", self.at) and (end := self.pattern.find(":]", self.at)) > 0:
                name = self.pattern[self.at + 2 : end]
                members = _POSIX.get(name.removeprefix("^"))
                if members is None:
                    raise self.fail("invalid character class range")
                out.append(_complement(members) if name.startswith("^") else members)
                self.at = end + 2
            elif character == "\\":
                out.append(self.class_escape(outside=False))
            else:
                out.append("\\" + character if character in "[]^&~|" else character)
                self.at += 1
        return "".join(out) + "]"


@cache
def _complement(members: str) -> str:
    """What is not in a set of ranges, as ranges: a class inside a class cannot be negated."""
    inside = re.compile(f"[{members}]")
    ranges: list[str] = []
    start = -1
    for code in range(sys.maxunicode + 2):
        outside = code <= sys.maxunicode and not inside.match(chr(code))
        if outside and start < 0:
            start = code
        elif not outside and start >= 0:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = -1
    return "".join(ranges)
