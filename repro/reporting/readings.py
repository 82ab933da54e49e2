"""What every table and figure asks and what its answer is worth, in words that hold whatever was measured.

No number of a measurement stands here: what was seen is written from the published files (`repro.reporting.seen`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from repro.stats.verdicts import REVERSED, SUPPORTED


@dataclass(frozen=True)
class Reading:
    """asked: the question, and how it is put to a test. means: what each answer would say about the method.
    not_means: what no answer says. says: verdict -> what it says here, where the words for every target do not fit.
    """

    asked: str
    means: str
    not_means: str
    says: Mapping[str, str] = field(default_factory=dict)


_SMALL = "It says nothing about models of other sizes, other tasks or longer training"
_LOCATED = "a best value that was found here would not be that of another model"

READINGS: Mapping[str, Reading] = {
    "table1": Reading(
        "Does GCPO train a better policy than GRPO and the other methods, from the same base, questions and number of "
        "rollouts? GCPO stands under its forms, each against GRPO. GVPO updates four times on each rollout, as "
        "its code does, the others once.",
        "Supported would say that the causal terms add to GRPO; equivalent or undecided, that whatever they add is "
        "smaller than the margin or than what these seeds can see; the multiple of GRPO's gain is the only size that "
        "can be held against the paper's.",
        f"{_SMALL}, and a row far below its own base says that its settings fail here, not that the method does.",
    ),
    "table2": Reading(
        "Which part of GCPO does the work: the weighting of advantages, the divergence, or neither? Each part is left "
        "out, and each is replaced by a control without the causal content: a constant, shuffled weights, the same "
        "scaling of every advantage.",
        "A part whose control is as good does its work, if any, without its causal content. A scaling of every "
        "advantage is no larger learning rate: Adam divides a gradient by its own size.",
        f"Parts are left out one at a time, so that it does not show what they do together. {_SMALL}.",
    ),
    "table3": Reading(
        "Do searches at test time add to trained policies, and does a plain GCPO policy keep up with the others' "
        "searches? Every search stands beside votes over as many tokens, which the paper lacks.",
        "A search that is not above the vote buys nothing that plain samples do not; a trained policy below a searched "
        "one is not refuted, because the search spends many times its tokens.",
        "How good a search is depends on what values its leaves; another value model could change every row with "
        "search.",
    ),
    "gc2po": Reading(
        "Does GC2PO beat GRPO and its own control without causal content, on average and on suites unlike the "
        "training? And does its reward follow sound steps, as its premise says?",
        "Above GRPO and not above the control would say that a denser reward helps and counterfactual stability does "
        "not; a premise that fails leaves a gain without the reason that is given for it.",
        "It is a reconstruction from second-hand descriptions: a failure may be that of the reconstruction.",
    ),
    "figure3": Reading(
        "Does training by GCPO carry over to code, without and with solved examples in the prompt?",
        "A lead that grows with examples would say that GCPO makes better use of them; one that does not contradicts "
        "the paper's sentence and no other.",
        "Where programs of a small language stand in for HumanEval, neither scores nor gaps compare with the paper's.",
    ),
    "figure4a": Reading(
        "Does accuracy rise and fall with alpha, with a best value where the paper has it, and does alpha do more than "
        "the same scaling of every advantage would?",
        "A flat curve says that alpha is free; one that the control without causal weights follows, that it works, if "
        "it does, without them. The control scales every advantage, which under Adam changes a step far less than a "
        "learning rate does.",
        f"It says nothing about the size of a best value elsewhere: {_LOCATED}.",
    ),
    "figure4b": Reading(
        "Does accuracy rise and fall with kappa, the weight of the divergence from the causal reference, with a best "
        "value where the paper has it?",
        "A curve that is best at 0 says that the divergence costs accuracy; a flat one, that it does nothing that "
        "accuracy can see.",
        f"It says nothing about other uses of the divergence, such as steadiness; and {_LOCATED}.",
    ),
    "figure4c": Reading(
        "Does it matter by which similarity a candidate is compared with its target, at equal alpha and at equal mean "
        "weight?",
        "Equal at both says that the choice is free; different at equal alpha alone, that only the size of the weights "
        "differed.",
        f"Equivalent is meant within the margin. {_SMALL}.",
    ),
    "figure5": Reading(
        "On the same questions, how often is GRPO wrong and GCPO right, and how often the other way round? The paper "
        "shows six of the first kind; here every question counts.",
        "As many of one kind as of the other says that six such examples could be shown of either method.",
        "Counts of right answers do not say whether a chain of steps integrates viewpoints.",
    ),
    "figure6": Reading(
        "Does a trained policy answer better when it reads other candidates, or when its prediction is projected? "
        "Beside both stands the vote of the same candidates.",
        "An input that is not above the vote is worth no more than counting the candidates.",
        "How a projected prediction enters a model is our reading of one line; another reading could differ. Whether a "
        "base uses what it reads at all is measured by itself (the last sections of this page): where it does not, a "
        "poor score of x is the base's and not the training's.",
    ),
    "figure7": Reading(
        "Are GCPO's gradient norms steadier than those of the others, and nearly constant, at equal rollouts and at "
        "equal scale?",
        "Steadier in the norm and not over the mean weight says that the scale was compared and not the training.",
        "A steady norm is no accuracy: it says nothing about how well the policy ends.",
    ),
    "figure8": Reading(
        "Does training by GCPO cost the stated multiple of GRPO's, by whole runs and by single steps, and is its gain "
        "worth that?",
        "A ratio near the stated one for one form and far from it for another says that the form decides, which the "
        "paper leaves open.",
        "Small models spend their time otherwise than large ones on GPUs: a ratio here is none of theirs.",
    ),
    "rates": Reading(
        "Is every method trained at the learning rate that one rule, written before the grid was run, picks for it?",
        "Supported says that on this base the tables compare methods at their own rates; reversed, that a method is "
        "trained at a rate that the rule would not pick. Forms of GCPO that are not in the grid have the rate of the "
        "form that is; ReST-MCTS* is fine-tuned and has none.",
        "Development seeds and questions are no part of any table; the picked rates are those of this model and "
        "length of training.",
        {
            SUPPORTED: "trained at the rate that the rule picks",
            REVERSED: "not trained at the rate that the rule picks, or no rate passes the rule",
        },
    ),
    "rates_elsewhere": Reading(
        "Are the rates that the grid picked on the smallest base right on the others, too? Each is tried with one step "
        "to either side.",
        "A better neighbour would say that the method is measured below its best on that base, and by how much.",
        "One seed tells large misfits from none; it does not rank neighbours that are close.",
        {
            SUPPORTED: "the rule picks the same rate there",
            REVERSED: "the rule picks a neighbouring rate there, or no rate passes it",
        },
    ),
    "curves": Reading(
        "Along the training, is GCPO faster, does it end higher, or neither, per generated token and per core-second?",
        "Faster and not higher says that the methods part in the middle of training and meet at its end.",
        "A fitted end that lies beyond what was trained is an extrapolation.",
    ),
}
