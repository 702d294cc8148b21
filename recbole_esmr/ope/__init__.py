"""Off-policy evaluation of slates: what a policy would bring, from the log of another. Knows arrays alone."""

from recbole_esmr.ope.estimators import ESTIMATORS, Estimate, LoggedSlates, doubly_robust, ips, snips

__all__ = ["ESTIMATORS", "Estimate", "LoggedSlates", "doubly_robust", "ips", "snips"]
