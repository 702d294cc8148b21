"""What each command of ``recbole-esmr`` does: calls the package, prints, writes; no logic of its own."""

from __future__ import annotations

from recbole_esmr.actions import data, models, serving, worlds
from recbole_esmr.actions.written import Actions

ACTIONS: Actions = {**models.ACTIONS, **data.ACTIONS, **worlds.ACTIONS, **serving.ACTIONS}
"""What each command of the parser does."""
