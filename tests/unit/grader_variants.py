"""Grader cases made from templates: (kind, gold, box content, expected). Seeded; no benchmark data needed."""

import random
from collections.abc import Iterator
from fractions import Fraction

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
        same = [f"{n}.0", f"{n}.", f"+{n}", f"0{n}", f"x = {n}", f"\\text{{{n}}}", f"\\mathbf{{{n}}}", f"{{{n}}}",
                f"\\boxed{{{n}}}", f"${n}$", f"\\({n}\\)", f"\\,{n}\\,", f"{n}\\text{{ square units}}", f"{n} cm",
                f"n={n}", f"\\textbf{{{n}}}", f"\\displaystyle {n}", f"{n}\\ \\text{{ways}}", f"\\${n}", f"|x| = {n}",
                f"\\frac{{{2 * n}}}{{2}}", f"{n - 1}+1", f"\\left({n}\\right)", f"{n}\\,\\mathrm{{m}}/\\mathrm{{s}}",
                f"m+n={n}", f"{n - 1} + 1 = {n}", f"\\{{{n}\\}}", f"\\text{{Answer: }}{n}", f"The answer is {n}",
                f"{n} \\text{{ apples}}", f"{n}^\\circ", f"-(-{n})", f"{n}\\%", f"{n} miles", f"P({n + 1}) = {n}"]  # fmt: skip
        other = [f"{n + 1}", f"-{n}", f"{n}0", f"{n}.5", f"{n} \\text{{ or }} {n + 1}", f"{n - 1}, {n}, {n + 1}",
                 f"{n} \\pm 1", f"{n}x", f"{n} or {n + 1}", f"{n}\\pi", f"\\text{{not }} {n}", f"{n}i", f"\\sqrt{{{n}}}",
                 f"{n}^2", f"({n}, {n})", f"{n}_{{7}}" if n > 6 else "3", f"\\frac{{1}}{{{n}}}", f"x > {n}", f"{n}!+1",
                 f"{n}.000001", f"2x + 3 = {n}", f"{n} \\text{{ or more}}", f"\\{{{n}, {n + 1}\\}}", f"{n} \\neq {n}",
                 f"x \\ne {n}", f"x \\le {n}", f"{n - 1}+2", f"{n}, \\ldots", f"{n}\\text{{ or }}{n + 2}", f"\\pm {n}"]  # fmt: skip
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
        same = [f"\\dfrac{{{p}}}{{{q}}}", f"\\tfrac{{{p}}}{{{q}}}", f"{p}/{q}", f"\\frac{{{3 * p}}}{{{3 * q}}}", f"({p})/({q})",
                f"\\cfrac{{{p}}}{{{q}}}", f"\\left(\\frac{{{p}}}{{{q}}}\\right)", f"{{{p}}}/{{{q}}}", f"{p} \\div {q}",
                f"-\\frac{{-{p}}}{{{q}}}", f"x = \\frac{{{p}}}{{{q}}}", f"\\frac{{{p}}}{{{q}}} \\text{{ cm}}", f"{p}\\cdot\\frac1{{{q}}}"]  # fmt: skip
        other = [f"-\\frac{{{p}}}{{{q}}}", f"\\frac{{{p + 1}}}{{{q}}}", f"\\frac{{{p}}}{{{q + 1}}}", f"{float(value):.3f}1",
                 f"\\frac{{{p}}}{{{q}}}x", f"{p}:{q + 1}", f"{p}, {q}", f"({p}, {q})", f"\\frac{{{p}}}{{{q}}} \\pm 1"]  # fmt: skip
        if p != q:
            other.append(f"\\frac{{{q}}}{{{p}}}")
        if p > q:
            whole, rest = divmod(p, q)
            same += [f"{whole}\\frac{{{rest}}}{{{q}}}", f"{whole} \\frac{{{rest}}}{{{q}}}", f"{whole} {rest}/{q}", f"{whole}+\\frac{{{rest}}}{{{q}}}"]
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
        for same in (text + "0", "0" + text, "+" + text, f"\\frac{{{value.numerator}}}{{{value.denominator}}}", f"{text} \\text{{ cm}}",
                     f"{_decimal(value * 1000)} \\times 10^{{-3}}", f"{_decimal(value * 100)}\\%", f"x \\approx {text}", f"{text}00000000000001"):  # fmt: skip
            yield "decimal", text, same, True
        for other in (text + "1", "-" + text, _decimal(value * 10), _decimal(value / 10), _decimal(value * Fraction(1000001, 1000000)), "0",
                      text + " \\pm 0.1", f"{text}, {text}1", text.replace(".", ",") + "1", f"{text}x"):  # fmt: skip
            yield "decimal", text, other, False
        if text.startswith("0."):
            yield "decimal", text, text[1:], True
            yield "decimal", text[1:], text, True


def scientific(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        mantissa, exponent = Fraction(rng.randint(11, 999), 100), rng.choice([-31, -12, -7, -3, 4, 6, 13, 27, 35])
        m = _decimal(mantissa)
        for gold in (f"{m} \\times 10^{{{exponent}}}", f"{m}e{exponent}", f"{m}E{exponent}"):
            for same in (f"{m}\\times 10^{{{exponent}}}", f"{m}\\cdot10^{{{exponent}}}", f"{m}e{exponent}", f"{m}E{exponent:+d}",
                         f"{_decimal(mantissa * 10)} \\times 10^{{{exponent - 1}}}", f"{m} × 10^{exponent}", f"{m}*10^{exponent}",
                         f"{m} \\times 10^{{{exponent}}} \\text{{ kg m/s}}", f"{m} \\times 10^{{{exponent}}} \\mathrm{{~erg}} / \\mathrm{{s}}",
                         f"{m}*10**{exponent}" if exponent > 0 else f"{m}*10**({exponent})", f"\\approx {m} \\times 10^{{{exponent}}}",
                         f"{m} \\times {{10}}^{{{exponent}}}\\,\\mathrm{{m/s^2}}", _decimal(mantissa * Fraction(10) ** exponent)):  # fmt: skip
                yield "scientific", gold, same, True
            for other in (f"{m} \\times 10^{{{exponent + 1}}}", f"{m} \\times 10^{{{-exponent}}}", f"{_decimal(mantissa * Fraction(6, 5))}e{exponent}",
                          f"{m}", f"10^{{{exponent}}}" if m != "1" else "3", "0", f"-{m}e{exponent}", f"{m} + 10^{{{exponent}}}"):  # fmt: skip
                yield "scientific", gold, other, False


def roots_and_pi(rng: random.Random) -> Iterator[Case]:
    for _ in range(20):
        a, b = rng.randint(2, 20), rng.choice([2, 3, 5, 6, 7, 10, 11, 13])
        gold = f"{a}\\sqrt{{{b}}}"
        for same in (f"\\sqrt{{{a * a * b}}}", f"{a} \\sqrt {{{b}}}", f"{a}\\cdot\\sqrt{{{b}}}", f"{a}\\cdot {b}^{{1/2}}", f"{a}*sqrt({b})", f"\\sqrt{{{b}}}\\cdot {a}",
                     f"{a}({b})^{{0.5}}", f"\\frac{{{a * b}}}{{\\sqrt{{{b}}}}}", f"{a}√{{{b}}}", f"{a}\\sqrt{{{b}}} \\approx {a * b**0.5:.3f}", f"d = {a}\\sqrt{{{b}}}\\text{{ cm}}"):  # fmt: skip
            yield "radical", gold, same, True
        for other in (f"{a}+\\sqrt{{{b}}}", f"-{a}\\sqrt{{{b}}}", f"{a * b**0.5:.2f}", f"{a * b**0.5:.14f}", f"{a}\\sqrt{{{b + 1}}}", f"\\sqrt{{{a * b}}}", f"{a}\\sqrt[3]{{{b}}}",
                      f"\\pm {a}\\sqrt{{{b}}}", f"{a}", f"{a}\\sqrt{{{b}}}, 1"):  # fmt: skip
            yield "radical", gold, other, False
        gold = f"{a}\\pi"
        for same in (f"{a}\\cdot\\pi", f"\\pi\\cdot {a}", f"{a} \\pi \\text{{ cm}}^2", f"{a}π", f"{a}pi", f"{a}*pi", f"\\frac{{{2 * a}\\pi}}{{2}}", f"A = {a}\\pi"):
            yield "pi", gold, same, True
        for other in (str(a), f"{a * 3.14159265:.2f}", f"{a + 1}\\pi", f"{a}\\pi^2", f"{a}+\\pi", f"\\frac{{\\pi}}{{{a}}}", f"{a * 22}/7"):
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


def collections(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        items = rng.sample(range(-30, 30), rng.randint(2, 5))
        shown = [str(item) for item in items]
        shuffled = shown[::-1]
        gold = ", ".join(shown)
        for same in (",".join(shuffled), "\\{" + ", ".join(shown) + "\\}", "\\left\\{" + ",".join(shuffled) + "\\right\\}", " \\text{ and } ".join(shuffled),
                     " \\text{ or } ".join(shown), "x = " + ", ".join(shown), ", ".join(f"x = {item}" for item in shuffled), "; ".join(shown), ",\\ ".join(shown),
                     ", ".join(shown[:-1]) + ", \\text{ and } " + shown[-1], " and ".join(shown), ",\\,".join(shown), "$" + "$, $".join(shown) + "$"):  # fmt: skip
            yield "list", gold, same, True
            yield "set", "\\{" + gold + "\\}", same, True
        for other in (", ".join(shown[1:]), ", ".join([*shown, "999"]), ", ".join([*shown[1:], "77"]), shown[0], "\\{" + ", ".join(shown[1:]) + "\\}"):
            yield "list", gold, other, False
            yield "set", "\\{" + gold + "\\}", other, False
        gold = "(" + ",".join(shown) + ")"
        for same in ("\\left(" + ", ".join(shown) + "\\right)", "( " + " , ".join(shown) + " )", ", ".join(shown), "\\left( " + ",\\ ".join(shown) + " \\right)", f"\\bigl({', '.join(shown)}\\bigr)"):
            yield "tuple", gold, same, True
        yield "tuple", gold, "(" + ", ".join(shuffled) + ")", shown == shuffled
        for other in ("(" + ", ".join(shown[:-1]) + ")", "(" + ", ".join([*shown, "3"]) + ")", "(" + ", ".join([*shown[:-1], "44"]) + ")", "\\{" + ", ".join(shown) + "\\}"):
            yield "tuple", gold, other, False
    for gold, text, expected in (
        ("(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)", True), ("(-\\infty, 2) \\cup (3, \\infty)", "x<2 \\text{ or } x>3", True),
        ("(-\\infty, 2) \\cup (3, \\infty)", "(-\\infty, 2] \\cup (3, \\infty)", False), ("(-\\infty, 2) \\cup (3, \\infty)", "(-\\infty, 3)", False),
        ("(-\\infty,0)\\cup(0,\\infty)", "\\mathbb{R} \\setminus \\{0\\}", True), ("(-\\infty,0)\\cup(0,\\infty)", "x \\neq 0", True),
        ("x \\in [-2,7]", "-2 \\le x \\le 7", True), ("x \\in [-2,7]", "[-2,7]", True), ("[-2,7]", "x\\in[-2,7]", True), ("[-2,7]", "7 \\ge x \\ge -2", True),
        ("[-2,7]", "-2 < x \\le 7", False), ("[-2,7]", "(-2,7)", False), ("[-2,7)", "[-2,7]", False), ("(-2,7)", "\\left(-2,7\\right)", True),
        ("(-2,7)", "(7,-2)", False), ("(0,1]", "\\left(0, 1\\right]", True), ("[\\frac12, 8]", "[0.5, 8]", True), ("(2,12)\\cup(12,102)", "(2,12)\\cup [12,102)", False),
        ("(2,12)\\cup(12,102)", "(2,102)", False), ("[0,1]\\cup[1,2]", "[0,2]", True), ("(5,\\infty)", "x > 5", True), ("(5,\\infty)", "x \\ge 5", False),
        ("(5,\\infty)", "5 < x", True), ("(5,\\infty)", "(-\\infty, 5)", False), ("(5,\\infty)", "(5, +\\infty)", True), ("[1,\\sqrt{2}]", "[1, 2^{1/2}]", True),
        ("\\emptyset", "\\varnothing", True), ("\\emptyset", "\\{\\}", True), ("\\emptyset", "0", False), ("\\emptyset", "\\{0\\}", False),
    ):  # fmt: skip
        yield "interval", gold, text, expected


def units_and_text(rng: random.Random) -> Iterator[Case]:
    for unit in ("cm", "m", "kg", "mph", "square units", "degrees", "dollars", "hours", "m/s", "km/h", "cubic feet", "N/m", "cents"):
        n = rng.randint(11, 99)
        for text in (f"{n} \\text{{ {unit}}}", f"{n}\\text{{{unit}}}", f"{n}\\mathrm{{~{unit}}}", f"{n}\\ \\mathrm{{{unit}}}", f"{n} \\mbox{{ {unit}}}", f"{n}\\,\\text{{{unit}}}", f"{n} {unit}"):
            yield "units", str(n), text, True
            yield "units", text, str(n), not (unit in ("m", "N/m", "m/s") and text.endswith(f" {unit}"))
            yield "units", str(n + 1), text, False
        yield "units", f"{n}\\text{{ {unit}}}^2", str(n), True
        yield "units", str(n), f"{n} \\text{{ {unit}}}^{{2}}", True
    for gold, text, expected in (
        ("180^\\circ", "180", True), ("180^\\circ", "180^{\\circ}", True), ("180", "180°", True), ("90^\\circ", "90 \\text{ degrees}", True), ("45^{\\circ}", "135^\\circ", False),
        ("\\frac{37}{4} m", "\\frac{37}{4}", False), ("\\frac{5mg}{2}", "\\frac{5}{2}", False), ("5mg", "5", False), ("2mg\\sin\\theta", "2", False),
        ("mgh", "m g h", True), ("mgh", "ghm", True), ("\\$18.90", "18.9", True), ("\\$18.90", "1890", False), ("\\$5", "5 \\text{ dollars}", True),
        ("10\\%", "10", True), ("10\\%", "0.1", True), ("10\\%", "\\frac{1}{10}", True), ("10", "10\\%", True), ("0.1", "10\\%", True), ("10\\%", "1000\\%", False),
        ("10\\%", "10 \\text{ percent}", True), ("10\\%", "0.1\\%", False), ("10", "0.1", False), ("10\\%", "1", False), ("62.5\\%", "\\frac58", True),
        ("25^{\\circ} \\mathrm{C}", "25", True), ("3200 \\mathrm{~cm}^{3}", "3200", True), ("1.85\\ \\text{USD}", "\\$1.85", True),
    ):  # fmt: skip
        yield "units", gold, text, expected
    for word, wrong in (("ellipse", "circle"), ("Navin", "Carla"), ("east", "seat"), ("even", "odd"), ("Yes", "No"), ("Monday", "Tuesday"), ("decreasing", "increasing"), ("blue", "red")):
        for text in (word, f"\\text{{{word}}}", f"\\textbf{{{word}}}", f"\\text{{ {word} }}", f"\\mathrm{{{word}}}", f"\\textit{{{word}}}", word.capitalize(), f"\\text{{{word}.}}", word.upper()):
            yield "text", f"\\text{{{word}}}", text, True
        for text in (f"\\text{{not {word}}}", wrong, f"\\text{{{wrong}}}", f"\\text{{{word} or {wrong}}}", f"\\text{{{word}}} \\text{{ or }} \\text{{{wrong}}}", word[:-1], "5", word[::-1]):
            yield "text", f"\\text{{{word}}}", text, False
    for gold, text, expected in (
        ("\\text{(C)}", "C", True), ("\\text{(C)}", "\\text{C}", True), ("C", "\\text{(C)}", True), ("C", "D", False), ("\\text{(C)}", "(D)", False),
        ("\\mbox{four}", "4", True), ("\\text{four}", "5", False), ("\\text{Alice and Bob}", "\\text{Bob, Alice}", True), ("\\text{no solution}", "\\text{No Solution}", True),
    ):  # fmt: skip
        yield "text", gold, text, expected


def formulas(_rng: random.Random) -> Iterator[Case]:
    for gold, same, other in (
        ("p - q", ("-q+p", "-(q-p)"), ("q-p", "p+q", "pq", "p")),
        ("x^3+3x-6", ("x(x^2+3)-6", "-6+3x+x^3", "x^{3} + 3 x - 6"), ("x^3+3x+6", "x^3-3x-6", "3x-6", "x^3+3x-6=0")),
        ("(a+5)(b+2)", ("ab+2a+5b+10", "(b+2)(a+5)"), ("(a+2)(b+5)", "ab+10")),
        ("\\frac{11+9a}{20}", ("0.55+0.45a", "\\frac{11}{20}+\\frac{9a}{20}", "(11+9a)/20"), ("\\frac{11-9a}{20}", "0.55+0.46a")),
        ("\\cot x", ("\\frac{\\cos x}{\\sin x}", "\\frac{1}{\\tan x}", "\\cot(x)"), ("\\tan x", "\\cot y")),
        ("\\sin 2x", ("2\\sin x\\cos x", "\\sin(2x)"), ("2\\sin x", "\\sin x")),
        ("\\sin^2 x", ("1-\\cos^2 x", "(\\sin x)^2", "\\sin^{2}(x)"), ("\\sin x^2", "\\cos^2 x")),
        ("2^{1009}", ("4^{504}\\cdot 2", "2 \\cdot 2^{1008}"), ("2^{1010}", "2^{1009}+1", "2^{1009}-1")),
        ("\\frac{100!}{2^{50}}", ("100!/2^{50}", "\\frac{100 \\cdot 99!}{2^{50}}"), ("\\frac{100!}{2^{49}}", "\\frac{99!}{2^{50}}")),
        ("\\binom{2n}{n}", ("\\frac{(2n)!}{(n!)^2}", "\\frac{(2n)!}{n!n!}"), ("\\binom{2n}{n+1}", "\\frac{(2n)!}{n!}")),
        ("\\binom{10}{3}", ("120", "\\binom{10}{7}"), ("\\binom{10}{4}", "720")),
        ("I(0) e^{-\\frac{t}{R C}}", ("I(0)e^{-t/(RC)}", "\\frac{I(0)}{e^{t/(RC)}}", "I(0)\\exp\\left(-\\frac{t}{RC}\\right)"), ("I(0)e^{t/(RC)}", "I(1)e^{-t/(RC)}", "0")),
        ("2 \\pi / \\omega", ("\\frac{2\\pi}{\\omega}", "2\\pi\\omega^{-1}"), ("2\\pi\\omega", "\\frac{\\pi}{\\omega}")),
        ("E_{1},E_{2}", ("E_1, E_2", "E_2, E_1"), ("E_1, E_3", "E_1", "E, E")),
        ("1 - 12i", ("1-12 i", "-12i+1", "1 + -12i"), ("1+12i", "12-i", "1")),
        ("(1+i)^2", ("2i",), ("2", "-2i")),
        ("\\frac{1}{2}(\\exp{a*t} + \\exp{-a*t})", ("\\cosh(at)", "\\frac{e^{at}+e^{-at}}{2}"), ("\\sinh(at)", "e^{at}")),
        ("\\log_2 3", ("\\frac{\\ln 3}{\\ln 2}", "\\log_{2}{3}", "\\log_4 9"), ("\\log_3 2", "\\log 3")),
        ("\\ln 2", ("\\log 2", "-\\ln\\frac12"), ("\\ln 3", "2")),
        ("y = 2x + 3", ("y=3+2x", "2x+3", "2x - y + 3 = 0", "y - 2x = 3"), ("y = 3x + 2", "y = 2x", "x = 2y+3", "y=-2x-3")),
        ("5x - 7y + 11z + 4 = 0", ("-5x+7y-11z-4=0", "10x - 14y + 22z + 8 = 0", "5x+11z=7y-4"), ("5x - 7y + 11z = 4", "0", "5x-7y+11z+5=0", "5x-7y+11z+4")),
        ("0", ("0.0", "x = 0", "1-1", "0\\text{ m}"), ("5x-7y+11z+4=0", "x+y=0", "10^{-20}", "\\emptyset", "1")),
        ("x=5", ("5", "x = 5.0", "5 = x"), ("x=6", "y=5", "x=5, x=6", "5x")),
        ("f(x)=2 x", ("2x", "f(x) = x+x"), ("f(x)=3x", "2", "f(x) = 2y")),
        ("x=2, y=3", ("y=3, x=2", "x = 2 \\text{ and } y = 3"), ("x=3, y=2", "x=2", "x=2,y=4")),
        ("m \\leq \\frac{n}{2}", ("2m \\le n", "\\frac{n}{2} \\geq m"), ("m \\geq \\frac{n}{2}", "m < \\frac{n}{2}", "m \\le n")),
        ("n \\ge 3", ("3 \\le n", "[3,\\infty)"), ("n > 3", "n \\le 3")),
        ("|x|", ("|-x|", "\\sqrt{x^2}", "\\left|x\\right|"), ("x", "-x")),
        ("\\lfloor \\frac{7}{2} \\rfloor", ("3",), ("4", "\\frac72")),
        ("40_9", ("40_{9}", "40_{\\text{nine}}", "(40)_9", "40 \\text{ base } 9", "40_{(9)}"), ("40_{10}", "41_9", "40_8", "36", "40")),
        ("1101_2", ("1101_{2}", "1101_{\\text{two}}"), ("1100_2", "13", "1101_3", "1101")),
        ("\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}", ("\\begin{bmatrix} 0.2 \\\\ -3.6 \\end{bmatrix}", "\\frac15\\begin{pmatrix} 1 \\\\ -18 \\end{pmatrix}", "\\left(\\begin{array}{c}\\frac15\\\\-\\frac{18}{5}\\end{array}\\right)"),
         ("\\begin{pmatrix} 1/5 & -18/5 \\end{pmatrix}", "\\begin{pmatrix} 1/5 \\\\ 18/5 \\end{pmatrix}", "\\begin{pmatrix} 1/5 \\end{pmatrix}")),
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", ("\\begin{bmatrix}1&2\\\\3&4\\\\\\end{bmatrix}",), ("\\begin{pmatrix} 1 & 3 \\\\ 2 & 4 \\end{pmatrix}", "\\begin{pmatrix} 1 & 2 & 3 & 4 \\end{pmatrix}")),
        ("\\infty", ("+\\infty", "∞", "infinity"), ("-\\infty", "0", "10^{100}")),
        ("3:2", ("3 : 2", "\\frac{3}{2}"), ("2:3", "3:4")),
        ("x^{\\prime}+\\frac{r}{V} x-r c=0", ("x' + \\frac{r}{V}x = rc",), ("x' - \\frac{r}{V}x = rc", "x + \\frac{r}{V}x = rc")),
        ("\\{1\\pm\\sqrt{5},-2\\}", ("\\{-2, 1+\\sqrt{5}, 1-\\sqrt{5}\\}", "-2, 1\\pm\\sqrt5"), ("\\{1+\\sqrt5, -2\\}", "1\\pm\\sqrt5")),
        ("np.arcsin(10/13)", ("\\arcsin\\frac{10}{13}", "\\sin^{-1}\\left(\\frac{10}{13}\\right)"), ("\\arccos\\frac{10}{13}", "\\frac{10}{13}")),
        ("\\sum_{k=1}^{n} k", ("\\frac{n(n+1)}{2}",), ("\\frac{n(n-1)}{2}",)),
        ("\\sin 30^\\circ", ("\\frac12", "0.5"), ("30", "\\frac{\\sqrt3}{2}")),
        ("m", ("m",), ("1", "n", "2m")), ("3R^2", ("3 R^{2}", "3R\\cdot R"), ("3R", "3r^2", "R^2")),
    ):  # fmt: skip
        yield from (("formula", gold, text, True) for text in (gold, *same))
        yield from (("formula", gold, text, False) for text in other)


def all_cases() -> list[Case]:
    """Every generated case once, in a fixed order."""
    rng = random.Random(20240611)
    makers = (integers, thousands, fractions, decimals, scientific, roots_and_pi, collections, units_and_text, formulas)
    return list(dict.fromkeys(case for make in makers for case in make(rng)))
