# %%
# Every parameter. Run All shows the statements with this verdict.
VERDICT = ""  # holds, does not hold, cannot be decided, or an empty text for all of them

# %% [markdown]
# # Can the method gain what its theorems promise?
#
# The paper's causal model as an exact linear-Gaussian one: expectations are matrix products, so no statement below
# rests on sampling. `make theory` writes the same to `results/paper/`.

# %%
import pandas as pd
from IPython.display import Image, Markdown, display

from repro import figures
from repro.figures import theory as pictures
from repro.paper import theory
from repro.paper.findings import as_rows, counts, markdown_table
from repro.paper.theory import symbolic
from repro.paper.theory.claims import all_claims

display(Image(figures.png(pictures.gain())))
display(Image(figures.png(pictures.scm())))

# %% [markdown]
# ## What it says
#
# The fork makes the candidates independent given the query; the integrated answer makes them dependent. Let
# $Y = y_0$; $\mathcal G = \sigma(q, y_1, \dots, y_{n-1})$; $\Phi = \mathbb E[\cdot\,|\,\mathcal G]$,
# $\Psi = 1 - \Phi$; $b = \mathbb E[Y|q]$; $\hat b$ any $\mathcal G$-measurable baseline; $f^+ = \Psi f + \hat b$.
# Corollary 2 gains what the child $y_n$ reveals about its parent $y_0$. The printed Step 3 draws $y_{n,l}$ given the
# very $y_0$ that $\Phi$ must integrate out: the estimate then removes the signal and keeps the noise, for every $f$.
# Drawing $y_0$ anew keeps $1 - 1/m$ of the gain. A policy that sees $q$ alone gets back
# $\mathbb E[f^+|q] = \mathbb E[\hat b|q]$.

# %%
print("Theorem 1   E||Y-f||² - E||Y-f+||²     =", symbolic.theorem1_gap())
print("Corollary 2 E||Y-b_hat||² - E||Y-f+||² =", symbolic.corollary2_gap())
print("Bayes f     <Y-b, Psi f>               =", symbolic.bayes_cross_term())
for name, value in symbolic.equation_28_30().items():
    print(f"Eqs. 28-30  {name:<27}=", value)
for picture in (pictures.break_even, pictures.chains, pictures.attention_mask):
    display(Image(figures.png(picture())))

# %% [markdown]
# ## How sure: an example that fits on paper
#
# n = 2, no query; $y_0, y_1, e$ independent standard normals, $y_2 = y_0 + y_1 + e$. Then $b = 0$ and
# $f^* = (y_2 - y_1)/2$. Closed form beside 200,000 draws (z: their distance in standard errors). In the pictures above:
# two groups for one question, after the paper's first figure, where $y_n$ tells more about a candidate if the others
# agree with it; and the same graph as an attention mask, candidates encoded once and every context a set of columns.

# %%
display(Markdown(markdown_table(theory.example_table().round(3).replace(-0.0, 0.0))))

# %% [markdown]
# ## To play with, and how to change it
#
# `frame` holds every statement with its verdict; the first cell chooses. Statements are functions in
# `repro/paper/theory/claims.py`; `make theory` decides them again.

# %%
claims = all_claims()
frame = pd.DataFrame(as_rows(claims))
print(", ".join(f"{count} {word}" for word, count in counts(claims).items()))
display(Markdown(markdown_table(frame[frame.verdict.str.contains(VERDICT)].drop(columns=["check", "weight"]))))
