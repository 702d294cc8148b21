"""Your own RecBole atomic files: the least that ESMR reads, and what it adds to what RecBole reads.

Run it anywhere: it writes a tiny data set into dataset/tiny-feed first.
"""

from pathlib import Path

import numpy as np

from recbole_esmr import run_recbole
from recbole_esmr.check import check

# Twenty people watch twelve videos over twelve days. RecBole needs .inter alone; .item and .day are what ESMR adds.
folder = Path("dataset/tiny-feed")
folder.mkdir(parents=True, exist_ok=True)
generator = np.random.default_rng(1)
people, videos, emotions = [f"p{n}" for n in range(20)], [f"v{n}" for n in range(12)], ["happy", "angry", "neutral", "lonely"]
views = [(p, v, d) for d in range(1, 13) for p in people for v in generator.choice(videos, 3, replace=False)]
lines = [f"{p}\t{v}\t{86_400 * d + k}\t{generator.random():.2f}" for k, (p, v, d) in enumerate(views)]
(folder / "tiny-feed.inter").write_text(
    "\n".join(["user_id:token\titem_id:token\ttimestamp:float\twatch_ratio:float", *lines]) + "\n"
)
items = [f"{video}\t{emotions[n % 4]}\t0.6" for n, video in enumerate(videos)]
(folder / "tiny-feed.item").write_text("\n".join(["item_id:token\temotion:token\temotion_intensity:float", *items]) + "\n")
days = [f"{p}\t{d}\t{generator.choice(emotions)}" for p in people for d in range(1, 13)]
(folder / "tiny-feed.day").write_text("\n".join(["user_id:token\tday:float\temotion:token", *days]) + "\n")

found = check("tiny-feed")
print(found["files"], found["warnings"], found["refused"], sep="\n")

result = run_recbole(model="ESMR", dataset="tiny-feed", config_dict={"epochs": 5})
print(result["test_result"])
