# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A world of one's own
#
# A world says who lives in it, what is shown, and what a feed does to a mood. Here is one in which feeds act twice as strongly
# as in `reference`, and in which people are hardly ever asked how they feel. Does ESMR still help?

# %%
from pathlib import Path

from recbole_esmr.closed_loop import rollout
from recbole_esmr.report.tables import rollout_table

Path("silent.yaml").write_text("base: reference\nexposure: {strength: 2.0}\nobservation: {report_share: 0.2}\n")

# %% [markdown]
# People first live under the world's own feed. Everything is trained on that log. Then the same people go on, once under each
# policy, with the same random numbers. So small a world says little; take 500 people and three seeds or more for an answer.

# %%
result, _ = rollout("silent.yaml", ["engagement", "ESMR", "oracle"], users=60, items=80, days=8, log_days=10, seeds=[1, 2])
print(rollout_table(result))

# %% [markdown]
# `gain` is the part of the way from the engagement ranking to a policy that knows everything. Where the gate stays closed it is
# 0: on a log of 60 people nothing is proven, and then nothing is done.

# %%
for policy, figures in result["policies"].items():
    print(policy, {name: round(figures[name]["mean"], 3) for name in ("gain", "negative_day_share", "watch_time")})
