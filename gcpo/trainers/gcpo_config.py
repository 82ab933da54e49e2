"""The switches of GCPO: the paper's words, or "Not stated" and the choice, for every line (arXiv 2508.05428)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gcpo.divergence import EQ13_FORMS
from gcpo.estimators import ESTIMATORS, PHI_CONTEXTS, PHI_SAMPLINGS, Sampling
from gcpo.scm import CANDIDATE_ORDERS, CANDIDATE_VIEWS, CONTEXT_OVERFLOWS, FEATURE_POSITIONS
from gcpo.trainers.contexts import CHAT_INTEGRATION_TEMPLATE as CHAT_INTEGRATION_TEMPLATE
from gcpo.trainers.grpo import PaperGRPOConfig, changes
from gcpo.upsilon import SIGN_RULES, SIMILARITIES

CONTROLS = ("none", "one", "constant", "shuffled")
FEATURE_INPUTS = ("context", "q_o", "o")
KAPPA_NORMS = ("mean", "sum")
CONTEXT_ENCODINGS = ("text", "cached_text", "shared_kv")

_CHOICES = {
    "estimator": ESTIMATORS,
    "eq13": EQ13_FORMS,
    "upsilon_control": CONTROLS,
    "similarity": SIMILARITIES,
    "sign_rule": SIGN_RULES,
    "feature_input": FEATURE_INPUTS,
    "feature_position": FEATURE_POSITIONS,
    "candidate_view": (*CANDIDATE_VIEWS, None),
    "candidate_order": CANDIDATE_ORDERS,
    "context_overflow": CONTEXT_OVERFLOWS,
    "phi_sampling": PHI_SAMPLINGS,
    "phi_context": PHI_CONTEXTS,
    "kappa_norm": KAPPA_NORMS,
    "context_encoding": CONTEXT_ENCODINGS,
}


@dataclass
class GCPOConfig(PaperGRPOConfig):
    """Settings of GCPO on top of the paper's GRPO. Raises ValueError with the reason for a combination without meaning.

    The default is the *expected* form: Eq. 11 and Eq. 13 with the projection replaced by its expectation, which is 0
    for the printed sampling; `estimator="mc"` with `eq13="mean"` samples it; `phi_sampling="drop"` or "resample" is
    the leave-one-out form, in which the expectation is not 0.
    """

    # ---- Eq. 10 and 11
    # "The regularization coefficients alpha and kappa are set to 2 and 0.06, respectively, based on grid search"
    alpha: float = 2.0
    # "alpha and kappa are set to 2 and 0.06" (Eq. 10: "-kappa D_KL(pi_theta || pi'_ref)")
    kappa: float = 0.06
    # Steps 1-5 sample the projection. Not stated: how many samples fit the stated cost; the expectation needs none
    estimator: str = "centroid"
    # "input q and {y_0, ..., y_{n-1}} into the old policy for n times": m = n. Chosen: 2, the fewest with a projection
    num_integrated: int | None = None
    # Step 2: "feed x_i into pi_theta for n times": R = n. Chosen: 1; n + n + n^3 generations per prompt do not fit
    num_context_outputs: int | None = None
    # "for n times": literal costs n + n + n^3 generations per prompt. Not stated: refused above n = 4 unless set
    force_literal: bool = False
    # Step 2: x_i and Step 3: x_{i,0} are the same context as "y_{n,0} = y_n". Chosen: one draw serves both
    step2_slice: bool = True
    # Step 3: "x_{i,j}, where j in {0, ..., n-1}": y_{n,0} is among them
    phi_includes_l0: bool = True
    # "input q and {y_0, ..., y_{n-1}}": the y_{n,l} see y_i too ("printed"). "drop", "resample": leave-one-out repairs
    phi_sampling: str = "printed"
    # Step 3: "x_{i,j} = {q, y_0, ..., y_{n,j}} \ {y_i}": y_{n,j} stands in the place of y_n
    phi_context: str = "replace"
    # Step 2: "x_i = {q, y_0, ..., y_n} \ {y_i}"; Algorithm 1 leaves y_n out (False)
    x_has_yn: bool = True
    # Eq. 11: "cos(.,.) denotes the cosine similarity"; euclidean and gaussian are named, not defined
    similarity: str = "cosine"
    # Not stated: the unit of distance of euclidean and gaussian, in lengths of an RMS-normalised feature (sqrt(dim))
    similarity_scale: float = 1.0
    # Not stated: off. On, euclidean and gaussian weights are scaled to the mean that the rollout's cosines have
    match_cosine_mean: bool = False
    # "B_i = A_i * Upsilon_i" ("paper"). "sign_aware" makes closer better for A_i < 0 as well
    sign_rule: str = "paper"
    # Eq. 11 has no floor. Not stated: none, a negative cosine flips the sign of A_i
    upsilon_min: float | None = None
    # Not stated: controls of ours. "one": B_i = A_i ("w/o Adv. Weighting"); "constant": group mean; "shuffled"
    upsilon_control: str = "none"

    # ---- features, Step 1
    # "feed o_i back into pi_theta": "o", o_i alone; "q_o": after q. Chosen: "context", after whatever the output was
    # sampled from (q for y_i, x_{i,l} for O): the state pi_old had while writing it, known for free
    feature_input: str = "context"
    # "extract the hidden representation of the final token from the last layer"
    feature_position: str = "eos"

    # ---- Eq. 12 and 13
    # Eq. 13: "sum_{l=0}^{n-1}" ("sum"), whose mass is 2 - n; "mean" has mass 1; chosen: "p_q", its expectation
    eq13: str = "p_q"
    # Not stated: Eq. 13 can be negative; floor on a probability before its logarithm
    causal_ref_floor: float = 1e-6
    # Not stated: off. On, all tokens of the vocabulary are clamped and their mass divided out, so that the target is a
    # distribution; needs context_encoding="text"
    eq13_full_vocab: bool = False
    # Not stated: the ratio pi'_ref / pi_theta of Eq. 12 is unbounded; capped near 10
    log_ratio_cap: float = 2.3
    # Eq. 12: "sum_{i=0}^{n-1}" inside the sum over i of Eq. 10, n times the row mean ("sum"). Chosen: "mean"
    kappa_norm: str = "mean"
    # Eq. 12: "sum_{i=0}^{n-1}", every candidate (1.0). Chosen: ceil(f n) random ones per group, an unbiased estimate
    kappa_row_fraction: float = 0.125
    # Algorithm 1 computes both terms in every step. Not stated: 1; k > 1 is plain GRPO in the rollouts between
    gcpo_every: int = 1
    # Not stated: groups of equal rewards give no advantage and are left out; the printed form keeps their D' (False)
    skip_zero_std: bool = True

    # ---- contexts
    # Not stated how {q, y_0, ..., y_{n-1}} is put in. "text": one after the other, by the engine of the rollouts.
    # "cached_text": the same, with equal and shared parts read once and a sampling loop of ours. "shared_kv": every
    # candidate encoded once after q alone and read in parallel, for models that are made for it
    context_encoding: str = "text"
    # Not stated: under "shared_kv", whether the gradient of Eq. 12 flows through x_i; False freezes the context's keys
    context_grad: bool = False
    # Not stated: the prompt for y_n and x_i, a text with {question} and {candidates}. None: for chat prompts
    # `CHAT_INTEGRATION_TEMPLATE`, for text prompts ids with separators
    integration_template: str | None = None
    # Not stated: one entry of {candidates}, with {number} and {answer}
    candidate_template: str = "Candidate {number}:\n{answer}"
    # Not stated: the token before every candidate in an id context
    candidate_separator: str = "|"
    # Not stated: the token after the last candidate, None for the separator
    closing_separator: str | None = None
    # Not stated: "o_i as the combination of y_i and the intermediate reasoning steps" makes y_i the answer alone;
    # 4,096 prompt tokens cannot hold n candidates of up to 16,384. None: "full" for chat prompts where n candidates
    # fit, else "final_answer". A truncated candidate stands as far as it goes; a thought left open shows no answer
    candidate_view: str | None = None
    # Not stated: where the final answer begins, looked for in the text. None: "\boxed" for chat prompts and for text
    # prompts that speak of it, else "#"
    answer_marker: str | None = None
    # Not stated: "sampled" keeps the order of sampling; "agreement": equal views together, the most frequent first
    candidate_order: str = "sampled"
    # "The maximum prompt length is 4,096 tokens". None: what the model's positions leave beside a completion
    max_context_length: int | None = None
    # Not stated: "error", or "tails" to keep the last tokens of every candidate
    context_overflow: str = "error"
    # Not stated: contexts per call of the sampler and rows per scoring forward, None for all and for the train batch
    extra_batch_size: int | None = None

    # ---- diagnostics
    # Not stated, ours: every so many rollouts Psi is drawn once more, for the metrics upsilon/psi_retest_* alone; it
    # costs its sampling again and changes no loss and no other random number. 0: never
    retest_every: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._resolve_counts()
        for message in self._refusals():
            raise ValueError(message)

    @property
    def needs_features(self) -> bool:
        """Whether Upsilon is computed at all."""
        return self.upsilon_control != "one"

    @property
    def needs_integration(self) -> bool:
        """Whether any y_{n,l} must be sampled."""
        return (self.needs_features and self.estimator != "centroid") or (self.kappa > 0 and self.eq13 != "p_q")

    @property
    def is_plain_grpo(self) -> bool:
        """Whether nothing of GCPO is left: Upsilon := 1 and no causal KL."""
        return not self.needs_features and self.kappa == 0

    @property
    def sampling(self) -> Sampling:
        """Steps 2-3 as `gcpo.estimators` takes them."""
        return Sampling(
            estimator=self.estimator if self.needs_features else "centroid",
            num_integrated=self.num_integrated,
            num_context_outputs=self.num_context_outputs,
            phi_sampling=self.phi_sampling,
            phi_context=self.phi_context,
            phi_includes_l0=self.phi_includes_l0,
            step2_slice=self.step2_slice,
            x_has_yn=self.x_has_yn,
        )

    def _resolve_counts(self) -> None:
        literal = self.estimator == "literal"
        if self.num_integrated is None:
            self.num_integrated = self.num_generations if literal else 2
        if self.num_context_outputs is None:
            self.num_context_outputs = self.num_generations if literal else 1

    def _refusals(self) -> list[str]:
        """One line per reason why these settings have no meaning."""
        n, m = self.num_generations, self.num_integrated
        values = {name: getattr(self, name) for name in _CHOICES}
        bad = [f"{k} is {v!r}; want one of {_CHOICES[k]}" for k, v in values.items() if v not in _CHOICES[k]]
        sampled = self.estimator in ("mc", "literal", "teacher_forced")
        rules = [
            (
                not 0 < self.similarity_scale < math.inf,
                f"similarity_scale is {self.similarity_scale}; want a positive length, 1 for sqrt(dim)",
            ),
            (
                self.similarity == "cosine" and (self.similarity_scale != 1.0 or self.match_cosine_mean),
                "similarity_scale and match_cosine_mean say nothing of similarity='cosine'; want 'euclidean' or "
                "'gaussian'",
            ),
            (not 0 <= self.kappa < math.inf, f"kappa is {self.kappa}; want >= 0, 0.06 in the paper"),
            (n < 2, f"num_generations is {n}; a group needs at least 2 candidates to have a context"),
            (m < 1, f"num_integrated is {m}; want at least 1"),
            (self.num_context_outputs < 1, f"num_context_outputs is {self.num_context_outputs}; want at least 1"),
            (
                self.needs_integration and m < 2 and self.phi_sampling == "printed",
                f"num_integrated is {m}: Psi of one integrated output says nothing; want at least 2, or "
                "estimator='centroid' with eq13='p_q', which need none",
            ),
            (
                self.estimator == "literal" and (m, self.num_context_outputs) != (n, n),
                f"estimator='literal' means m = R = n = {n}; leave num_integrated and num_context_outputs unset, or "
                "use estimator='mc'",
            ),
            (
                self.estimator == "literal" and n > 4 and not self.force_literal,
                f"estimator='literal' with n = {n} samples {n + n + n**3} outputs per prompt; want n <= 4, "
                "estimator='mc', or force_literal=True",
            ),
            (
                self.estimator == "teacher_forced" and self.num_context_outputs != 1,
                "estimator='teacher_forced' samples no outputs; num_context_outputs must be 1",
            ),
            (
                self.estimator == "teacher_forced" and self.feature_input != "context",
                "estimator='teacher_forced' compares y_i after x_i with y_i after q; feature_input must be 'context'",
            ),
            (
                self.estimator == "teacher_forced" and self.eq13 == "p_q" and self.kappa > 0,
                "estimator='teacher_forced' scores every term of Eq. 13 anyway; want eq13 'mean' or 'sum'",
            ),
            (
                self.phi_sampling != "printed" and not self.needs_integration,
                f"phi_sampling={self.phi_sampling!r} has no effect where nothing is integrated; want estimator='mc'",
            ),
            (
                not self.phi_includes_l0 and m < 2,
                "phi_includes_l0=False leaves nothing of one integrated output; want num_integrated of at least 2",
            ),
            (
                self.upsilon_control == "one" and sampled,
                f"upsilon_control='one' never reads what estimator={self.estimator!r} samples; want 'centroid'",
            ),
            (
                not 0 < self.causal_ref_floor < 1,
                f"causal_ref_floor is {self.causal_ref_floor}; want a probability between 0 and 1, such as 1e-6",
            ),
            (
                not 0 < self.log_ratio_cap < 50,
                f"log_ratio_cap is {self.log_ratio_cap}; want between 0 and 50, 2.3 for a ratio of 10",
            ),
            (not 0 < self.kappa_row_fraction <= 1, f"kappa_row_fraction is {self.kappa_row_fraction}; want in (0, 1]"),
            (self.gcpo_every < 1, f"gcpo_every is {self.gcpo_every}; want 1 for every rollout, k for every k-th"),
            (self.retest_every < 0, f"retest_every is {self.retest_every}; want 0 for never, k for every k-th rollout"),
            (
                self.retest_every > 0 and not (self.needs_features and sampled),
                f"retest_every={self.retest_every} draws Psi again, of which estimator={self.estimator!r} with "
                f"upsilon_control={self.upsilon_control!r} samples none; want 0, or estimator='mc'",
            ),
            (
                self.retest_every > 0 and self.gcpo_every > 0 and self.retest_every % self.gcpo_every > 0,
                f"retest_every is {self.retest_every}, but Psi is drawn every {self.gcpo_every} rollouts: want a "
                "multiple",
            ),
            (
                self.eq13_full_vocab and (self.kappa == 0 or self.context_encoding != "text"),
                f"eq13_full_vocab=True needs kappa > 0 and context_encoding='text', not kappa {self.kappa} and "
                f"{self.context_encoding!r}",
            ),
            (
                self.mask_truncated_completions,
                "mask_truncated_completions hides the tokens of y_i, which contexts and features read; want False",
            ),
            (
                self.integration_template is not None
                and not all(part in self.integration_template for part in ("{question}", "{candidates}")),
                "integration_template must hold {question} and {candidates}",
            ),
            (
                not all(part in self.candidate_template for part in ("{answer}",)),
                "candidate_template must hold {answer}",
            ),
        ]
        return bad + [message for wrong, message in rules if wrong] + self._encoding_refusals()

    def _encoding_refusals(self) -> list[str]:
        """One line per setting that a pool of keys cannot follow."""
        where = f"context_encoding={self.context_encoding!r}"
        own = [
            (self.use_vllm, f"{where} runs the trainer's own model; want use_vllm=False, or 'text'"),
            (self.use_transformers_continuous_batching, f"{where} does not batch continuously; want 'text'"),
            (self.repetition_penalty != 1.0, f"{where} knows no repetition_penalty; want 1.0, or 'text'"),
            (bool(self.generation_kwargs), f"{where} knows no generation_kwargs; want None, or 'text'"),
            (
                bool(self.deepspeed) or bool(self.fsdp),
                f"{where} needs whole weights on every rank; want 'text' under DeepSpeed and FSDP",
            ),
        ]
        shared = [
            (self.gradient_checkpointing, f"{where} keeps keys, which gradient checkpointing drops; want it off"),
            (self.integration_template is not None, f"{where} renders no integration_template; want None, or 'text'"),
            (
                self.candidate_order == "agreement",
                f"{where} lays candidates side by side, not in order; want 'sampled'",
            ),
            (self.context_overflow != "error", f"{where} cuts no candidates; want context_overflow='error'"),
        ]
        rules = [] if self.context_encoding == "text" else own
        rules = rules + shared if self.context_encoding == "shared_kv" else rules
        loose = self.context_grad and self.context_encoding != "shared_kv"
        rules = [*rules, (loose, "context_grad=True is for context_encoding='shared_kv'; text contexts always have it")]
        return [message for wrong, message in rules if wrong]


def form_name(config: GCPOConfig) -> str:
    """The form's name in tables, with what is not default: "GCPO expected", "GCPO mc m=2 R=1 eq13=mean f=1"."""
    m, count = config.num_integrated, config.num_context_outputs
    if config.phi_sampling != "printed":
        name = f"GCPO corrected m={m} R={count} phi={config.phi_sampling}"
    elif config.estimator == "centroid":
        name = "GCPO expected" if config.eq13 == "p_q" else f"GCPO centroid m={m}"
    elif config.estimator == "teacher_forced":
        name = f"GCPO teacher_forced m={m}"
    else:
        name = f"GCPO {config.estimator} m={m} R={count}"
    shown = {
        "eq13": "eq13",
        "eq13_full_vocab": "full_vocab",
        "ref_policy": "ref",
        "kappa_row_fraction": "f",
        "gcpo_every": "k",
        "candidate_view": "view",
        "alpha": "alpha",
        "kappa": "kappa",
        "upsilon_control": "control",
        "similarity": "similarity",
        "similarity_scale": "scale",
        "match_cosine_mean": "matched",
        "sign_rule": "sign",
        "feature_input": "feature",
        "feature_position": "at",
        "phi_includes_l0": "l0",
        "phi_context": "phi_context",
        "x_has_yn": "x_has_yn",
        "step2_slice": "slice",
        "upsilon_min": "floor",
        "kappa_norm": "kappa_norm",
        "candidate_order": "order",
        "skip_zero_std": "skip_zero_std",
        "context_encoding": "encoding",
        "context_grad": "context_grad",
    }
    return " ".join([name, *changes(config, shown)])
