"""Grader cases made from templates, (kind, gold, box content, expected): numbers. Seeded; needs no benchmark data."""

import json
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from grader_variants_shapes import collections, units_and_text

Case = tuple[str, str, str, bool]


def _decimal(value: Fraction) -> str:
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    text = f"{int(abs(value) * 10**digits):0{digits + 1}d}"
    sign = "-" if value < 0 else ""
    return sign + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)


def integers(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        n = rng.randint(2, 10 ** rng.randint(1, 7))
        same = [
            f"{n}.0",
            f"{n}.",
            f"+{n}",
            f"0{n}",
            f"x = {n}",
            f"\\text{{{n}}}",
            f"\\mathbf{{{n}}}",
            f"{{{n}}}",
            f"\\boxed{{{n}}}",
            f"${n}$",
            f"\\({n}\\)",
            f"\\,{n}\\,",
            f"{n}\\text{{ square units}}",
            f"{n} cm",
            f"n={n}",
            f"\\textbf{{{n}}}",
            f"\\displaystyle {n}",
            f"{n}\\ \\text{{ways}}",
            f"\\${n}",
            f"|x| = {n}",
            f"\\frac{{{2 * n}}}{{2}}",
            f"{n - 1}+1",
            f"\\left({n}\\right)",
            f"{n}\\,\\mathrm{{m}}/\\mathrm{{s}}",
            f"m+n={n}",
            f"{n - 1} + 1 = {n}",
            f"\\{{{n}\\}}",
            f"\\text{{Answer: }}{n}",
            f"The answer is {n}",
            f"{n} \\text{{ apples}}",
            f"{n}^\\circ",
            f"-(-{n})",
            f"{n}\\%",
            f"{n} miles",
            f"P({n + 1}) = {n}",
        ]
        other = [
            f"{n + 1}",
            f"-{n}",
            f"{n}0",
            f"{n}.5",
            f"{n} \\text{{ or }} {n + 1}",
            f"{n - 1}, {n}, {n + 1}",
            f"{n} \\pm 1",
            f"{n}x",
            f"{n} or {n + 1}",
            f"{n}\\pi",
            f"\\text{{not }} {n}",
            f"{n}i",
            f"\\sqrt{{{n}}}",
            f"{n}^2",
            f"({n}, {n})",
            f"{n}_{{7}}" if n > 6 else "3",
            f"\\frac{{1}}{{{n}}}",
            f"x > {n}",
            f"{n}!+1",
            f"{n}.000001",
            f"2x + 3 = {n}",
            f"{n} \\text{{ or more}}",
            f"\\{{{n}, {n + 1}\\}}",
            f"{n} \\neq {n}",
            f"x \\ne {n}",
            f"x \\le {n}",
            f"{n - 1}+2",
            f"{n}, \\ldots",
            f"{n}\\text{{ or }}{n + 2}",
            f"\\pm {n}",
        ]
        yield from (("integer", str(n), text, True) for text in same)
        yield from (("integer", str(n), text, False) for text in other)


def thousands(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        n = rng.randint(1000, 10 ** rng.randint(4, 10))
        plain = f"{n:,}"
        for separator in (",", "{,}", ",\\!", "\\,", ",\\! ", "\\ ", " ", "\\;", "~", "\\!,", "\u2009", "\\,\\!"[:2]):
            yield "thousands", str(n), plain.replace(",", separator), True
            yield "thousands", plain.replace(",", separator), str(n), True
            yield "thousands", str(n), f"{(n + 1):,}".replace(",", separator), False
        yield "thousands", str(n), f"\\${plain}.00", True
        yield "thousands", str(n), f"{plain}.5", False
        yield "thousands", plain, f"{n / 1000:.3f}", False
        yield "thousands", str(n), plain.split(",")[0], False
        yield "thousands", plain, plain.replace(",", ", "), False
    yield "thousands", "(2,251,252)", "(2, 251, 252)", True
    yield "thousands", "(1000, 2000)", "(1,000, 2,000)", True
    yield "thousands", "1,100,12", "12, 1, 100", True


def fractions(rng: random.Random) -> Iterator[Case]:
    for _ in range(30):
        a, b = rng.randint(1, 60), rng.choice([3, 4, 5, 6, 7, 8, 9, 11, 16, 20, 25, 33])
        value = Fraction(a, b)
        if value.denominator == 1:
            continue
        p, q = value.numerator, value.denominator
        gold = f"\\frac{{{p}}}{{{q}}}"
        same = [
            f"\\dfrac{{{p}}}{{{q}}}",
            f"\\tfrac{{{p}}}{{{q}}}",
            f"{p}/{q}",
            f"\\frac{{{3 * p}}}{{{3 * q}}}",
            f"({p})/({q})",
            f"\\cfrac{{{p}}}{{{q}}}",
            f"\\left(\\frac{{{p}}}{{{q}}}\\right)",
            f"{{{p}}}/{{{q}}}",
            f"{p} \\div {q}",
            f"-\\frac{{-{p}}}{{{q}}}",
            f"x = \\frac{{{p}}}{{{q}}}",
            f"\\frac{{{p}}}{{{q}}} \\text{{ cm}}",
            f"{p}\\cdot\\frac1{{{q}}}",
        ]
        other = [
            f"-\\frac{{{p}}}{{{q}}}",
            f"\\frac{{{p + 1}}}{{{q}}}",
            f"\\frac{{{p}}}{{{q + 1}}}",
            f"{float(value):.3f}1",
            f"\\frac{{{p}}}{{{q}}}x",
            f"{p}:{q + 1}",
            f"{p}, {q}",
            f"({p}, {q})",
            f"\\frac{{{p}}}{{{q}}} \\pm 1",
        ]
        if p != q:
            other.append(f"\\frac{{{q}}}{{{p}}}")
        if p > q:
            whole, rest = divmod(p, q)
            same += [
                f"{whole}\\frac{{{rest}}}{{{q}}}",
                f"{whole} \\frac{{{rest}}}{{{q}}}",
                f"{whole} {rest}/{q}",
                f"{whole}+\\frac{{{rest}}}{{{q}}}",
            ]
            other.append(f"\\frac{{{whole * rest}}}{{{q}}}")
        if set(_prime_factors(q)) <= {2, 5}:
            same += [_decimal(value), _decimal(value) + "0"]
            other.append(_decimal(value + Fraction(1, 10**6)))
        else:
            other += [f"{float(value):.2f}", f"{float(value):.6f}", f"{float(value):.12f}"]
        for text in same:
            yield "fraction", gold, text, True
            yield "fraction", "-" + gold, text, False
        yield from (("fraction", gold, text, False) for text in other)
    for text in ("0.\\overline{3}", "33\\frac{1}{3}\\%", "\\frac13", "\\frac{1}3", "\\frac 1 3", "⅓", "1/3"):
        yield "fraction", "\\frac{1}{3}", text, True
    yield "fraction", "\\frac{1}{3}", "0.\\overline{31}", False


def _prime_factors(n: int) -> list[int]:
    out, p = [], 2
    while n > 1:
        while n % p == 0:
            out.append(p)
            n //= p
        p += 1
    return out


def decimals(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        value = Fraction(rng.randint(1, 99999), 10 ** rng.randint(1, 7))
        if value.denominator == 1:
            continue
        text = _decimal(value)
        for same in (
            text + "0",
            "0" + text,
            "+" + text,
            f"\\frac{{{value.numerator}}}{{{value.denominator}}}",
            f"{text} \\text{{ cm}}",
            f"{_decimal(value * 1000)} \\times 10^{{-3}}",
            f"{_decimal(value * 100)}\\%",
            f"x \\approx {text}",
            f"{text}00000000000001",
        ):
            yield "decimal", text, same, True
        for other in (
            text + "1",
            "-" + text,
            _decimal(value * 10),
            _decimal(value / 10),
            _decimal(value * Fraction(1000001, 1000000)),
            "0",
            text + " \\pm 0.1",
            f"{text}, {text}1",
            text.replace(".", ",") + "1",
            f"{text}x",
        ):
            yield "decimal", text, other, False
        if text.startswith("0."):
            yield "decimal", text, text[1:], True
            yield "decimal", text[1:], text, True


def scientific(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        mantissa, exponent = Fraction(rng.randint(11, 999), 100), rng.choice([-31, -12, -7, -3, 4, 6, 13, 27, 35])
        m = _decimal(mantissa)
        for gold in (f"{m} \\times 10^{{{exponent}}}", f"{m}e{exponent}", f"{m}E{exponent}"):
            for same in (
                f"{m}\\times 10^{{{exponent}}}",
                f"{m}\\cdot10^{{{exponent}}}",
                f"{m}e{exponent}",
                f"{m}E{exponent:+d}",
                f"{_decimal(mantissa * 10)} \\times 10^{{{exponent - 1}}}",
                f"{m} × 10^{exponent}",
                f"{m}*10^{exponent}",
                f"{m} \\times 10^{{{exponent}}} \\text{{ kg m/s}}",
                f"{m} \\times 10^{{{exponent}}} \\mathrm{{~erg}} / \\mathrm{{s}}",
                f"{m}*10**{exponent}" if exponent > 0 else f"{m}*10**({exponent})",
                f"\\approx {m} \\times 10^{{{exponent}}}",
                f"{m} \\times {{10}}^{{{exponent}}}\\,\\mathrm{{m/s^2}}",
                _decimal(mantissa * Fraction(10) ** exponent),
            ):
                yield "scientific", gold, same, True
            for other in (
                f"{m} \\times 10^{{{exponent + 1}}}",
                f"{m} \\times 10^{{{-exponent}}}",
                f"{_decimal(mantissa * Fraction(6, 5))}e{exponent}",
                f"{m}",
                f"10^{{{exponent}}}" if m != "1" else "3",
                "0",
                f"-{m}e{exponent}",
                f"{m} + 10^{{{exponent}}}",
            ):
                yield "scientific", gold, other, False


def roots_and_pi(rng: random.Random) -> Iterator[Case]:
    for _ in range(20):
        a, b = rng.randint(2, 20), rng.choice([2, 3, 5, 6, 7, 10, 11, 13])
        gold = f"{a}\\sqrt{{{b}}}"
        for same in (
            f"\\sqrt{{{a * a * b}}}",
            f"{a} \\sqrt {{{b}}}",
            f"{a}\\cdot\\sqrt{{{b}}}",
            f"{a}\\cdot {b}^{{1/2}}",
            f"{a}*sqrt({b})",
            f"\\sqrt{{{b}}}\\cdot {a}",
            f"{a}({b})^{{0.5}}",
            f"\\frac{{{a * b}}}{{\\sqrt{{{b}}}}}",
            f"{a}√{{{b}}}",
            f"{a}\\sqrt{{{b}}} \\approx {a * b**0.5:.3f}",
            f"d = {a}\\sqrt{{{b}}}\\text{{ cm}}",
        ):
            yield "radical", gold, same, True
        for other in (
            f"{a}+\\sqrt{{{b}}}",
            f"-{a}\\sqrt{{{b}}}",
            f"{a * b**0.5:.2f}",
            f"{a * b**0.5:.14f}",
            f"{a}\\sqrt{{{b + 1}}}",
            f"\\sqrt{{{a * b}}}",
            f"{a}\\sqrt[3]{{{b}}}",
            f"\\pm {a}\\sqrt{{{b}}}",
            f"{a}",
            f"{a}\\sqrt{{{b}}}, 1",
        ):
            yield "radical", gold, other, False
        gold = f"{a}\\pi"
        for same in (
            f"{a}\\cdot\\pi",
            f"\\pi\\cdot {a}",
            f"{a} \\pi \\text{{ cm}}^2",
            f"{a}π",
            f"{a}pi",
            f"{a}*pi",
            f"\\frac{{{2 * a}\\pi}}{{2}}",
            f"A = {a}\\pi",
        ):
            yield "pi", gold, same, True
        for other in (
            str(a),
            f"{a * 3.14159265:.2f}",
            f"{a + 1}\\pi",
            f"{a}\\pi^2",
            f"{a}+\\pi",
            f"\\frac{{\\pi}}{{{a}}}",
            f"{a * 22}/7",
        ):
            yield "pi", gold, other, False
        gold = f"\\frac{{{a}+\\sqrt{{{b}}}}}{{3}}"
        yield "radical", gold, f"\\frac{{{a}}}{{3}}+\\frac{{\\sqrt{{{b}}}}}{{3}}", True
        yield "radical", gold, f"({a}+\\sqrt{{{b}}})/3", True
        yield "radical", gold, f"\\frac{{{a}-\\sqrt{{{b}}}}}{{3}}", False
        yield "radical", gold, f"{a}+\\frac{{\\sqrt{{{b}}}}}{{3}}", False
        gold = f"{a}+{b}\\sqrt{{2}}"
        yield "radical", gold, f"{b}\\sqrt{{2}}+{a}", True
        yield "radical", f"{a}\\pm\\sqrt{{{b}}}", f"{a}+\\sqrt{{{b}}}, {a}-\\sqrt{{{b}}}", True
        yield "radical", f"{a}\\pm\\sqrt{{{b}}}", f"{a}-\\sqrt{{{b}}} \\text{{ or }} {a}+\\sqrt{{{b}}}", True
        yield "radical", f"{a}\\pm\\sqrt{{{b}}}", f"x = {a}\\pm\\sqrt{{{b}}}", True
        yield "radical", f"{a}\\pm\\sqrt{{{b}}}", f"{a}+\\sqrt{{{b}}}", False


def rows() -> Iterator[Case]:
    """Cases written by hand, one gold a line with answers that are the same and answers that are not."""
    folder = Path(__file__).parent
    for line in "".join(path.read_text() for path in sorted(folder.glob("grader_rows*.jsonl"))).splitlines():
        row = json.loads(line)
        for text in (row["gold"], *row["same"]):
            yield row["kind"], row["gold"], text, True
        for text in row["other"]:
            yield row["kind"], row["gold"], text, False


def all_cases() -> list[Case]:
    """Every generated case once, in a fixed order."""
    rng = random.Random(20240611)
    makers = (integers, thousands, fractions, decimals, scientific, roots_and_pi, collections, units_and_text)
    return list(dict.fromkeys([case for make in makers for case in make(rng)] + list(rows())))
