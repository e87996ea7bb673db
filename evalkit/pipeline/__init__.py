"""The stages: plan, record, score, decide. Only record touches a network."""
