"""Keep SASRec's own order as the engagement ranking, and let ESMR's policy re-rank it."""

from recbole_esmr import run_recbole

plain = run_recbole(model="SASRec", dataset="esmr-mini", config_dict={"n_layers": 1})
reranked = run_recbole(model="ESMR", dataset="esmr-mini", config_dict={"backbone": "SASRec", "retriever_config": {"n_layers": 1}})

for metric, value in plain["test_result"].items():
    print(f"{metric}: SASRec {value:.4f}, re-ranked {reranked['test_result'][metric]:.4f}")
print("acted on", f"{reranked['policy']['acted_share']:.0%}", "of the test days")
