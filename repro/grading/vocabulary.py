"""Words the grader knows: units that may trail a number, number words, functions, symbols."""


def split_set(text: str) -> frozenset[str]:
    """The words of a line as a set."""
    return frozenset(text.split())


GREEK = split_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma "
    "varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega hbar ell "
    "partial nabla odot oplus mho star ast bullet triangle square angle Re Im aleph prime dagger perp"
)
# Bare Greek names that may stand without a backslash; the rest would collide with ordinary words.
BARE_GREEK = split_set("alpha beta gamma delta epsilon theta lambda sigma omega phi psi rho tau")

FUNCTIONS = split_set(
    "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot arcsec arccsc "
    "arcsinh arccosh arctanh asin acos atan ln log lg exp"
)
LATTICE_FUNCTIONS = split_set("max min gcd lcm")
FUNCTION_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log10"}
INVERSE = {
    "sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc",
    "sinh": "arcsinh", "cosh": "arccosh", "tanh": "arctanh",
}  # fmt: skip
TRIGONOMETRIC = split_set("sin cos tan cot sec csc")

RELATIONS = {
    "=": "=", "<": "<", ">": ">", "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\ge": ">=", "\\geq": ">=",
    "\\geqslant": ">=", "\\lt": "<", "\\gt": ">", "\\ne": "!=", "\\neq": "!=", "\\in": "in", "\\approx": "~",
    "\\simeq": "~", "\\equiv": "==", "\\to": "->", "\\rightarrow": "->", "\\mapsto": "->", "\\subset": "sub",
    "\\subseteq": "sub", "\\propto": "prop", "\\sim": "sim", "\\Rightarrow": "=>", "\\implies": "=>",
}  # fmt: skip

_COUNTING = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBER_WORDS = {word: value for value, word in enumerate(_COUNTING.split())}

# Words in a trailing text that change what the answer says; such a text is never dropped as a unit.
LOGICAL_WORDS = split_set(
    "or and not no nor none never neither either if unless except without least most more less than greater fewer "
    "between maybe perhaps possibly cannot impossible undefined unknown other another mod modulo plus minus times "
    "over divided approximately about to through am pm dozen hundred thousand million billion trillion"
)
SCALE_WORDS = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_UNIT_STEMS = split_set(
    "meter metre centimeter centimetre millimeter millimetre kilometer kilometre micrometer nanometer inch inches "
    "foot feet yard mile acre hectare liter litre milliliter millilitre gallon quart pint cup ounce pound gram "
    "kilogram milligram ton tonne second sec minute min hour hr day week month year yr degree deg radian rad cent "
    "dollar euro rupee usd unit square sq cubic cu mph kmh kph mps rpm ft mi yd lb lbs oz kg mg cm mm km nm dm ml "
    "kj hz khz mhz ghz pa kpa mpa atm mol joule watt volt ohm newton pascal kelvin celsius fahrenheit hertz amp "
    "ampere coulomb tesla erg dyne ev kev mev gev parsec pc kpc mpc percent point bit byte person people student "
    "child children man men woman women boy girl apple orange marble coin ball card book ticket tree dog cat car "
    "way solution digit triangle side edge vertex vertices face page step time number integer game player team "
    "per angstrom au ly solar"
)
UNIT_WORDS = _UNIT_STEMS | frozenset(stem + "s" for stem in _UNIT_STEMS)
CURRENCIES = split_set("usd eur gbp rs inr us dollars dollar")
# One-letter units a prediction may carry bare when the gold is a plain number; a gold's letter is always a variable.
UNIT_LETTERS = frozenset("mgshLlNJWVKCFAT")

GREEK_LETTERS = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi",
    "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Σ": "Sigma",
    "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip
UNICODE = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/", "∕": "/",
    "⁄": "/", "√": r"\sqrt ", "π": r"\pi ", "∞": r"\infty ", "±": r"\pm ", "∓": r"\mp ", "≤": r"\le ", "≥": r"\ge ",
    "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}", "°": r"^\circ ", "′": "'", "’": "'", "％": "%", "（": "(", "）": ")", "，": ",", "＝": "=",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2002": " ", "\u2003": " ", "\u3000": " ", "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "€": r"\$", "£": r"\$",
    "¥": r"\$", "₹": r"\$", "…": r"\ldots ", "∖": r"\setminus ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ",
    "⌉": r"\rceil ", "¢": r"\text{ cents}", "℃": r"^\circ\text{C}",
    "℉": r"^\circ\text{F}", "∘": r"\circ ", "ℏ": r"\hbar ",
} | {letter: "\\" + name + " " for letter, name in GREEK_LETTERS.items()}  # fmt: skip
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
