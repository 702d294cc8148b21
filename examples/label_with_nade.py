r"""Single emotions from English texts by nade, as a program for `recbole-esmr label --command`.

    python -m venv nade && nade/bin/pip install nade==0.3.1        # MIT; needs numpy >= 2, so an environment of its own
    recbole-esmr label --dataset=datasets/mine --text=caption --taxonomy=ekman \
        --command="nade/bin/python examples/label_with_nade.py"

Any other model becomes a labeller in the same few lines: read a line of JSON a text, write one, in the same order.
"""

import json
import sys

from nade import Nade

EKMAN = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
"""Of nade's eight emotions those of Ekman (taxonomies `ekman` and `goemotions` know them); the rest is neutral."""

model = Nade()
for line in sys.stdin:
    asked = json.loads(line)
    said = model.predict([asked["text"]])
    scores = {name: max(float(said[name][0]), 0.0) for name in EKMAN}
    total = max(sum(scores.values()), 1.0)
    share = {name: score / total for name, score in scores.items()}
    share["neutral"] = 1 - sum(share.values())
    print(json.dumps({"id": asked["id"], "share": share}), flush=True)
