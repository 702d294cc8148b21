# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Reading the causal table
#
# What does the feed do to tomorrow's mood? Nothing is trained for this; a log is enough.

# %%
import pandas as pd

from recbole_esmr.quick_start import estimate_causal

result, _ = estimate_causal("esmr-mini", graph_samples=0)
table = pd.DataFrame(result["effects"])
table = table[(table["outcome"] == "valence") & (table["state"] == "all")].set_index("treatment")
table[["estimate", "low", "high", "naive", "detectable", "weight"]].round(3)

# %% [markdown]
# A row is the change of tomorrow's valence (−1 to 1) for +0.1 of a kind of content in what was shown, with a 95 % interval.
#
# - **naive** is the plain association. It is larger than the effect, because people who feel bad watch other things.
# - **detectable** is the smallest effect that this log would have shown with a chance of 80 %. Where it is large, "not proven"
#   says little.
# - **weight** is what the policy uses: 0 where nothing is proven, less than the estimate where it is uncertain.

# %%
harmful = table.loc["negative_exposure"]
print(
    f"negative content: {harmful['estimate']:+.3f} [{harmful['low']:+.3f}, {harmful['high']:+.3f}], naive {harmful['naive']:+.3f}"
)

# %% [markdown]
# An effect rests on the feed being chosen from what was logged. The warnings say where that is in doubt, and the refutations
# try to break each effect: with a placebo in place of the treatment, a random cause added, and a part of the data left out.

# %%
for line in result["warnings"]:
    print("warning:", line)
for treatment, tries in table["refutations"].items():
    print(treatment, {name: "passed" if found["passed"] else "failed" for name, found in (tries or {}).items()} or "not tried")
