"""Write five CSV files such as a platform exports, with ISO dates: python examples/five_csv_files.py exports."""

import sys
from pathlib import Path

import pandas as pd

source = Path(__file__).parents[1] / "datasets" / "esmr-mini"
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "exports")
folder.mkdir(parents=True, exist_ok=True)
start = pd.Timestamp("2026-03-01")


def read(suffix: str) -> pd.DataFrame:
    table = pd.read_csv(source / f"esmr-mini.{suffix}", sep="\t")
    return table.rename(columns=lambda name: name.partition(":")[0])


def date(day: pd.Series) -> pd.Series:
    return (start + pd.to_timedelta(day - 1, unit="D")).dt.strftime("%Y-%m-%d")


views, shown, items, people, days = map(read, ("inter", "imp", "item", "user", "day"))
moment = (start + pd.to_timedelta(views["timestamp"], unit="s")).dt.strftime("%Y-%m-%d %H:%M:%S")
tables = {
    "views": pd.DataFrame(
        {"member": views["user_id"], "video": views["item_id"], "time": moment, "watched": views["watch_ratio"]}
    ),
    "feed": pd.DataFrame(
        {"member": shown["user_id"], "video": shown["item_id"], "date": date(shown["day"]), "place": shown["position"]}
        | {"clicked": shown["label"]}
    ),
    "videos": items.rename(columns={"item_id": "video", "emotion": "feeling", "emotion_intensity": "strength"}),
    "members": people.rename(columns={"user_id": "member", "user_profile": "kind"}).assign(consent="yes"),
    "diary": pd.DataFrame(
        {"member": days["user_id"], "date": date(days["day"]), "mood": days["emotion"], "posts": days["posting_frequency"]}
    ),
}
for name, table in tables.items():
    table.to_csv(folder / f"{name}.csv", index=False)
    print(f"{folder / name}.csv: {len(table)} rows, columns {', '.join(table.columns)}")
