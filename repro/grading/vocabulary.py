"""Words the grader knows: functions, symbols, relations. Words after a value are in `units`."""


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

TRIGONOMETRIC = split_set("sin cos tan cot sec csc")
_HYPERBOLIC = split_set("sinh cosh tanh coth")
INVERSE = {name: f"arc{name}" for name in (*TRIGONOMETRIC, *_HYPERBOLIC - {"coth"})}
FUNCTIONS = TRIGONOMETRIC | _HYPERBOLIC | frozenset(INVERSE.values()) | split_set("ln log lg exp cis")
LATTICE_FUNCTIONS = split_set("max min gcd lcm")
_OTHER_NAMES = {
    "tg": "tan", "ctg": "cot", "cotg": "cot", "cosec": "csc", "sh": "sinh", "ch": "cosh", "th": "tanh", "cth": "coth",
}  # fmt: skip

RELATIONS = {
    "=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\lt": "<", "\\gt": ">", "\\ne": "!=", "\\neq": "!=",
    "\\in": "in", "\\approx": "~", "\\simeq": "~", "\\equiv": "==", "\\to": "->", "\\rightarrow": "->",
    "\\mapsto": "->", "\\subset": "sub", "\\subseteq": "sub", "\\propto": "prop", "\\sim": "sim", "\\Rightarrow": "=>",
    "\\implies": "=>",
}  # fmt: skip


def function_name(name: str) -> str | None:
    """The one name of a function that goes by several (`arctg`, `asin`, `arsinh`); None for anything else."""
    if name in FUNCTIONS:
        return name
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    bases = (function_name(name[len(prefix) :]) for prefix in ("arc", "ar", "a") if name.startswith(prefix))
    return next((INVERSE[base] for base in bases if base in INVERSE), None)
