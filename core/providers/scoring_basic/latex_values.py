r"""What an expression in LaTeX comes to: numbers, the four operations, powers, roots, fractions and \pi; nothing with a variable.

Exact as long as it can be: a fraction of whole numbers, and a float from the first root or \pi on.
"""

from fractions import Fraction
import math
import re
from typing import Final

type Value = Fraction | float

LONGEST: Final = 500  # characters of an expression
DEEPEST: Final = 30  # brackets in brackets
MOST_BITS: Final = 12_800  # of a power of whole numbers; above it floats are used
TOKEN: Final = re.compile(r"\s*(?:(\d++(?:\.\d*+)?+|\.\d++)|(\\[a-zA-Z]++)|(\*\*|[-+*/^(){}\[\]!]))")
NAMES: Final = {"\\times": "*", "\\cdot": "*", "\\div": "/", "**": "^"}
CLOSING: Final = {"(": ")", "{": "}", "[": "]"}


class NotANumber(Exception):
    """Raised where an expression is none, or has what this does not calculate."""


def evaluate(expression: str) -> Value | None:
    """None for what is no number, or none that this calculates."""
    if len(expression) > LONGEST:
        return None
    try:
        value = _Reader(_tokens(expression)).read_all()
        return value if isinstance(value, Fraction) or math.isfinite(value) else None
    except (NotANumber, ArithmeticError):  # divided by zero, or beyond every float
        return None


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    position, end = 0, len(expression.rstrip())
    while position < end:
        match = TOKEN.match(expression, position)
        if match is None:
            raise NotANumber
        position = match.end()
        token = match[0].strip()
        tokens.append(NAMES.get(token, token))
    return tokens


class _Reader:
    """A descent through the tokens: sums of products of powers."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    def read_all(self) -> Value:
        value = self._sum()
        if self._peek() is not None:
            raise NotANumber
        return value

    def _peek(self) -> str | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self) -> str:
        token = self._peek()
        if token is None:
            raise NotANumber
        self._position += 1
        return token

    def _sum(self) -> Value:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotANumber
        value = self._product()
        while self._peek() in ("+", "-"):
            sign = self._take()
            other = self._product()
            value = _add(value, other if sign == "+" else -other)
        self._depth -= 1
        return value

    def _product(self) -> Value:
        r"""`2\pi` is a product too; a number follows no other one, unless brackets part them."""
        value = self._signed()
        while (mark := self._peek()) is not None:
            if mark in ("*", "/"):
                self._take()
                other = self._signed()
            elif mark in ("(", "{") or mark.startswith("\\"):
                other = self._power()
            else:
                break
            value = _divide(value, other) if mark == "/" else _multiply(value, other)
        return value

    def _signed(self) -> Value:
        sign = 1
        while self._peek() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        return sign * self._power()

    def _power(self) -> Value:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._take()
        return _raise(base, self._signed() if self._peek() in ("+", "-") else self._atom())

    def _atom(self) -> Value:
        mark = self._take()
        if mark in CLOSING and mark != "[":
            return self._close(CLOSING[mark])
        if mark == "\\pi":
            return math.pi
        if mark in ("\\frac", "\\sqrt"):
            return self._command(mark)
        if mark[0].isdecimal() or mark[0] == ".":
            return Fraction(f"0{mark}".rstrip(".") if mark[0] == "." else mark.rstrip("."))
        raise NotANumber

    def _close(self, bracket: str) -> Value:
        value = self._sum()
        if self._take() != bracket:
            raise NotANumber
        return value

    def _command(self, name: str) -> Value:
        if name == "\\frac":
            top = self._braced()
            return _divide(top, self._braced())
        degree: Value = Fraction(2)
        if self._peek() == "[":
            self._take()
            degree = self._close("]")
        return _root(self._braced(), degree)

    def _braced(self) -> Value:
        if self._take() != "{":
            raise NotANumber
        return self._close("}")


def _add(one: Value, other: Value) -> Value:
    return one + other if isinstance(one, Fraction) and isinstance(other, Fraction) else float(one) + float(other)


def _multiply(one: Value, other: Value) -> Value:
    return one * other if isinstance(one, Fraction) and isinstance(other, Fraction) else float(one) * float(other)


def _divide(one: Value, other: Value) -> Value:
    return one / other if isinstance(one, Fraction) and isinstance(other, Fraction) else float(one) / float(other)


def _raise(base: Value, exponent: Value) -> Value:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent) * bits <= MOST_BITS:
            return base ** int(exponent)
    if base < 0:
        raise NotANumber  # complex, or not told
    return math.pow(base, exponent)


def _root(value: Value, degree: Value) -> Value:
    """Whole where it is."""
    if value < 0 or degree <= 0:
        raise NotANumber
    if degree == 2 and isinstance(value, Fraction):  # noqa: PLR2004 - the square root
        top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if top * top == value.numerator and bottom * bottom == value.denominator:
            return Fraction(top, bottom)
    return math.pow(value, 1 / degree)
