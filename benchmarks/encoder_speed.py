"""How many user-days a second does the encoder train on, against a TabTransformer of the paper's size trained row by row?

    python benchmarks/encoder_speed.py                # 1,000 people x 30 days, both in one run
    python benchmarks/encoder_speed.py --device=cuda  # the encoder on a GPU (bf16)

The TabTransformer is of the paper's size: a token of 32 numbers a feature, 2 layers over the tokens of a day, 4 heads, dropout
0.2, a head of 128; AdamW, batches of 64 rows. A row is a day, so both go through every user-day with a report once an epoch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from forecast_logs import load
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from recbole_esmr.data.trace import TRAIN, Trace
from recbole_esmr.model.days import day_labels
from recbole_esmr.model.emotion_encoder import EmotionEncoder, EncoderSettings, encoder_loss
from recbole_esmr.simulation import load_world, simulate
from recbole_esmr.trainer.emotion import AVERAGING, batches_by_length


class TabTransformer(nn.Module):
    """Tokens of a day's features, self-attention among them, a head for the emotion."""

    def __init__(self, features: int, emotions: int) -> None:
        super().__init__()
        self.slope, self.offset = (nn.Parameter(torch.randn(features, 32) * 0.2) for _ in range(2))
        layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=128, dropout=0.2, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.Linear(32 * features, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, emotions))

    def forward(self, days: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(days[..., None] * self.slope + self.offset).flatten(1))


def row_by_row(trace: Trace, epochs: int = 1) -> float:
    user, day = np.nonzero((trace.role == TRAIN) & (trace.emotion >= 0))
    rows = torch.from_numpy(np.nan_to_num(trace.features[user, day])).float()
    rows = (rows - rows.mean(dim=0)) / rows.std(dim=0).clamp(min=1e-6)
    target = torch.from_numpy(trace.emotion[user, day])
    network = TabTransformer(rows.shape[1], trace.emotion_hours.shape[-1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(network(rows[batch]), target[batch]).backward()
            optimizer.step()
    return epochs * len(rows) / (time.perf_counter() - start)


def whole_traces(trace: Trace, settings: EncoderSettings, device: str, epochs: int = 5) -> float:
    emotions = tuple(map(str, range(trace.emotion_hours.shape[-1])))
    encoder = EmotionEncoder.of_settings(settings, trace.feature_names, emotions, trace.profiles).to(device)
    role = trace.role == TRAIN
    encoder.fit_scales(trace, role)
    encoder.fit_simple([trace], [role], settings.horizon)
    days, labels = encoder.inputs(trace), day_labels(trace, role, settings.horizon).to(torch.device(device))
    learned = role & (trace.emotion >= 0)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
    averaged = AveragedModel(encoder, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))
    people = torch.from_numpy(np.flatnonzero(learned.any(axis=1)))
    seconds = 0.0
    for epoch in range(epochs + 1):  # the first is a warm-up
        start = time.perf_counter()
        for batch in batches_by_length(people, learned, settings.batch_users):
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                loss = encoder_loss(encoder(days.rows(*batch)), labels.rows(*batch))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(encoder)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds += (time.perf_counter() - start) * (epoch > 0)
    return epochs * int(learned.sum()) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        simulate(load_world("reference"), 1000, 1000, 30, 1, Path(name) / "log", show_progress=False)
        trace, config = load(Path(name) / "log", seed=1)
    torch.manual_seed(0)
    plain = row_by_row(trace)
    ours = whole_traces(trace, config.esmr.encoder, options.device)
    print(f"{torch.get_num_threads()} threads, {len(trace.feature_names)} features")
    print(f"TabTransformer, rows in batches of 64: {plain:9,.0f} user-days a second")
    print(f"encoder, whole traces on {options.device}: {ours:9,.0f} user-days a second, {ours / plain:.1f} times as fast")


if __name__ == "__main__":
    main()
