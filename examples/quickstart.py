"""Train ESMR on the small data set, and ask it for recommendations."""

from recbole_esmr import full_sort_topk, load_data_and_model, run_recbole  # importing it teaches RecBole the model ESMR

result = run_recbole(model="ESMR", dataset="esmr-mini")
print(result["test_result"], result["emotion"]["forecast"])

config, model, dataset, train_data, valid_data, test_data = load_data_and_model(result["checkpoint"])
users = dataset.token2id(dataset.uid_field, ["u1", "u2"])
scores, items = full_sort_topk(users, model, test_data, k=5, device=config["device"])
print(dataset.id2token(dataset.iid_field, items.cpu()))
