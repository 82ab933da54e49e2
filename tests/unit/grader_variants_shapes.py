"""Grader cases made from templates: lists, tuples, units, words. See `grader_variants`."""

import random
from collections.abc import Iterator

Case = tuple[str, str, str, bool]


def collections(rng: random.Random) -> Iterator[Case]:
    for _ in range(25):
        items = rng.sample(range(-30, 30), rng.randint(2, 5))
        shown = [str(item) for item in items]
        shuffled = shown[::-1]
        gold = ", ".join(shown)
        for same in (
            ",".join(shuffled),
            "\\{" + ", ".join(shown) + "\\}",
            "\\left\\{" + ",".join(shuffled) + "\\right\\}",
            " \\text{ and } ".join(shuffled),
            " \\text{ or } ".join(shown),
            "x = " + ", ".join(shown),
            ", ".join(f"x = {item}" for item in shuffled),
            "; ".join(shown),
            ",\\ ".join(shown),
            ", ".join(shown[:-1]) + ", \\text{ and } " + shown[-1],
            " and ".join(shown),
            ",\\,".join(shown),
            "$" + "$, $".join(shown) + "$",
        ):
            yield "list", gold, same, True
            yield "set", "\\{" + gold + "\\}", same, True
        for other in (
            ", ".join(shown[1:]),
            ", ".join([*shown, "999"]),
            ", ".join([*shown[1:], "77"]),
            shown[0],
            "\\{" + ", ".join(shown[1:]) + "\\}",
        ):
            yield "list", gold, other, False
            yield "set", "\\{" + gold + "\\}", other, False
        gold = "(" + ",".join(shown) + ")"
        for same in (
            "\\left(" + ", ".join(shown) + "\\right)",
            "( " + " , ".join(shown) + " )",
            ", ".join(shown),
            "\\left( " + ",\\ ".join(shown) + " \\right)",
            f"\\bigl({', '.join(shown)}\\bigr)",
        ):
            yield "tuple", gold, same, True
        yield "tuple", gold, "(" + ", ".join(shuffled) + ")", shown == shuffled
        for other in (
            "(" + ", ".join(shown[:-1]) + ")",
            "(" + ", ".join([*shown, "3"]) + ")",
            "(" + ", ".join([*shown[:-1], "44"]) + ")",
            "\\{" + ", ".join(shown) + "\\}",
        ):
            yield "tuple", gold, other, False


def units_and_text(rng: random.Random) -> Iterator[Case]:
    for unit in (
        "cm",
        "m",
        "kg",
        "mph",
        "square units",
        "degrees",
        "dollars",
        "hours",
        "m/s",
        "km/h",
        "cubic feet",
        "N/m",
        "cents",
    ):
        n = rng.randint(11, 99)
        for text in (
            f"{n} \\text{{ {unit}}}",
            f"{n}\\text{{{unit}}}",
            f"{n}\\mathrm{{~{unit}}}",
            f"{n}\\ \\mathrm{{{unit}}}",
            f"{n} \\mbox{{ {unit}}}",
            f"{n}\\,\\text{{{unit}}}",
            f"{n} {unit}",
        ):
            yield "units", str(n), text, True
            yield "units", text, str(n), not (unit in ("m", "N/m", "m/s") and text.endswith(f" {unit}"))
            yield "units", str(n + 1), text, False
        yield "units", f"{n}\\text{{ {unit}}}^2", str(n), True
        yield "units", str(n), f"{n} \\text{{ {unit}}}^{{2}}", True
    for word, wrong in (
        ("ellipse", "circle"),
        ("Navin", "Carla"),
        ("east", "seat"),
        ("even", "odd"),
        ("Yes", "No"),
        ("Monday", "Tuesday"),
        ("decreasing", "increasing"),
        ("blue", "red"),
    ):
        for text in (
            word,
            f"\\text{{{word}}}",
            f"\\textbf{{{word}}}",
            f"\\text{{ {word} }}",
            f"\\mathrm{{{word}}}",
            f"\\textit{{{word}}}",
            word.capitalize(),
            f"\\text{{{word}.}}",
            word.upper(),
        ):
            yield "text", f"\\text{{{word}}}", text, True
        for text in (
            f"\\text{{not {word}}}",
            wrong,
            f"\\text{{{wrong}}}",
            f"\\text{{{word} or {wrong}}}",
            f"\\text{{{word}}} \\text{{ or }} \\text{{{wrong}}}",
            word[:-1],
            "5",
            word[::-1],
        ):
            yield "text", f"\\text{{{word}}}", text, False
