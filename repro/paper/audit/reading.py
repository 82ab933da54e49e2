"""Statements decided by reading, not by arithmetic: contradictions inside the text, references, and what is not stated.

Each row names the place; nothing here is computed except where a number is given by another check.
"""

from repro.paper.audit.check import Check
from repro.paper.findings import FAILS, HOLDS, UNDECIDED, Finding

_ROWS = (
    ("D5", "Experimental Settings; Implementation Details", "DeepScaleR: 40k fine-tuning already done / done first",
     "the main text describes it as done before, the appendix as a first step; by whom is unclear", UNDECIDED),
    ("D6", "Implementation Details", "training data of the 7B and Qwen2-7B-Instruct models", "not stated", UNDECIDED),
    ("H1", "Fig. 3 caption", "1-shot and 5-shot results on HumanEval",
     "the text says 0-shot and 5-shot; the AAAI-26 figure is labelled 0-shot", FAILS),
    ("N1", "Parameter sensitivity; More Ablation Studies", "best at alpha = 2 and beta = 0.06",
     "the sweep is over kappa (AAAI-26 prints kappa = 0.06); no value of GRPO's own beta is given anywhere", FAILS),
    ("N2", "Algorithm 1, line 8; Step 2", "x_i without y_n / with y_n", "they differ and nothing decides", UNDECIDED),
    ("N3", "Eq. 10; Algorithm 1, line 6", "y_n,i for i = 1..n-1 / i = 0..n-1", "the same set once y_n,0 = y_n", HOLDS),
    ("N4", "cross-references", "Appendix Figure 1; ablations in Figure 2; Eq. 2 for the risk of pi*(q)",
     "they are Fig. 7, Table 2 and Eq. 5 (AAAI-26 corrects the second)", FAILS),
    ("T3c", "Table 3", "gains of MCTS, 0.3 to 0.9 points per cell",
     "search settings are not given; plain voting gives far more on such models (R1-Distill-1.5B AIME24: 28.9 -> 52.7 "
     "with 64 votes, DeepSeek's model card)", UNDECIDED),
    ("T1l", "Performance Analysis", "robust to model scale and architecture",
     "two sizes (1.5B, 7B); all bases are Qwen-type decoders, so a second architecture is not among them", UNDECIDED),
    ("H3", "Performance Analysis, HumanEval", "the gap to previous methods is larger in the multi-shot setting",
     "Fig. 3 has no labels for the other methods; only the gaps to the base are known, 2.9 and 5.5", UNDECIDED),
    ("I1", "Implementation Details", "TRL with DeepSpeed 0.13.1",
     "GRPOTrainer first appears in TRL 0.14.0, whose deepspeed extra asks for 0.14.4 or later; a stack that ignores "
     "the extra cannot be excluded", UNDECIDED),
)  # fmt: skip


def read() -> Check:
    """All rows of this module as one check without arithmetic."""
    findings = [Finding(*row, "read") for row in _ROWS]
    return Check("read", f"{len(findings)} statements read", findings)
