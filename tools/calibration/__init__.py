"""Simulations behind what evalkit claims about its verdicts, each through evalkit's own public functions."""
