"""What needs a GPU: training, resuming and serving there say what the CPU says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recbole_esmr.policy.esmr import ESMRPolicy
from recbole_esmr.quick_start import load_data_and_model, run_recbole
from tests.feeds import evening_of, morning_of, names_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def _networks(model):
    return {"encoder": model.encoder, "retriever": model.retriever.model, "re-ranker": model.item_value}


def test_every_network_is_trained_resumed_and_loaded_on_the_gpu(quick, tmp_path):
    result = run_recbole("ESMR", "small", config_dict={**quick, "gpu_id": "0"}, arguments=[])
    again = run_recbole("ESMR", "small", config_dict={**quick, "gpu_id": "0"}, arguments=[], resume=result["checkpoint"])
    assert again["test_result"] == result["test_result"]
    config, model, *_ = load_data_and_model(result["checkpoint"])
    assert config["device"].type == "cuda"
    for name, network in _networks(model).items():
        assert all(parameter.is_cuda for parameter in network.parameters()), name


def test_a_checkpoint_serves_on_either_device(trained):
    """The same model on the GPU and on the CPU: the same slates, but for ties of rounding."""
    path, users, items = trained[0]["checkpoint"], names_of(trained, "user_id"), names_of(trained, "item_id")
    said = []
    for gpu_id, device in (("0", "cuda"), ("", "cpu")):
        config, model, dataset, *_ = load_data_and_model(path, {"gpu_id": gpu_id})
        assert config["device"].type == device
        policy = ESMRPolicy(model, dataset, "always")
        policy.reset(users, items)
        first = policy.recommend(morning_of(len(users), len(items), 5))
        policy.observe(evening_of(first, np.full(first.shape, 0.5), {}, "angry"))
        said.append(np.concatenate([first, policy.recommend(morning_of(len(users), len(items), 5, day=16))]))
    assert (said[0] == said[1]).mean() > 0.97
