"""A few minutes on a machine with a card that is bare and lent for a short time: training/on_a_card.sh.

What travels there (pack.py), what is asked of the card first (checks.py), how many steps fit (timed_run.py), what comes back
(results.py, weights.py), and the order of it all (session.py).
"""
